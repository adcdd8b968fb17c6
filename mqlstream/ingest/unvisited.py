"""Clicks that no visit followed: a weak sign of a machine, known when the time for a visit is over. Pure: the clock is passed in.

Asked of a click only while it has another weak sign, and answered once, by the visits that are known then: a visit that is
told later changes nothing, as nothing unmakes a verdict. When the moment comes is for those who have a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from mqlstream.core.event import KINDS, Event
from mqlstream.core.lead import Lead
from mqlstream.ingest.machines import Click, Rules, Watched, command_of, verdicts_on, weak_signs

VISIT_BEFORE_MS = 60_000  # a page's clock and a mailer's are not one
_VISIT = KINDS.index("web_visit")


def visits_of(lead: Lead | None) -> Sequence[int] | None:
    """When a lead visited, as far as its ledger knows, machines' visits left out; None where that is not known of it."""
    if lead is None or (lead.state.commands is not None and lead.state.commands.merged_into):
        return None
    return [entry.time for entry in lead.state.entries if entry.kind == _VISIT and not entry.flags]


def due_ms(watched: Watched, rules: Rules) -> int | None:
    """When it is to be looked whether a visit followed one of the clicks; None: for none of them."""
    return min([_due(click, rules) for click in watched.clicks if _waits(watched, click, rules)], default=None)


def look_for_visits(watched: Watched, lead_id: str, until_ms: int, visits: Sequence[int] | None, rules: Rules) -> list[Event]:
    """For the clicks whose time is over by then: whether a visit followed. Gives the commands that mark those that a machine made."""
    commands = []
    for click in watched.clicks:
        if not _waits(watched, click, rules) or _due(click, rules) > until_ms:
            continue
        last = _due(click, rules)
        click.visited = visits is None or any(click.time - VISIT_BEFORE_MS <= visit < last for visit in visits)
        commands += [command_of(verdict, lead_id, last) for verdict in verdicts_on(watched, click.message, rules)]
    return commands


def _waits(watched: Watched, click: Click, rules: Rules) -> bool:
    asked = click.visited is None and not click.machine and rules.of(click.source).visit_ms
    return bool(asked and weak_signs(watched, click, rules))


def _due(click: Click, rules: Rules) -> int:
    return click.time + rules.of(click.source).visit_ms


class Waiting:
    """When to look, by lead: the earliest first."""

    def __init__(self) -> None:
        self._due: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []  # may hold what no longer holds

    def note(self, lead_id: str, due: int | None) -> None:
        """A lead is to be looked at then; None: not at all."""
        if due is None:
            self._due.pop(lead_id, None)
        elif self._due.get(lead_id) != due:
            self._due[lead_id] = due
            heappush(self._heap, (due, lead_id))

    def next_ms(self) -> int | None:
        """When the next one is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, until_ms: int) -> str | None:
        """The lead that is due first, if it is by then; it waits no longer."""
        first = self.next_ms()
        if first is None or first > until_ms:
            return None
        lead_id = heappop(self._heap)[1]
        del self._due[lead_id]
        return lead_id
