"""When a lead changes its stage by itself: disqualified, qualified again, MQL. Sales' moves are not here.

A stage depends on what was known when; it is recorded in the track, never recomputed.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace

from mqlstream.core.lead import Lead
from mqlstream.core.ledger import countable
from mqlstream.core.outputs import Output, became_mql, mql_withdrawn, stage_changed
from mqlstream.core.plan import Attributes, HandoffShape, Moment, Plan
from mqlstream.core.scoring import EPSILON, attributes_at, node_sums
from mqlstream.core.state import NEVER, RETRACTED, Track
from mqlstream.core.tally import Tally

OPEN_STAGES = ("lead", "recycled")  # from which a lead can become MQL


def review(plan: Plan, shape: HandoffShape, lead: Lead, tally: Tally, look_back_ms: int | None, recheck: bool) -> list[Output]:
    """Look at the plan's conditions after a change of the lead.

    ``look_back_ms`` is the time of a late event: the condition is looked at there too, and at every event after it.
    ``recheck`` False: no attribute has changed, so neither has the answer of disqualify.
    """
    if not plan.live:
        return []  # a shadow is scored, and moves no lead
    if not plan.disqualify and tally.potential < plan.needs and plan.id not in lead.state.tracks:
        return []  # nothing has begun, and nothing can yet
    track = lead.track(plan.id)
    outputs: list[Output] = []
    as_of = lead.state.as_of
    if plan.disqualify and (recheck or plan.reads_age):
        outputs += _disqualify(plan, lead, track, attributes_at(plan, lead, as_of))
    if track.stage == "mql" and plan.rearm is not None and not track.peaked:
        track.peaked = _total(plan, lead, tally) >= plan.rearm.below - EPSILON
    if track.stage not in OPEN_STAGES or plan.qualifies is None or as_of < track.cooldown_until:
        return outputs
    if lead.state.commands is not None and lead.state.commands.frozen:
        return outputs
    if tally.potential < plan.needs:
        return outputs
    since = as_of if look_back_ms is None else max(look_back_ms, track.entered, track.cooldown_until)
    moment = as_of if since >= as_of else None
    if moment is None:
        moment = _first_moment(plan, lead, track, since)
    elif not holds(plan, lead, track, tally, as_of):
        moment = None
    if moment is not None:
        outputs.append(_become_mql(plan, shape, lead, track, tally, moment))
    return outputs


def withdraw_if_groundless(plan: Plan, lead: Lead, reason: str) -> list[Output]:
    """After a correction: an open handoff that nothing would have set off, from its moment until now, is withdrawn."""
    track = lead.state.tracks.get(plan.id)
    if track is None or track.stage != "mql" or plan.qualifies is None or has_ground(plan, lead):
        return []
    track.enter("lead", lead.state)
    return [mql_withdrawn(plan, lead, track, "lead", reason)]


def has_ground(plan: Plan, lead: Lead) -> bool:
    """Whether what is known today would have set off the lead's open handoff, from its moment until now.

    What holds handoffs back takes no ground away.
    """
    track = lead.state.tracks.get(plan.id)
    if track is None or track.stage != "mql" or plan.qualifies is None:
        return False
    then = copy(track)
    then.since = track.ground
    free = replace(plan, disqualify=(), freeze=(), active_from=None, active_until=None)
    return _first_moment(free, lead, then, track.qualified_at) is not None


def _total(plan: Plan, lead: Lead, tally: Tally) -> float:
    as_of = lead.state.as_of
    tally.settle(as_of)
    return node_sums(plan, lead, tally, attributes_at(plan, lead, as_of))[plan.total]


def _disqualify(plan: Plan, lead: Lead, track: Track, attributes: Attributes) -> list[Output]:
    found = next((condition.id for condition in plan.disqualify if condition.holds(attributes)), None)
    before = track.stage
    if found is not None and before in ("lead", "recycled", "mql"):
        track.enter("disqualified", lead.state)
        if before == "mql":
            return [mql_withdrawn(plan, lead, track, "disqualified", found)]
        return [stage_changed(plan, lead, track, before, found)]
    if found is None and before == "disqualified" and not track.by_sales:
        track.enter("lead", lead.state)
        return [stage_changed(plan, lead, track, before, "no longer disqualified")]
    return []


def holds(plan: Plan, lead: Lead, track: Track, tally: Tally, as_of: int) -> bool:
    """Whether the lead qualifies at ``as_of``, up to which the tally has counted."""
    if (plan.active_from is not None and as_of < plan.active_from) or (plan.active_until is not None and as_of >= plan.active_until):
        return False
    attributes = attributes_at(plan, lead, as_of)
    if any(condition.holds(attributes) for condition in plan.disqualify) or any(condition.holds(attributes) for condition in plan.freeze):
        return False
    tally.settle(as_of)
    assert plan.qualifies is not None
    return plan.qualifies(Moment(node_sums(plan, lead, tally, attributes), attributes, awarded_in_cycle(plan, tally, track, attributes)))


def fulfils(plan: Plan, lead: Lead, at_ms: int) -> bool:
    """Whether the lead's score qualifies it under the plan at a moment, whatever its stage and the day; made from scratch."""
    if plan.qualifies is None:
        return False
    if plan.active_from is not None or plan.active_until is not None:
        plan = replace(plan, active_from=None, active_until=None)
    tally = Tally.over(plan, lead.ledger, at_ms)
    return tally.potential >= plan.needs and holds(plan, lead, lead.state.tracks.get(plan.id) or Track(), tally, at_ms)


def awarded_in_cycle(plan: Plan, tally: Tally, track: Track, attributes: Attributes) -> Callable[[int], bool]:
    """Whether a rule was awarded in this cycle, and is not switched off by the lead's attributes."""

    def awarded(index: int) -> bool:
        gate = plan.rules[index].gate
        return tally.awarded.get(index, 0) > track.since and (gate is None or plan.gates[gate](attributes))

    return awarded


def _first_moment(plan: Plan, lead: Lead, track: Track, since: int) -> int | None:
    """The earliest moment from ``since`` on at which the condition holds: a late event may have made it true in the past."""
    as_of = lead.state.as_of
    entries = countable(plan, lead.ledger, as_of)
    moments = {entry.time for entry in entries if entry.time > since and not entry.flags & RETRACTED}
    moments.update(fact.time for fact in lead.state.facts if fact.time > since)
    tally = Tally(plan, lead.ledger)
    fed = 0
    for moment in [since, *sorted(moments), *([as_of] if as_of not in moments else [])]:
        while fed < len(entries) and entries[fed].time <= moment:
            tally.feed(entries[fed])
            fed += 1
        if tally.potential >= plan.needs and holds(plan, lead, track, tally, moment):
            return moment
    return None


def _become_mql(plan: Plan, shape: HandoffShape, lead: Lead, track: Track, tally: Tally, moment: int) -> Output:
    track.cycle += 1
    track.ground = track.since
    track.enter("mql", lead.state)
    track.qualified_at = moment
    track.first_mql_at = moment if track.cycle == 1 else track.first_mql_at
    track.opened = lead.state.as_of
    if plan.sla is not None:
        respond_by = plan.sla.hours.after(track.opened, plan.sla.accept_within_ms)
        track.respond_by = NEVER if respond_by is None else respond_by
    if plan.rearm is not None:
        track.peaked = _total(plan, lead, tally) >= plan.rearm.below - EPSILON
    return became_mql(plan, shape, lead, track)
