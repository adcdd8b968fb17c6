"""Entries of the ledger completed: fields of earlier events that nothing read when they came, and that were read again since.

What is told again of an event only fills what its entry lacks, so it does no harm to hear it twice. An event that the ledger
does not have stays out.
"""

from __future__ import annotations

from mqlstream.core.event import Event
from mqlstream.core.inactivity import ends_gap
from mqlstream.core.lead import Lead
from mqlstream.core.outcome import SCORED, Outcome, Reason, ignored
from mqlstream.core.plan import Plan, Program
from mqlstream.core.qualify import OPEN_STAGES, fulfils
from mqlstream.core.state import NEVER, RETRACTED, Entry
from mqlstream.core.timers import set_timer

COMPLETE = "complete"
"""The command's ``do``; never from outside. ``events`` of its body: [source, id, {path: value}] of events of the lead."""


def complete(program: Program, lead: Lead, command: Event) -> Outcome:
    """Fill the entries of the lead's events with what the command tells of them.

    That alone hands nobody off and withdraws nothing; with the lead's next event its stage is looked at as ever. `duplicate` when
    there was nothing to fill, `unknown_lead` when there is no such lead.
    """
    state = lead.state
    if not state.seq:
        return ignored(Reason.UNKNOWN_LEAD)
    filled = [(entry, values) for entry, values in _filled(program, lead, command) if values != entry.values]
    if not filled:
        return ignored(Reason.DUPLICATE)
    waiting = [plan for plan in program.plans if program.has_timers and _may_begin(plan, lead) and not fulfils(plan, lead, state.as_of)]
    for entry, values in filled:
        entry.values = values
    lead.ledger.packer.forget()
    lead.recount()
    for plan in program.plans:
        note_activity(plan, lead)
    for plan in waiting:
        if fulfils(plan, lead, state.as_of):
            state.tracks[plan.id].quiet = state.seq  # or the next timer would hand it off
    if program.has_timers and state.tracks and state.unreviewed == NEVER:
        set_timer(program, lead, state.as_of)
    return SCORED


def note_activity(plan: Plan, lead: Lead) -> None:
    """The newest activity as a plan's inactivity entries see it, as far as the ledger knows."""
    newest = lead.state.newest
    for watched in plan.inactivity:
        for entry in reversed(lead.state.entries):
            if ends_gap(watched, entry):
                newest[watched.key] = max(entry.time, newest.get(watched.key, NEVER))
                break


def _filled(program: Program, lead: Lead, command: Event) -> list[tuple[Entry, tuple[object, ...]]]:
    """The entries that are spoken of, with the values they would have."""
    sources, found = lead.state.sources, []
    for source, event_id, told in command.body["events"]:
        entry = lead.ledger.find(event_id, sources.index(source)) if source in sources else None
        if entry is not None and not entry.flags & RETRACTED:
            paths = program.layout.paths[entry.kind]
            values = tuple([told.get(path) if value is None else value for path, value in zip(paths, entry.values, strict=True)])
            found.append((entry, values))
    return found


def _may_begin(plan: Plan, lead: Lead) -> bool:
    track = lead.state.tracks.get(plan.id)
    return plan.live and track is not None and track.stage in OPEN_STAGES
