"""A dead letter as it stands on its topic, taken apart; the record it becomes when it is tried again; the note that it was. Pure.

What writes dead letters is `mqlstream.stages.dead_letter`: the record's own headers come first, then a block of reasons that
begins with `__connect.errors.topic`. A record that is tried again carries its history in its own headers, so that it is still there
should it come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import orjson

from mqlstream.engine.unpacking import UNPACKED
from mqlstream.stages.dead_letter import DETAIL, FIRST, PLACES, REASON, STAGE, TIMESTAMP, TRUNCATED

RETRIES = "mqlstream.retries"  # how often a record has been given back
HISTORY = "mqlstream.history"  # JSON, one header a time it was: why it had been put aside, when, and where it stands
RETRIED = "mqlstream.retried"  # on a note: PARTITION:OFFSET of the dead letter that was given back
MAX_HISTORY = 10  # the newest; the count says how many there were

Headers = Sequence[tuple[str, bytes]]


class Stored(Protocol):
    """A record of the topic, as a consumer gives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Place(NamedTuple):
    """Where a dead letter stands on its topic; written ``3:17``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Letter(NamedTuple):
    """What is known of a dead letter without its contents. ``at_ms``: when it was put aside.

    ``topic``, ``partition``, ``offset`` and ``timestamp`` are the record's own, where it came from; ``cut`` says what of it is missing,
    ``places`` which parts of a batch are meant.
    """

    place: Place
    at_ms: int
    reason: str
    detail: str
    stage: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    retries: int
    cut: str
    places: str


def place_of(text: str) -> Place | None:
    """The place that a text such as ``3:17`` means; None when it means none."""
    sides = text.split(":")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() and len(side) < 19 for side in sides):
        return None
    return Place(int(sides[0]), int(sides[1]))


def note_of(record: Stored) -> Place | None:
    """The dead letter that a note says was given back; None for a record that is no note."""
    told = [value for name, value in record.headers if name == RETRIED and value]
    return place_of(_text(told[-1])) if told and not record.value and _begin(record.headers) is None else None


def letter_of(record: Stored) -> Letter | None:
    """The dead letter that a record is; None when it is none of this program's."""
    begin = _begin(record.headers)
    if begin is None:
        return None
    told = dict(record.headers[begin:])
    own = dict(record.headers[:begin])
    try:
        return Letter(
            place=Place(record.partition, record.offset),
            at_ms=record.timestamp,
            reason=_text(told[REASON]),
            detail=_text(told[DETAIL]),
            stage=_text(told[STAGE]),
            topic=_text(told[FIRST]),
            partition=int(told["__connect.errors.partition"]),
            offset=int(told["__connect.errors.offset"]),
            timestamp=int(told[TIMESTAMP]),
            retries=_count(own.get(RETRIES)),
            cut=_text(told.get(TRUNCATED) or own.get(UNPACKED) or b""),
            places=_text(told.get(PLACES) or own.get(PLACES) or b""),
        )
    except (KeyError, ValueError, TypeError):
        return None


def own_headers(record: Stored) -> Headers:
    """The headers that the record had where it came from."""
    return record.headers[: _begin(record.headers)]


def again(record: Stored, letter: Letter, topic: str) -> list[tuple[str, bytes]]:
    """The headers of the record when it is given back: its own, and its history. ``topic`` is that of the dead letters."""
    own = own_headers(record)
    past = [value for name, value in own if name == HISTORY]
    now = {"reason": letter.reason, "detail": letter.detail[:200], "stage": letter.stage, "at": letter.at_ms}
    now |= {"dead_letter": f"{topic}:{letter.place}"}
    past = [*past, orjson.dumps(now)][-MAX_HISTORY:]
    headers = [(name, value) for name, value in own if name not in (RETRIES, HISTORY, PLACES)]
    if letter.places:
        headers.append((PLACES, letter.places.encode()))
    headers.append((RETRIES, b"%d" % (letter.retries + 1)))
    return [*headers, *((HISTORY, value) for value in past)]


def _begin(headers: Headers) -> int | None:
    """Where the block of reasons begins; that of an older dead letter may stand before it, as the record's own."""
    for number in range(len(headers) - 1, -1, -1):
        if headers[number][0] == FIRST:
            return number
    return None


def _count(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() and len(value) < 7 else 0


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
