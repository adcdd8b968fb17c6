"""Reviews put off: while older events of a lead may still be on their way, it is scored but its stage stays where it is.

The state remembers the earliest moment that was not looked at (`LeadState.unreviewed`). Once all events before some time are
known, `catch_up` lives through the lead's moments up to there as if its events had come in order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise

from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.feedback import answer
from mqlstream.core.lead import Lead
from mqlstream.core.outcome import Outcome
from mqlstream.core.outputs import Output
from mqlstream.core.plan import Plan, Program
from mqlstream.core.qualify import OPEN_STAGES, review
from mqlstream.core.state import NEVER, Entry, LeadState
from mqlstream.core.tally import Tally
from mqlstream.core.timers import fire, set_timer


def put_off(program: Program, lead: Lead, time: int, changed: bool) -> None:
    """An event was counted: note that the lead is to be reviewed from its time on, unless nothing can come of that.

    ``changed``: whether its attributes may have.
    """
    state = lead.state
    if NEVER < state.unreviewed <= time:
        return
    if (program.has_timers and state.tracks) or any(
        _concerns(plan, lead, index, time, changed) for index, plan in enumerate(program.plans)
    ):
        state.unreviewed = time


def reviewed_until(state: LeadState, before_ms: int) -> int:
    """From when on moments of the lead are still to be looked at, when all events before ``before_ms`` have arrived."""
    return min(state.as_of, before_ms, before_ms if state.unreviewed == NEVER else state.unreviewed)


def _concerns(plan: Plan, lead: Lead, index: int, time: int, changed: bool) -> bool:
    """Whether an event may make a difference to the lead's stage under a plan."""
    if not plan.live:
        return False
    if plan.disqualify and (changed or plan.reads_age):
        return True
    track = lead.state.tracks.get(plan.id)
    if track is not None and track.stage not in OPEN_STAGES:
        return False
    if lead.state.as_of // DAY_MS - time // DAY_MS >= plan.horizon_days:
        return True  # it is not in the tally
    tally = lead.tallies[index]
    if tally is None:
        lead.tallies[index] = tally = Tally.over(plan, lead.ledger, lead.state.as_of)
    return tally.potential >= plan.needs


def catch_up(program: Program, lead: Lead, until_ms: int) -> list[Output]:
    """Review the lead at every moment from the first unreviewed one to before ``until_ms``; what that sets off, in order."""
    state = lead.state
    begin, ahead, tallies = state.unreviewed, state.as_of, lead.tallies
    if begin == NEVER or (begin >= until_ms and not (program.has_timers and NEVER < state.due < until_ms)):
        return []
    moments = _moments(lead, begin)
    _go_back(lead, begin)
    outputs: list[Output] = []
    for before, moment in pairwise([begin - 1, *moments]):
        if moment >= until_ms:
            break
        outputs += _fire_until(program, lead, moment)
        _move(program, lead, lead.ledger.between(before + 1, moment + 1), moment)
        for plan, tally in zip(program.plans, lead.tallies, strict=True):
            if tally is not None and _entered(lead, plan) <= moment:
                found = review(plan, program.shape, lead, tally, None, True)
                outputs += found
                if found:
                    _part(program, lead)
        if program.has_timers and all(track.entered <= moment for track in state.tracks.values()):
            set_timer(program, lead, moment)
    outputs += _fire_until(program, lead, min(until_ms - 1, ahead))
    state.as_of = max(ahead, state.as_of)
    lead.tallies = tallies
    if outputs:
        lead.recount()
    state.unreviewed = next((moment for moment in moments if moment >= until_ms), NEVER)
    return outputs


def answer_in_order(program: Program, lead: Lead, event: Event) -> tuple[Outcome, list[Output]]:
    """Apply sales' answer to the lead as it was then, whatever is known of later moments; see `mqlstream.core.feedback.answer`."""
    outputs = catch_up(program, lead, event.time + 1)
    state = lead.state
    ahead = state.as_of
    state.as_of = min(ahead, max([event.time, *(track.entered for track in state.tracks.values())]))
    lead.recount()
    outcome, moved = answer(program, lead, event)
    if moved:
        _part(program, lead)
    if program.has_timers:
        set_timer(program, lead, state.as_of)
    later = [moment for moment in _moments(lead, event.time + 1, ahead) if moment > state.as_of]
    state.as_of = max(ahead, state.as_of)
    lead.recount()
    if moved and later:
        state.unreviewed = later[0]
    return outcome, outputs + moved


def _entered(lead: Lead, plan: Plan) -> int:
    track = lead.state.tracks.get(plan.id)
    return NEVER if track is None else track.entered


def _moments(lead: Lead, begin: int, ahead: int = NEVER) -> list[int]:
    """The moments from ``begin`` on at which something happened to the lead, in order."""
    state = lead.state
    moments = {entry.time for entry in state.entries[bisect_left(state.entries, begin, key=_time) :]}
    moments.update(fact.time for fact in state.facts)
    moments.update(track.entered for track in state.tracks.values())  # where a late event is looked at, if it came before that
    moments.add(max(ahead, state.as_of))
    return sorted(moment for moment in moments if moment >= begin)


def _go_back(lead: Lead, begin: int) -> None:
    """Put the lead's clock back to where it stood before a moment."""
    state = lead.state
    place = bisect_left(state.entries, begin, key=_time)
    times = [state.entries[place - 1].time] if place else []
    times += [fact.time for fact in state.facts]
    times += [track.entered for track in state.tracks.values()]
    state.as_of = max((time for time in times if time < begin), default=NEVER)
    lead.recount()


def _fire_until(program: Program, lead: Lead, moment: int) -> list[Output]:
    """What time does to the lead up to and at a moment."""
    outputs: list[Output] = []
    while program.has_timers and NEVER < lead.state.due <= moment:
        found = fire(program, lead)
        outputs += found
        if found:
            _part(program, lead)
    return outputs


def _move(program: Program, lead: Lead, come: list[Entry], moment: int) -> None:
    """The lead's clock and sums move on to a moment, at which entries have come."""
    state = lead.state
    state.as_of = moment
    for index, plan in enumerate(program.plans):
        tally = lead.tallies[index]
        if tally is None or program.own_flood[index] or not _takes(plan, tally, come, moment):
            lead.tallies[index] = Tally.over(plan, lead.ledger, moment)
            continue
        for entry in come:
            tally.feed(entry)


def _takes(plan: Plan, tally: Tally, come: list[Entry], moment: int) -> bool:
    """Whether entries can be added to a tally as they are: nothing ages out, and a timer at the same moment has not made it of them."""
    counted = tally.counted
    return moment < tally.good_until and len(counted) + len(come) <= plan.ledger and not (counted and counted[-1].time >= moment)


def _part(program: Program, lead: Lead) -> None:
    """A stage may have been entered: entries up to now came before it, and those ahead come after it, as they would in order.

    Rules on the fast track ask that, by arrival numbers.
    """
    state = lead.state
    place = bisect_right(state.entries, state.as_of, key=_time)
    if place == len(state.entries) or all(plan.plain for plan in program.plans):
        return
    least = min(entry.seq for entry in state.entries[place:])
    moved = [entry for entry in state.entries[:place] if entry.seq > least] + state.entries[place:]
    for entry, number in zip(moved, sorted(entry.seq for entry in moved), strict=True):
        entry.seq = number
    since = state.entries[place].seq - 1
    for track in state.tracks.values():
        if track.entered == state.as_of:
            track.since = since
    lead.ledger.packer.forget()
    lead.recount()


def _time(entry: Entry) -> int:
    return entry.time
