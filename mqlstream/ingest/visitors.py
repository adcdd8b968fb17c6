"""Visitors: whose their events are, by the links that events tell of, and which events wait until that is known. Pure.

Where records come from and go to is `mqlstream.stages.identify`'s.

A link tells at its time that a visitor is a lead, or is another visitor. An event belongs to whom the newest link up to its own
time names; what lies before the first link belongs to the first. What was once passed on stays with whom it went to: a link that
comes late changes only what lies after all that was passed on. So an event that arrives twice goes the same way both times, where
it counts once.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.outcome import Reason
from mqlstream.ingest.identity import visitors_of
from mqlstream.wire import Link

LINKS_MAX = 16  # of a visitor: more people than that do not take turns at one device
HOPS_MAX = 8  # from visitor to visitor, before an event stays where it is
WAITING_BYTES = 2_500_000  # of one visitor's events; above that of the largest event
LINKED_DAYS = 400  # without a sign of the visitor: as long as browsers keep a cookie
NEVER = -1

_LINKING = frozenset({"form_fill", "email_click", "profile"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one visitor: how many events wait, and how long before its first link an event may lie to count."""

    waiting_events: int = 200
    waiting_days: int = 90

    @property
    def waiting_ms(self) -> int:
        return self.waiting_days * DAY_MS


DEFAULT_LIMITS = Limits()


def links_of(event: Event) -> Iterator[tuple[str, Link]]:
    """What an event tells of visitors: the visitor that a link is about, and the link.

    That a visitor is a lead is told by a filled form, a click in an email or a profile, unless by a machine: a mail scanner's
    visitor is nobody. That an anonymous visitor is a user is told by any event that names both.
    """
    visitor, other = visitors_of(event.body)
    if visitor is None:
        return
    if other is not None:
        yield other, Link(event.time, event.source, event.id, visitor=visitor)
    if event.lead and event.kind in _LINKING and not event.machine and (event.kind != "email_click" or event.body["action"] == "click"):
        yield visitor, Link(event.time, event.source, event.id, lead=event.lead)


class Waiting(NamedTuple):
    """An event that waits, as its record's value has it. ``number`` tells it from the visitor's others, ``since_day`` is
    the day it came, in days of the wall clock; ``via``: the visitors that passed it on."""

    time: int
    source: str
    event_id: str
    number: int
    since_day: int
    via: tuple[str, ...]
    value: bytes


class Target(msgspec.Struct, array_like=True):
    """Whom a visitor's events from ``since_ms`` on belong to. ``told``: the newest event that said so, as (time, source, id)."""

    told: tuple[int, str, str]
    since_ms: int
    lead: str
    visitor: str


class Known(msgspec.Struct, array_like=True):
    """What is remembered of a visitor with a link. ``given_ms``: the time of the newest event that was passed on;
    ``floor_ms``: events before it are too old to count; ``seen_day``: the day something last came of it."""

    targets: list[Target]
    floor_ms: int = 0
    given_ms: int = NEVER
    seen_day: int = 0


class Visitor:
    """One visitor: whom it is known as, and its events that wait. ``dirty``: `known` is not as it was."""

    __slots__ = ("dirty", "known", "waiting")

    def __init__(self) -> None:
        self.known: Known | None = None
        self.waiting: list[Waiting] = []
        self.dirty = False

    def see(self, day: int) -> None:
        """Something came of it on a day."""
        if self.known is not None and self.known.seen_day < day:
            self.known.seen_day = day
            self.dirty = True

    def follow(self, time: int, via: Sequence[str]) -> Target | Reason | None:
        """To whom an event of that time goes, why it counts nowhere, or None: it waits."""
        if self.known is None:
            return None
        if time < self.known.floor_ms:
            return Reason.NEVER_LINKED
        target = _at(self.known.targets, time)
        if target.visitor and (target.visitor in via or len(via) >= HOPS_MAX):
            # Visitors that are each other: from there the event would only come back. So it belongs to a lead of this one, if any.
            leads = [target for target in self.known.targets if target.lead]
            if not leads:
                return None
            target = _at(leads, time)
        if time > self.known.given_ms:
            self.known.given_ms = time
            self.dirty = True
        return target

    def link(self, link: Link, limits: Limits) -> bool:
        """Take a link; whether events that wait may go now. One that is older than the newest known changes nothing."""
        told = (link.time, link.source, link.event_id)
        if self.known is None:
            self.known = Known([Target(told, 0, link.lead, link.visitor)], max(link.time - limits.waiting_ms, 0))
            self.dirty = True
            return True
        newest = self.known.targets[-1]
        if told <= newest.told:
            return False
        self.dirty = True
        if (newest.lead, newest.visitor) == (link.lead, link.visitor):
            newest.told = told
            return False
        since = max(link.time, self.known.given_ms + 1)
        self.known.targets.append(Target(told, since, link.lead, link.visitor))
        del self.known.targets[:-LINKS_MAX]
        return True

    def forget(self, lead: str, time: int) -> bool:
        """Let go of what was told up to a time of being this lead; whether there was any."""
        if self.known is None:
            return False
        left = [target for target in self.known.targets if target.lead != lead or target.told[0] > time]
        if len(left) == len(self.known.targets):
            return False
        self.known.targets = left
        self.dirty = True
        if not left:
            self.known = None
        return True

    @property
    def empty(self) -> bool:
        return self.known is None and not self.waiting

    def has(self, event: Waiting) -> bool:
        """Whether the event waits already."""
        return any((other.event_id, other.source) == (event.event_id, event.source) for other in self.waiting)

    def keep(self, event: Waiting) -> None:
        """Let an event wait, in its place."""
        insort(self.waiting, event, key=_order)

    def wait(self, event: Waiting, limits: Limits) -> list[Waiting]:
        """Let an event wait; gives those that have to go for want of room. The newest stay."""
        self.keep(event)
        room, kept = WAITING_BYTES, 0
        for other in reversed(self.waiting):
            room -= len(other.value)
            if kept == limits.waiting_events or room < 0:
                break
            kept += 1
        gone = self.waiting[: len(self.waiting) - kept]
        del self.waiting[: len(gone)]
        return gone


def _at(targets: Sequence[Target], time: int) -> Target:
    return targets[max(bisect_right(targets, time, key=_since) - 1, 0)]


def _since(target: Target) -> int:
    return target.since_ms


def _order(event: Waiting) -> tuple[int, str, str]:
    return event[:3]
