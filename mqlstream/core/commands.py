"""What operators ask for: corrections of a lead's events, merging, erasing, resetting, holding handoffs back.

A command is applied in the lead's one order, once, and noted in the lead's audit. Merging takes two leads, which other tasks
may own: what the one gives up goes to the other as an event of its own (``do: adopt``), and so does all that still comes.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.feedback import WITH_SALES
from mqlstream.core.inactivity import ends_gap
from mqlstream.core.lead import Lead
from mqlstream.core.outcome import SCORED, Outcome, Reason, ignored
from mqlstream.core.outputs import Output, erased, mql_withdrawn, stage_changed
from mqlstream.core.packing import Packer, PackingError, lay_out, unpack
from mqlstream.core.plan import Layout, Program
from mqlstream.core.qualify import has_ground, review, withdraw_if_groundless
from mqlstream.core.state import HEARD_MAX, MACHINE, NEVER, RETRACTED, Commands, Entry, LeadState, Track
from mqlstream.core.tally import Tally
from mqlstream.core.timers import set_timer

ADOPT = "adopt"  # never from outside: ingest takes no such command
CORRECTED_MAX = 256  # events of a lead that are known to be retracted or a machine's
AUDIT_MAX = 32
ADOPTED_MAX = 256  # leads merged into one that are known to have been
ADOPTED_BYTES = 1_000_000  # of a ledger on its way to another lead: what is older than fits stays behind

RETRACT = "retract"
VERDICT = "machine_verdict"


class Done(NamedTuple):
    """How a command ended, what it set off, and the events that are passed on to other leads."""

    outcome: Outcome
    outputs: list[Output]
    forwards: Sequence[Event] = ()


def obey(program: Program, lead: Lead, event: Event) -> Done:
    """Apply one command; `duplicate` when the lead knows it already, `unknown_lead` when there is nothing it could concern."""
    what = event.body["do"]
    state = lead.state
    if what == "erase":
        return _erase(program, lead, event)
    commands = state.commands = state.commands or Commands()
    if any(told[2:4] == (event.source, event.id) for told in commands.audit):
        return Done(ignored(Reason.DUPLICATE), [])
    state.seq += 1
    lead.see(event.time)
    state.as_of = max(state.as_of, event.time)
    told = (event.time, what, event.source, event.id, event.body.get("by"), event.body.get("reason"), _about(event))
    commands.audit = [*commands.audit, told][-AUDIT_MAX:]
    lead.recount()
    outputs, forwards = _DOES[what](program, lead, event)
    if program.has_timers:
        set_timer(program, lead, state.as_of)
    lead.recount()  # the next event looks at everything, as after a restart
    return Done(SCORED, outputs, forwards)


def _about(event: Event) -> str:
    """What a command is about besides its lead: an event by source and id, or the other lead of a merge."""
    body = event.body
    if event.body["do"] in (RETRACT, VERDICT):
        return f"{body['event_source']}\x1f{body['event_id']}"
    return event.via[-1] if event.via else str(body.get("into") or "")


def correction(commands: Commands, source: str, event_id: str) -> str | None:
    """What was said of an event: `RETRACT`, `VERDICT` or nothing."""
    found = commands.corrected.get(f"{source}\x1f{event_id}")
    return None if found is None else found[0]


def passed_on(lead: Lead, event: Event) -> list[Event]:
    """An event of a lead that was merged, on its way to the lead that goes on."""
    assert lead.state.commands is not None
    return [msgspec.structs.replace(event, lead=lead.state.commands.merged_into, via=(*event.via, lead.id))]


def _correct(program: Program, lead: Lead, event: Event) -> tuple[list[Output], Sequence[Event]]:
    """`retract` and `machine_verdict`: what they say of an event holds whether it is here already or still to come."""
    state, commands, body = lead.state, lead.state.commands, event.body
    assert commands is not None
    source, event_id, what = body["event_source"], body["event_id"], body["do"]
    key = f"{source}\x1f{event_id}"
    if commands.corrected.get(key, ("", 0))[0] != RETRACT:  # a retracted event stays so, whoever did it
        oldest_ms = state.as_of - program.horizon_days * DAY_MS
        known = {k: told for k, told in commands.corrected.items() if told[1] >= oldest_ms}
        known[key] = (what, event.time)
        commands.corrected = dict(list(known.items())[-CORRECTED_MAX:])
    since = state.as_of
    grounded = [plan.id for plan in program.plans if has_ground(plan, lead)]
    entry = lead.ledger.find(event_id, state.sources.index(source)) if source in state.sources else None
    if entry is not None:
        since = entry.time
        if what == RETRACT:
            entry.flags, entry.values = RETRACTED, (None,) * len(entry.values)
        else:
            entry.flags |= MACHINE
        lead.ledger.packer.forget()
        _forget_activity(program, lead, entry.time)
    if what == RETRACT and source in state.sources:
        number = state.sources.index(source)
        since = min([fact.time for fact in state.facts if (fact.source, fact.id) == (number, event_id)], default=since)
        state.facts = [fact for fact in state.facts if (fact.source, fact.id) != (number, event_id)]
        lead.forget_view()
    return _look_again(program, lead, since, "event retracted" if what == RETRACT else "machine activity", grounded), ()


def _forget_activity(program: Program, lead: Lead, time: int) -> None:
    """An activity was none: where it was the newest one, that is the newest of those that are left."""
    newest = lead.state.newest
    for plan in program.plans:
        for watched in plan.inactivity:
            if newest.get(watched.key) == time:
                del newest[watched.key]
                left = [entry.time for entry in lead.state.entries if ends_gap(watched, entry)]
                newest.update({watched.key: max(left)} if left else {})


def _look_again(program: Program, lead: Lead, since_ms: int, reason: str | None, grounded: Collection[str] | None = None) -> list[Output]:
    """The lead's events have changed from a time on: what has found its ground comes; what has lost it goes, given a ``reason``.

    ``grounded`` are the definitions whose handoff had its ground until now; what another lost with time is no loss of today.
    """
    outputs: list[Output] = []
    for index, plan in enumerate(program.plans):
        if not plan.live:
            continue
        lost = reason is not None and (grounded is None or plan.id in grounded)
        withdrawn = withdraw_if_groundless(plan, lead, reason or "") if lost else []
        outputs += withdrawn
        if not withdrawn:
            tally = lead.tallies[index] = Tally.over(plan, lead.ledger, lead.state.as_of)
            outputs += review(plan, program.shape, lead, tally, since_ms if since_ms < lead.state.as_of else None, True)
    return outputs


def _reset(program: Program, lead: Lead, event: Event) -> tuple[list[Output], Sequence[Event]]:
    """All scores start again from 0. A handoff that is open stays: nothing says that it was wrong."""
    commands = lead.state.commands
    assert commands is not None
    commands.reset = max(commands.reset or (0, "", ""), (event.time, event.source, event.id))
    return _look_again(program, lead, lead.state.as_of, None), ()


def _switch(program: Program, lead: Lead, event: Event) -> tuple[list[Output], Sequence[Event]]:
    """`freeze` and `resume`: the one that is later counts, whichever came first."""
    commands = lead.state.commands
    assert commands is not None
    switch = (event.time, event.source, event.id, event.body["do"] == "freeze")
    if commands.switch is None or switch > commands.switch:
        commands.switch = switch
    return ([] if commands.frozen else _look_again(program, lead, lead.state.as_of, None)), ()


def _erase(program: Program, lead: Lead, event: Event) -> Done:
    """Forget the lead. Its state is empty then, which makes the table drop it; later events are those of a new lead."""
    state = lead.state
    if not state.seq:
        return Done(ignored(Reason.UNKNOWN_LEAD), [])
    if state.first_seen > event.time:
        return Done(ignored(Reason.DUPLICATE), [])  # the lead that was meant is gone; this is a new one
    forwards = _erase_too(lead, event)
    state.as_of = max(state.as_of, event.time)
    outputs = _withdraw_all(program, lead, "erased", "erased")
    outputs.append(erased(lead, event))
    lead.start_anew(LeadState(layout=state.layout))
    return Done(SCORED, outputs, forwards)


def _erase_too(lead: Lead, command: Event) -> list[Event]:
    """The same command for the leads that are the same person: those merged into this one, and the one it was merged into."""
    commands = lead.state.commands
    if commands is None:
        return []
    via = (*command.via, lead.id)
    others = [*commands.adopted, *([commands.merged_into] if commands.merged_into else [])]
    return [msgspec.structs.replace(command, lead=other, via=via) for other in others if other not in via]


def _withdraw_all(program: Program, lead: Lead, stage: str, reason: str) -> list[Output]:
    outputs = []
    for plan in program.plans:
        track = lead.state.tracks.get(plan.id)
        if track is not None and track.stage == "mql":
            outputs.append(mql_withdrawn(plan, lead, track, stage, reason))
    return outputs


def _merge(program: Program, lead: Lead, event: Event) -> tuple[list[Output], Sequence[Event]]:
    """The lead's events go to the lead that goes on, and what comes for it from now on will follow them."""
    into, state = event.body["into"], lead.state
    if into == lead.id:
        return [], ()
    assert state.commands is not None
    outputs = _withdraw_all(program, lead, "lead", f"merged into {into}")
    given = _packed(lead)
    body = {
        "do": ADOPT,
        "record": b64encode(given).decode(),
        "paths": program.layout.paths,
        "by": event.body.get("by"),
        "reason": event.body.get("reason"),
    }
    commands = Commands(merged_into=into, audit=state.commands.audit)
    empty = LeadState(state.layout, state.as_of, state.first_seen, state.seq, heard=state.heard, commands=commands)
    lead.start_anew(empty)
    return outputs, [msgspec.structs.replace(event, lead=into, body=body, via=(*event.via, lead.id))]


