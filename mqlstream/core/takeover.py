"""A new version of a definition takes over a lead: what that changes, and whom it hands off.

It counts like a timer that is due at the activation's time: the lead's as_of moves there only when something comes of it. The
result depends on the lead's state and on the two programs alone, so it does not matter when it is worked out, as long as
nothing else happens to the lead before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from mqlstream.core.completing import note_activity
from mqlstream.core.deferral import catch_up
from mqlstream.core.lead import Lead
from mqlstream.core.outputs import Output
from mqlstream.core.packing import lay_out
from mqlstream.core.plan import Plan, Program
from mqlstream.core.qualify import OPEN_STAGES, fulfils, review
from mqlstream.core.scoring import EPSILON, attributes_at, node_sums
from mqlstream.core.state import NEVER, LeadState
from mqlstream.core.step import open_lead
from mqlstream.core.tally import Tally
from mqlstream.core.timers import fire, set_timer

HANDOFF = ("none", "new", "all")
_END = 2**62  # after any event


class Change(NamedTuple):
    """Which definition changes, when (epoch milliseconds), and who is handed off by that alone: one of `HANDOFF`. None but what
    ledgers keep: ``definition`` is empty.

    ``before_ms`` is as in `mqlstream.core.step.step`: given while older events may be missing.
    """

    definition: str
    at_ms: int
    handoff: str
    before_ms: int | None = None


class TakeOver:
    """From one program to the next, which differ in one definition."""

    def __init__(self, old: Program, new: Program, change: Change) -> None:
        self.old = old
        self.new = new
        self.change = change
        self._old_plan = _plan(old, change.definition)
        self._plan = _plan(new, change.definition)

    def lead(self, lead_id: str, state: LeadState) -> tuple[Lead, list[Output]]:
        """The lead under the new program, and what that set off, in order. ``state`` is laid out as the old program has it."""
        change = self.change
        lead = open_lead(self.old, lead_id, state)
        outputs = self._finish(lead)
        state = lead.state
        at_ms = max(state.as_of, change.at_ms)
        held = self._asks_before(state) and self._old_plan is not None and fulfils(self._old_plan, lead, at_ms)
        lay_out(state.entries, self.old.layout, self.new.layout)
        lead = open_lead(self.new, lead_id, state)
        plan = self._plan
        if plan is not None:
            note_activity(plan, lead)
            if plan.live and not (state.commands is not None and state.commands.merged_into):
                outputs += self._look(plan, lead, at_ms, held)
        if not (self.new.has_timers and state.tracks):
            state.due = NEVER
        elif state.unreviewed == NEVER:
            set_timer(self.new, lead, at_ms if change.before_ms is None else state.as_of)
        return lead, outputs

    def _finish(self, lead: Lead) -> list[Output]:
        """What the old program still has to do: moments that can be reviewed by now, and timers that are due."""
        before_ms = self.change.before_ms
        outputs = catch_up(self.old, lead, _END if before_ms is None else before_ms)
        until_ms = self.change.at_ms if before_ms is None else min(before_ms, self.change.at_ms)
        while self.old.has_timers and lead.state.unreviewed == NEVER and NEVER < lead.state.due < until_ms:
            outputs += fire(self.old, lead)
        return outputs

    def _asks_before(self, state: LeadState) -> bool:
        """Whether it matters if the lead fulfilled the old version."""
        if self._old_plan is None or self._plan is None or self.change.handoff == "all":
            return False
        return self.change.handoff == "new" or (self.new.has_timers and self._plan.id in state.tracks)

    def _look(self, plan: Plan, lead: Lead, at_ms: int, held: bool) -> list[Output]:
        """The lead's stage under the new version: `none` lets it be, `new` holds back those who fulfilled the old one too."""
        state = lead.state
        track = state.tracks.get(plan.id)
        if track is not None and track.stage == "mql":
            # A fall under the new version's `rearm` begins with it: what the new version makes of the past is none.
            track.peaked = plan.rearm is not None and _total(plan, lead, at_ms) >= plan.rearm.below - EPSILON
        if self.change.handoff == "none":
            if track is not None and track.stage in OPEN_STAGES and not held and fulfils(plan, lead, at_ms):
                track.quiet = state.seq
            return []
        before = state.as_of
        state.as_of = at_ms
        tally = Tally.over(plan, lead.ledger, at_ms)
        found = review(replace(plan, qualifies=None) if held else plan, self.new.shape, lead, tally, None, True)
        if found:
            lead.recount()
        else:
            state.as_of = before
        return found


def _plan(program: Program, definition: str) -> Plan | None:
    return next((plan for plan in program.plans if plan.id == definition), None)


def _total(plan: Plan, lead: Lead, at_ms: int) -> float:
    return node_sums(plan, lead, Tally.over(plan, lead.ledger, at_ms), attributes_at(plan, lead, at_ms))[plan.total]
