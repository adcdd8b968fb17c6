"""Shadow definitions in the score stage: who qualifies under them, told on a topic of its own and counted. They move no lead.

Whether a lead qualified the last time is kept in its track (``peaked``, which nothing else uses there), so that only changes are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from mqlstream.core.lead import Lead
from mqlstream.core.outputs import definition_of
from mqlstream.core.plan import Plan, Program
from mqlstream.core.qualify import holds
from mqlstream.core.scoring import explain, grade_of, score_of
from mqlstream.core.state import Track
from mqlstream.core.table import LeadTable
from mqlstream.core.tally import Tally
from mqlstream.engine.interfaces import Output

FOUND = ("with_live", "before_live", "ended", "live_with", "live_without")
"""How a shadow and the live definitions agree. A lead begins to qualify under the shadow that was (``with_live``) or was not yet
(``before_live``) handed off under a live one, or no longer does (``ended``). A lead is handed off under a live one that does
(``live_with``) or does not (``live_without``) qualify under the shadow."""


class Shadows:
    """What one score task tells of shadow definitions."""

    def __init__(self, table: LeadTable, topic: str) -> None:
        self._table = table
        self._topic = topic
        self._program: Program | None = None
        self._plans: list[tuple[int, Plan]] = []
        self._handed_off: set[str] = set()

    @property
    def active(self) -> bool:
        """Whether any definition in force is a shadow."""
        if self._program is not self._table.program:
            self._program = self._table.program
            self._plans = [(index, plan) for index, plan in enumerate(self._program.plans) if not plan.live]
        return bool(self._plans)

    def handed_off(self, lead_id: str) -> None:
        """A live definition made the lead an MQL."""
        self._handed_off.add(lead_id)

    def look(self, leads: Iterable[Lead]) -> tuple[list[Output], list[tuple[str, str]]]:
        """Look at leads that were worked on, before they are packed: what to write, and what to count (definition, one of `FOUND`)."""
        outputs: list[Output] = []
        counts: list[tuple[str, str]] = []
        for lead in leads:
            for index, plan in self._plans:
                if not lead.state.seq:
                    outputs.append(Output(self._topic, _key(plan, lead), None))
                    continue
                track = lead.state.tracks.get(plan.id)
                before, now = track is not None and track.peaked, self._qualifies(plan, index, lead)
                if now != before:
                    lead.track(plan.id).peaked = now
                    outputs.append(Output(self._topic, _key(plan, lead), orjson.dumps(self._told(plan, lead, now))))
                    counts.append((plan.id, "ended" if not now else "with_live" if self._is_live_mql(lead) else "before_live"))
                if lead.id in self._handed_off:
                    counts.append((plan.id, "live_with" if now else "live_without"))
        self._handed_off.clear()
        return outputs, counts

    def _qualifies(self, plan: Plan, index: int, lead: Lead) -> bool:
        as_of = lead.state.as_of
        if plan.qualifies is None:
            return False
        tally = lead.tallies[index]
        if tally is None:
            lead.tallies[index] = tally = Tally.over(plan, lead.ledger, as_of)
        if tally.potential < plan.needs:
            return False
        return holds(plan, lead, lead.state.tracks.get(plan.id) or Track(), tally, as_of)

    def _told(self, plan: Plan, lead: Lead, qualifies: bool) -> dict[str, Any]:
        explained = explain(plan, lead, lead.state.as_of)
        return {
            "lead_id": lead.id,
            "definition": definition_of(plan),
            "as_of": lead.state.as_of,
            "qualifies": qualifies,
            "score": score_of(plan, explained.sums),
            "grade": grade_of(plan, explained.sums),
            "contributions": explained.contributions,
            "live": [{"definition": live.id, "stage": track.stage, "cycle": track.cycle} for live, track in self._live(lead)],
        }

    def _is_live_mql(self, lead: Lead) -> bool:
        return any(track.cycle for _, track in self._live(lead))

    def _live(self, lead: Lead) -> Iterator[tuple[Plan, Track]]:
        for plan in self._table.program.plans:
            if plan.live:
                yield plan, lead.state.tracks.get(plan.id) or Track()


def _key(plan: Plan, lead: Lead) -> bytes:
    return f"{plan.id}/{lead.id}".encode()
