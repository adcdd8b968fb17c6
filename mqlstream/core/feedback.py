"""Sales' answers: how a decision about a handoff moves the lead's stage. What does not fit is left alone and counted."""

from __future__ import annotations

from typing import NamedTuple

from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.core.outcome import SCORED, Outcome, Reason, ignored
from mqlstream.core.outputs import Output, handoff_id, stage_changed
from mqlstream.core.plan import Plan, Program
from mqlstream.core.state import HEARD_MAX, Answer, Track

WITH_SALES = ("mql", "sal", "sql", "opportunity")  # stages with an open handoff, in the order sales goes through them


class Move(NamedTuple):
    stage: str
    before: tuple[str, ...]  # the stages it may come from: sales may skip some, never go back


MOVES = {
    "accepted": Move("sal", WITH_SALES[:1]),
    "qualified": Move("sql", WITH_SALES[:2]),
    "opportunity": Move("opportunity", WITH_SALES[:3]),
    "won": Move("customer", WITH_SALES),
    "rejected": Move("recycled", WITH_SALES),
    "recycled": Move("recycled", WITH_SALES),
    "lost": Move("recycled", WITH_SALES),
    "disqualified": Move("disqualified", WITH_SALES),
}


def answer(program: Program, lead: Lead, event: Event) -> tuple[Outcome, list[Output]]:
    """Apply one feedback event; `out_of_turn` when it fits no open handoff, `duplicate` when it was heard before."""
    state = lead.state
    if any((each.source, each.id) == (event.source, event.id) for each in state.heard):
        return ignored(Reason.DUPLICATE), []
    index = _answered(program, lead, event)
    if index is None:
        return ignored(Reason.OUT_OF_TURN), []
    plan = program.plans[index]
    track = lead.track(plan.id)
    move = MOVES[event.body["decision"]]
    if track.stage not in move.before:
        return ignored(Reason.OUT_OF_TURN), []
    body = event.body
    heard = Answer(event.time, event.source, event.id, body["decision"], plan.id, body.get("by"), body.get("reason"))
    state.heard = [*state.heard, heard][-HEARD_MAX:]
    state.seq += 1
    state.as_of = max(state.as_of, event.time)
    before = track.stage
    track.enter(move.stage, state)
    if move.stage == "recycled":
        _recycle(plan, lead, track, event)
        lead.tallies[index] = None  # made again, from where the dimensions start again
    if move.stage == "disqualified":
        track.by_sales = True
    return SCORED, [stage_changed(plan, lead, track, before, heard.decision, heard.reason, heard.by)]


def _answered(program: Program, lead: Lead, event: Event) -> int | None:
    """The definition whose open handoff is meant: by its id, by the definition's, or as the only one that is open."""
    tracks = lead.state.tracks
    opened = [index for index, plan in enumerate(program.plans) if plan.id in tracks and tracks[plan.id].stage in WITH_SALES]
    named, definition = event.body.get("handoff_id"), event.body.get("definition")
    if named is not None:
        opened = [index for index in opened if handoff_id(program.plans[index], lead, tracks[program.plans[index].id]) == named]
    if definition is not None:
        opened = [index for index in opened if program.plans[index].id == definition]
    return opened[0] if len(opened) == 1 else None


def _recycle(plan: Plan, lead: Lead, track: Track, event: Event) -> None:
    """Dimensions start again where the definition says so, and the lead rests for the cooldown."""
    if plan.recycle is None:
        return
    track.cooldown_until = lead.state.as_of + plan.recycle.cooldown_ms
    for dimension, value in plan.recycle.values.items():
        track.marks[dimension] = (event.time, event.source, event.id, value)
