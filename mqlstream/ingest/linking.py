"""All visitors in one memory: events in order go in, and come out for the lead they belong to as soon as that is known. Pure.

What links a visitor and whose an event is gets decided in `mqlstream.ingest.visitors`; workers keep visitors in tables
instead (`mqlstream.stages.identify`). Events come out as workers pass them on: the one that links first, what waited for it then.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.outcome import Outcome, Reason, ignored
from mqlstream.ingest.identity import visitors_of
from mqlstream.ingest.visitors import DEFAULT_LIMITS, LINKED_DAYS, Limits, Visitor, Waiting, links_of
from mqlstream.wire import Link, decode, encode


class Visitors:
    """``count`` is told the kind and the outcome of each event that ends here."""

    def __init__(self, count: Callable[[str, Outcome], None], limits: Limits = DEFAULT_LIMITS) -> None:
        self._count = count
        self._limits = limits
        self._visitors: dict[str, Visitor] = {}
        self._number = 0  # of the newest event that came to wait

    def take(self, event: Event) -> list[Event]:
        """The events that are a lead's now: this one, if it names a lead or its visitor is known, and those that waited for it."""
        known: list[Event] = []
        if event.lead:
            known.append(event)
        else:
            visitor_id, _ = visitors_of(event.body)
            assert visitor_id is not None
            self._give(visitor_id, event, (), known)
        if event.kind == "command" and event.body["do"] == "erase":
            for visitor in self._visitors.values():
                visitor.forget(event.lead, event.time)
        for visitor_id, link in reversed([*links_of(event)]):  # the user first, for the other's events go there
            self._link(visitor_id, link, known)
        return known

    def finish(self) -> None:
        """No event comes any more: those that wait are of nobody known."""
        for visitor in self._visitors.values():
            for waiting in visitor.waiting:
                self._count(decode(waiting.value).kind, ignored(Reason.NO_LEAD))
            visitor.waiting = []

    def _give(self, visitor_id: str, event: Event, via: tuple[str, ...], known: list[Event]) -> None:
        visitor = self._open(visitor_id, event.time // DAY_MS)
        goes = visitor.follow(event.time, via)
        visitor.see(event.time // DAY_MS)
        if goes is None:
            self._wait(visitor, event, via)
        elif isinstance(goes, Reason):
            self._count(event.kind, ignored(goes))
        elif goes.lead:
            known.append(replace(event, lead=goes.lead))
        else:
            self._give(goes.visitor, event, (*via, visitor_id), known)

    def _wait(self, visitor: Visitor, event: Event, via: tuple[str, ...]) -> None:
        self._number += 1
        waiting = Waiting(event.time, event.source, event.id, self._number, event.time // DAY_MS, via, encode(event))
        if visitor.has(waiting):
            self._count(event.kind, ignored(Reason.DUPLICATE))
            return
        for gone in visitor.wait(waiting, self._limits):
            self._count(decode(gone.value).kind, ignored(Reason.VISITOR_FULL))

    def _link(self, visitor_id: str, link: Link, known: list[Event]) -> None:
        visitor = self._open(visitor_id, link.time // DAY_MS)
        may_go = visitor.link(link, self._limits)
        visitor.see(link.time // DAY_MS)
        if may_go:
            waiting, visitor.waiting = visitor.waiting, []
            for each in waiting:
                self._give(visitor_id, decode(each.value), each.via, known)

    def _open(self, visitor_id: str, day: int) -> Visitor:
        visitor = self._visitors.get(visitor_id)
        if visitor is None:
            visitor = self._visitors[visitor_id] = Visitor()
        elif visitor.known is not None and visitor.known.seen_day + LINKED_DAYS <= day:
            visitor.known = None
        return visitor