def _packed(lead: Lead) -> bytes:
    record = Packer().pack(lead.state)
    while len(record) > ADOPTED_BYTES and lead.state.entries:
        lead.ledger.drop_before(lead.state.entries[len(lead.state.entries) // 2].time + 1)
        record = Packer().pack(lead.state)
    return record


def _adopt(program: Program, lead: Lead, event: Event) -> tuple[list[Output], Sequence[Event]]:
    """Take over what another lead had: every event once, in order, as if it had always been this lead's."""
    state, commands = lead.state, lead.state.commands
    assert commands is not None
    if commands.merged_into in event.via:
        commands.merged_into = ""  # each was merged into the other: the one that is asked last goes on
    try:
        other = unpack(b64decode(event.body["record"]))
        lay_out(other.entries, Layout(tuple(tuple(kind) for kind in event.body["paths"])), program.layout)
    except (PackingError, ValueError) as error:
        raise ValueError(f"no lead to adopt: {error}") from None
    state.as_of = max(state.as_of, other.as_of)
    state.first_seen = min(state.first_seen, other.first_seen) if other.first_seen != NEVER else state.first_seen
    if other.commands is not None:
        commands.corrected = {**other.commands.corrected, **commands.corrected}
        commands.audit = sorted([*other.commands.audit, *commands.audit])[-AUDIT_MAX:]
        commands.adopted = list(dict.fromkeys([*commands.adopted, *other.commands.adopted]))
    commands.adopted = [each for each in dict.fromkeys([*commands.adopted, event.via[-1]]) if each != lead.id][-ADOPTED_MAX:]
    heard = {(each.time, each.source, each.id): each for each in (*other.heard, *state.heard)}
    state.heard = [answer for _, answer in sorted(heard.items())][-HEARD_MAX:]
    for entry in other.entries:
        _take(lead, entry, other.sources[entry.source])
    for fact in other.facts:
        source = other.sources[fact.source]
        number = lead.ledger.source(source)
        if correction(commands, source, fact.id) != RETRACT and (number, fact.id) not in {(f.source, f.id) for f in state.facts}:
            lead.learn(fact.time, number, fact.id, fact.values)
    lead.forget_view()
    for key, time in other.newest.items():
        state.newest[key] = max(time, state.newest.get(key, NEVER))
    lead.recount()
    outputs = _take_over_stages(program, lead, other)
    since = min([entry.time for entry in other.entries], default=state.as_of)
    return outputs + _look_again(program, lead, since, "merged"), ()


def _take(lead: Lead, entry: Entry, source: str) -> None:
    commands = lead.state.commands
    assert commands is not None
    number = lead.ledger.source(source)
    said = correction(commands, source, entry.id)
    if lead.ledger.find(entry.id, number) is not None:
        return
    if said == RETRACT:
        entry.values = (None,) * len(entry.values)
    flags = RETRACTED if said == RETRACT else entry.flags | (MACHINE if said == VERDICT else 0)
    lead.state.seq += 1
    lead.ledger.add(Entry(entry.time, number, entry.id, entry.kind, lead.state.seq, flags, entry.values))


def _take_over_stages(program: Program, lead: Lead, other: LeadState) -> list[Output]:
    """The lead that goes on keeps its stages; but where sales holds the other one, it is with sales now."""
    outputs: list[Output] = []
    for plan in program.plans:
        theirs = other.tracks.get(plan.id)
        if theirs is None or theirs.stage not in WITH_SALES[1:]:
            continue
        mine = lead.track(plan.id)
        if mine.stage not in ("lead", "recycled", "mql"):
            continue
        before = mine.stage
        if before == "mql":
            outputs.append(mql_withdrawn(plan, lead, mine, theirs.stage, "merged"))
        _follow(mine, theirs, lead.state)
        if before != "mql":
            outputs.append(stage_changed(plan, lead, mine, before, "merged"))
    return outputs


def _follow(mine: Track, theirs: Track, state: LeadState) -> None:
    mine.enter(theirs.stage, state)
    mine.cycle = max(mine.cycle, theirs.cycle)
    mine.opened, mine.qualified_at = theirs.opened, theirs.qualified_at
    mine.first_mql_at = min([time for time in (mine.first_mql_at, theirs.first_mql_at) if time != NEVER], default=NEVER)


_Does = Callable[[Program, Lead, Event], tuple[list[Output], Sequence[Event]]]
_DOES: dict[str, _Does] = {
    RETRACT: _correct,
    VERDICT: _correct,
    "reset": _reset,
    "freeze": _switch,
    "resume": _switch,
    "merge": _merge,
    ADOPT: _adopt,
}
