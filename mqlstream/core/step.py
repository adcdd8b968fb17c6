"""One function is the product: one event applied to one lead. Production, offline scoring and tests all call it.

No I/O, no clock, no randomness: what comes out depends on the program, the lead and the event alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mqlstream.core.commands import ADOPT, RETRACT, VERDICT, correction, obey, passed_on
from mqlstream.core.completing import COMPLETE, complete
from mqlstream.core.deferral import answer_in_order, catch_up, put_off, reviewed_until
from mqlstream.core.event import ACTIVITY_KINDS, DAY_MS, KINDS, Event
from mqlstream.core.feedback import answer
from mqlstream.core.inactivity import ends_gap
from mqlstream.core.lead import Lead
from mqlstream.core.ledger import Ledger
from mqlstream.core.outcome import NO_REASON, SCORED, Outcome, Reason, ignored
from mqlstream.core.outputs import Output
from mqlstream.core.plan import Program
from mqlstream.core.qualify import review
from mqlstream.core.state import EMAIL, MACHINE, NEVER, RETRACTED, Entry, LeadState
from mqlstream.core.tally import Tally
from mqlstream.core.timers import set_timer

_KIND = {kind: index for index, kind in enumerate(KINDS)}
_IN_LEDGER = len(ACTIVITY_KINDS)
_PROFILE = _KIND["profile"]

_NOTHING: list[Output] = []


class Result(NamedTuple):
    """How the event ended, and what it set off, in order."""

    outcome: Outcome
    outputs: list[Output]
    forwards: Sequence[Event] = ()  # to other leads, as events of theirs


_SCORED = Result(SCORED, _NOTHING)


def open_lead(program: Program, lead_id: str, state: LeadState | None = None) -> Lead:
    """A lead opened for `step`: from its packed state, or one never heard of."""
    state = state if state is not None else LeadState()
    return Lead(lead_id, state, Ledger(state, program.per_day), len(program.plans), program.email_lists)


def step(program: Program, lead: Lead, event: Event, before_ms: int | None = None) -> Result:
    """Apply one event to its lead, in place, and tell how it ended. A lead belongs to one caller at a time.

    ``before_ms`` is given while events may be missing: all before it have arrived. The lead is then scored but not reviewed;
    `mqlstream.core.deferral.catch_up` makes up for that.
    """
    kind = _KIND[event.kind]
    if kind > _PROFILE or lead.state.commands is not None:
        told = _told(program, lead, event, before_ms)
        if told is not None:
            return told
    state = lead.state
    time = event.time
    source = lead.ledger.source(event.source)
    values = program.extract[kind](event, state.tracks)
    machine = event.machine or (state.commands is not None and correction(state.commands, event.source, event.id) == VERDICT)
    entry = Entry(time, source, event.id, kind, state.seq + 1, MACHINE if machine else 0, values)
    known = lead.ledger.find(event.id, source)
    if known is not None or state.facts:
        repeated = _repeated(program, lead, known, entry)
        if repeated is not None:
            return Result(ignored(repeated), _NOTHING)
    state.seq += 1
    late = time < state.as_of
    if not late:
        state.as_of = time
    changed = None in lead.tallies  # the first look since the lead was opened
    if event.attributes or event.email or time < state.first_seen or state.first_seen == NEVER:
        changed = _learn(lead, event, source) or changed
    reason = NO_REASON
    if kind < _IN_LEDGER:
        if program.watches_gaps:
            _note_activity(program, lead, entry)
        reason = _count(program, lead, entry, state.as_of if before_ms is None else reviewed_until(state, before_ms))
    else:
        _age(program, lead)
    outputs = _NOTHING
    if before_ms is not None:
        put_off(program, lead, time, changed or (late and bool(event.attributes or event.email)))
        return _SCORED if reason is NO_REASON else Result(ignored(reason), outputs)
    tallies = lead.tallies
    for index, plan in enumerate(program.plans):
        tally = tallies[index]
        if tally is None:
            tallies[index] = tally = Tally.over(plan, lead.ledger, state.as_of)
        if changed or tally.potential >= plan.needs or plan.rearm is not None:
            found = review(plan, program.shape, lead, tally, time if late else None, changed)
            outputs = outputs + found if found else outputs
    if program.has_timers and state.tracks:
        set_timer(program, lead, state.as_of)
    if reason is NO_REASON:
        return Result(SCORED, outputs) if outputs else _SCORED
    return Result(ignored(reason), outputs)


def _told(program: Program, lead: Lead, event: Event, before_ms: int | None) -> Result | None:
    """Feedback and commands, and events of which a command has said something; None: go on as with any other."""
    commands = lead.state.commands
    what = event.body["do"] if event.kind == "command" else None
    if commands is not None and commands.merged_into and what not in ("merge", "erase"):
        if commands.merged_into not in event.via:
            return Result(ignored(Reason.MERGED), _NOTHING, passed_on(lead, event))
        if what != ADOPT:
            commands.merged_into = ""
    if event.kind == "feedback":
        if before_ms is not None:
            return Result(*answer_in_order(program, lead, event))
        result = Result(*answer(program, lead, event))
        if program.has_timers:
            set_timer(program, lead, lead.state.as_of)
        lead.recount()  # in its new stage the next event looks at everything, attributes that have not changed since included
        return result
    if what == COMPLETE:
        return Result(complete(program, lead, event), _NOTHING)
    if what is not None:
        made_up = [] if before_ms is None else catch_up(program, lead, event.time + 1)
        outcome, outputs, forwards = obey(program, lead, event)
        return Result(outcome, made_up + outputs, forwards)
    if commands is not None and correction(commands, event.source, event.id) == RETRACT:
        lead.see(event.time)  # as if it had come before it was taken back
        _hold_place(program, lead, event)
        return Result(ignored(Reason.RETRACTED), _NOTHING)
    return None


def _hold_place(program: Program, lead: Lead, event: Event) -> None:
    """An event that was retracted before it came takes the place that it would have had, and those after it none."""
    kind, state = _KIND[event.kind], lead.state
    source = lead.ledger.source(event.source)
    days = state.as_of // DAY_MS - event.time // DAY_MS
    if kind >= _IN_LEDGER or days >= program.horizon_days or lead.ledger.find(event.id, source) is not None:
        return
    blank = (None,) * len(program.layout.paths[kind])
    if lead.ledger.add(Entry(event.time, source, event.id, kind, state.seq, RETRACTED, blank))[0] is NO_REASON:
        lead.recount()
        if program.has_timers and state.tracks:
            set_timer(program, lead, state.as_of)


def _repeated(program: Program, lead: Lead, known: Entry | None, entry: Entry) -> Reason | None:
    """Whether the lead has this (source, id) already: the first to arrive counts."""
    if known is not None:
        if known.flags & RETRACTED:
            return Reason.RETRACTED  # so long ago that only its place tells
        fields = program.event_fields[entry.kind] if entry.kind < _IN_LEDGER else 0
        same = (known.time, known.kind, known.flags & MACHINE) == (entry.time, entry.kind, entry.flags)
        if same and known.values[:fields] == entry.values[:fields]:
            return Reason.DUPLICATE
        return Reason.CONFLICTING_DUPLICATE
    for fact in lead.state.facts:
        if fact.id == entry.id and fact.source == entry.source:
            return Reason.DUPLICATE if fact.time == entry.time else Reason.CONFLICTING_DUPLICATE
    return None


def _learn(lead: Lead, event: Event, source: int) -> bool:
    """Take what the event says of the lead; whether anything its conditions may read has changed."""
    changed = lead.see(event.time)
    if event.attributes or event.email:
        said = dict(event.attributes) if event.attributes else {}
        if event.email:
            said[EMAIL] = event.email
        changed = lead.learn(event.time, source, event.id, said) or changed
    return changed


def _note_activity(program: Program, lead: Lead, entry: Entry) -> None:
    """Remember the newest activity for every inactivity entry: it never ages out."""
    newest = lead.state.newest
    for plan in program.plans:
        for watched in plan.inactivity:
            if entry.time > newest.get(watched.key, NEVER) and ends_gap(watched, entry):
                newest[watched.key] = entry.time


def _count(program: Program, lead: Lead, entry: Entry, reviewed: int) -> Reason:
    """Place an entry in the ledger and in every tally; the reason if it counts for no definition.

    What is too old by ``reviewed`` counts no more. That is the lead's as_of, or less while older moments are still to be looked at.
    """
    as_of = lead.state.as_of
    age_days = reviewed // DAY_MS - entry.time // DAY_MS if as_of != entry.time else 0
    if age_days >= program.horizon_days:
        return Reason.TOO_OLD
    reason, newest = lead.ledger.add(entry)
    if reason is not NO_REASON:
        return reason
    reason = Reason.LEDGER_FULL
    shed = False
    for index, plan in enumerate(program.plans):
        if age_days >= plan.horizon_days:
            reason = Reason.TOO_OLD
            continue
        if reviewed != as_of and as_of // DAY_MS - entry.time // DAY_MS >= plan.horizon_days:
            reason = NO_REASON  # it counts at older moments only
            continue
        tally = lead.tallies[index]
        if tally is not None and not program.own_flood[index] and not (newest and tally.resets and tally.started_again_after(entry)):
            if newest and as_of < tally.good_until and len(tally.counted) < plan.ledger:
                tally.feed(entry)
                reason = NO_REASON
                continue
            if tally.make_room(as_of) if newest else tally.slip_in(entry):
                if newest:
                    tally.feed(entry)
                    shed = True
                reason = NO_REASON
                continue
        lead.tallies[index] = tally = Tally.over(plan, lead.ledger, as_of)
        shed = True
        if any(counted is entry for counted in tally.counted):
            reason = NO_REASON
    if shed:
        _shed(program, lead, reviewed)
    return reason


def _age(program: Program, lead: Lead) -> None:
    """A profile moved as_of on: make tallies again from which something has aged out."""
    as_of = lead.state.as_of
    for index, plan in enumerate(program.plans):
        tally = lead.tallies[index]
        if tally is not None and as_of >= tally.good_until:
            lead.tallies[index] = Tally.over(plan, lead.ledger, as_of)


def _shed(program: Program, lead: Lead, as_of: int) -> None:
    """Let go of the entries that can count for no definition from ``as_of`` on, whole UTC days at a time."""
    keep_from = as_of
    for plan, tally in zip(program.plans, lead.tallies, strict=True):
        needed = (as_of // DAY_MS - plan.horizon_days + 1) * DAY_MS
        if tally is None:
            keep_from = min(keep_from, needed)
        elif len(tally.counted) >= plan.ledger:
            keep_from = min(keep_from, max(needed, tally.counted[0].time // DAY_MS * DAY_MS))
        else:
            keep_from = min(keep_from, needed)
    entries = lead.state.entries
    if entries and entries[0].time < keep_from:
        lead.ledger.drop_before(keep_from)
