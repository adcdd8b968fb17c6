"""How an event can end: exactly one outcome, counted once. Nothing here knows how outcomes are reported."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why an event was ignored or rejected: the metric's label and the dead letter's header alike."""

    NONE = ""
    # ignored: the event was understood and changes no score
    DUPLICATE = "duplicate"  # the same (source, id) was applied before
    CONFLICTING_DUPLICATE = "conflicting_duplicate"  # the same (source, id), another content: the first counts
    TOO_OLD = "too_old"  # beyond the definition's horizon
    FLOOD = "flood"  # past the lead's first events of its kind on that UTC day
    LEDGER_FULL = "ledger_full"  # older than the newest events the ledger has places for
    NO_LEAD = "no_lead"  # names no lead; offline, where nobody links visitors, nothing but a visitor
    VISITOR_FULL = "visitor_full"  # older than the newest events that may wait until its visitor is known
    NEVER_LINKED = "never_linked"  # waited in vain, or lies too long before the link of its visitor to a lead
    OUT_OF_TURN = "out_of_turn"  # feedback that does not fit the lead's stage
    NO_TOUCH = "no_touch"  # a source's record that is about no touch of a buyer, such as a message being queued
    RETRACTED = "retracted"  # a command has taken it back
    MERGED = "merged"  # its lead was merged into another, where it counts
    UNKNOWN_LEAD = "unknown_lead"  # a command about a lead of which nothing is known
    # rejected: the record goes to the dead-letter topic, untouched
    EMPTY = "empty"  # a record without a value
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    BAD_FIELD = "bad_field"  # a field of a wrong type or outside its bounds
    MISSING_FIELD = "missing_field"
    UNKNOWN_KIND = "unknown_kind"
    BAD_TIME = "bad_time"  # outside the years 2000 to 2100, or not a time
    BAD_RECORD = "bad_record"  # an internal record that cannot be read back
    FAILED = "failed"  # the handler failed on this record alone: a defect of the program


NO_REASON = Reason.NONE  # by this name where every event passes: before Python 3.12 a look into an enumeration takes long


class Outcome(NamedTuple):
    """One of ``scored``, ``ignored``, ``rejected``, with the reason of the last two."""

    name: str
    reason: Reason

    def __str__(self) -> str:
        return f"{self.name}({self.reason.value})" if self.reason.value else self.name


SCORED = Outcome("scored", NO_REASON)


def ignored(reason: Reason) -> Outcome:
    """The outcome of an event that is understood and changes no score."""
    return Outcome("ignored", reason)


def rejected(reason: Reason) -> Outcome:
    """The outcome of a record that cannot be used and goes to the dead letters."""
    return Outcome("rejected", reason)
