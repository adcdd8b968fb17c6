"""What happens to a lead without an event: cooldowns end, scores fall, deadlines pass. When, and what then."""

from __future__ import annotations

from mqlstream.core.event import DAY_MS
from mqlstream.core.fall import may_rise, next_look, total_at, whole_minute
from mqlstream.core.lead import Lead
from mqlstream.core.outputs import Output, cooled, sla_breached
from mqlstream.core.plan import Plan, Program
from mqlstream.core.qualify import OPEN_STAGES, review
from mqlstream.core.scoring import EPSILON
from mqlstream.core.state import NEVER, Track
from mqlstream.core.tally import Tally


def set_timer(program: Program, lead: Lead, from_ms: int) -> None:
    """Note in the lead's state when it is next due, after all that is known at ``from_ms``; `NEVER` when nothing waits."""
    due: list[int] = []
    for index, plan in enumerate(program.plans):
        track = lead.state.tracks.get(plan.id)
        if track is not None and plan.live:
            due += _due(plan, lead, track, _tally(program, lead, index), from_ms)
    lead.state.due = min(due) if due else NEVER


def fire(program: Program, lead: Lead) -> list[Output]:
    """The lead's timer is due: do what is to be done at that moment, and set the next."""
    due = lead.state.due
    outputs: list[Output] = []
    for index, plan in enumerate(program.plans):
        track = lead.state.tracks.get(plan.id)
        if track is not None:
            outputs += _fire(program, plan, index, lead, track, due)
    set_timer(program, lead, due + 1)
    return outputs


def _tally(program: Program, lead: Lead, index: int) -> Tally:
    tally = lead.tallies[index]
    if tally is None:
        lead.tallies[index] = tally = Tally.over(program.plans[index], lead.ledger, lead.state.as_of)
    return tally


def _due(plan: Plan, lead: Lead, track: Track, tally: Tally, from_ms: int) -> list[int]:
    """The moments from ``from_ms`` on at which something may happen under a plan."""
    midnight = -(-from_ms // DAY_MS) * DAY_MS
    moments = []
    if track.stage in OPEN_STAGES and plan.qualifies is not None and track.quiet != lead.state.seq:
        if track.cooldown_until >= from_ms:
            moments.append(track.cooldown_until)
        elif tally.potential >= plan.needs:
            if plan.active_from is not None and plan.active_from >= from_ms:
                moments.append(plan.active_from)
            if plan.rises and may_rise(plan, lead, tally, max(from_ms, tally.at)):
                moments.append(midnight)
    if track.stage == "mql":
        if track.respond_by != NEVER and not track.breached:
            moments.append(max(track.respond_by, from_ms))
        if plan.rearm is not None and track.peaked:
            moments.append(_look(plan, lead, tally, plan.rearm.below, max(from_ms, lead.state.as_of)))
        elif plan.rearm is not None and plan.rises:
            moments.append(midnight)
    if _ages(plan, lead, track) and lead.state.first_seen + plan.ages[-1] + 1 >= from_ms:
        moments.append(midnight)
        if plan.active_from is not None and plan.active_from >= from_ms:
            moments.append(plan.active_from)  # whose age ended a disqualification since midnight may qualify on the first day
    return moments


def _ages(plan: Plan, lead: Lead, track: Track) -> bool:
    """Whether its age alone may disqualify an MQL, or end that of a lead that rules disqualified."""
    if track.stage != "mql" and (track.stage != "disqualified" or track.by_sales or track.quiet == lead.state.seq):
        return False
    return bool(plan.disqualify and plan.ages)


def _look(plan: Plan, lead: Lead, tally: Tally, below: float, from_ms: int) -> int:
    """When to look at a falling score. What was found before still holds while events only add to it."""
    attributes = lead.attributes()
    known = tally.look
    if known is None or known[0] < from_ms or known[1] is not attributes or tally.tiers or _may_cost(lead, tally, from_ms, known[0]):
        tally.look = known = next_look(plan, lead, tally, below, from_ms), attributes
    return known[0]


def _may_cost(lead: Lead, tally: Tally, from_ms: int, until_ms: int) -> bool:
    """Whether a gap that an activity has begun costs points before a moment, or one that it has ended brings none any more."""
    for gaps in tally.gaps:
        watched = gaps.plan
        if watched.points > 0 or gaps.next_due(lead.state.first_seen, lead.newest_activity(watched.key, from_ms), from_ms) < until_ms:
            return True
    return False


def _fire(program: Program, plan: Plan, index: int, lead: Lead, track: Track, due: int) -> list[Output]:
    state = lead.state
    outputs: list[Output] = []
    if track.stage == "mql" and track.respond_by != NEVER and not track.breached and track.respond_by <= due:
        state.as_of = max(state.as_of, due)
        track.breached = True
        outputs.append(sla_breached(plan, lead, track))
    if track.stage == "mql" and plan.rearm is not None and due == whole_minute(due):
        total = total_at(plan, lead, _tally(program, lead, index), due)
        fallen = total < plan.rearm.below - EPSILON
        if not fallen and due % DAY_MS == 0:
            track.peaked = True  # by time alone
        if fallen and track.peaked:
            state.as_of = max(state.as_of, due)
            outputs.append(cooled(plan, lead, track, total))
            track.enter("lead", state)
            track.cooldown_until = state.as_of + plan.rearm.cooldown_ms
            return outputs
    waits = track.stage in OPEN_STAGES and track.quiet != state.seq
    if due >= state.as_of and (waits or ((due % DAY_MS == 0 or due == plan.active_from) and _ages(plan, lead, track))):
        outputs += _look_at(program, plan, index, lead, due)
    return outputs


def _look_at(program: Program, plan: Plan, index: int, lead: Lead, at: int) -> list[Output]:
    """The conditions looked at without an event; the lead's ``as_of`` moves on only if that finds something."""
    state = lead.state
    before, state.as_of = state.as_of, at
    found = review(plan, program.shape, lead, _tally(program, lead, index).glance(at), None, True)
    if found:
        lead.tallies[index] = None
    else:
        state.as_of = before
    return found
