"""What the SCORE stage tells of one lead when it is asked: the answering part of its processor. No HTTP, no Kafka."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from mqlstream.core.lead import Lead
from mqlstream.core.plan import Plan, Program
from mqlstream.core.state import NEVER, Commands
from mqlstream.core.table import LeadTable
from mqlstream.core.timeline import answer_told, attributes_told, command_told, life


class Question(NamedTuple):
    """``at``: epoch milliseconds, not before the lead's as_of; None: that. ``definition`` None: all in force."""

    lead: str
    at: int | None = None
    definition: str | None = None


class CannotAnswer(Exception):
    """The question makes no sense for this lead or program; the text says what was got and what was expected."""


def answer(program: Program, table: LeadTable, question: Question) -> bytes | None:
    """The lead's life as a JSON object, None when there is no such lead. Raises `CannotAnswer`."""
    plans = _plans(program, question.definition)
    lead = table.peek(question.lead)
    if lead is None or not lead.state.seq:
        return None
    return orjson.dumps(told(plans, lead, _moment(lead, question.at)))


def told(plans: tuple[Plan, ...], lead: Lead, at: int) -> dict[str, Any]:
    """The lead at a moment: what is known of it, and its life under each definition (`mqlstream.core.timeline.life`).

    ``feedback`` are sales' newest answers that moved it, ``audit`` the newest commands, the newest last; the timelines have them too.
    ``merged_into`` is the lead that goes on in this one's place, ``corrected`` the events that commands have spoken of.
    """
    state = lead.state
    commands = state.commands or Commands()
    return {
        "lead_id": lead.id,
        "as_of": state.as_of,
        "at": at,
        "first_seen": state.first_seen if state.first_seen != NEVER else None,
        "attributes": attributes_told(lead, at),
        "merged_into": commands.merged_into or None,
        "frozen": commands.frozen,
        "feedback": [answer_told(each) for each in state.heard],
        "corrected": [{**_named(key), "do": what, "time": time} for key, (what, time) in commands.corrected.items()],
        "audit": [command_told(*each) for each in commands.audit],
        "definitions": [life(plan, lead, at) for plan in plans],
    }


def _named(key: str) -> dict[str, Any]:
    source, _, event_id = key.partition("\x1f")
    return {"source": source, "id": event_id}


def _plans(program: Program, definition: str | None) -> tuple[Plan, ...]:
    if definition is None:
        return program.plans
    found = tuple(plan for plan in program.plans if plan.id == definition)
    if not found:
        there = " ".join(plan.id for plan in program.plans)
        raise CannotAnswer(f"definition: got {definition!r}, expected one of {there}")
    return found


def _moment(lead: Lead, at: int | None) -> int:
    if at is not None and at < lead.state.as_of:
        raise CannotAnswer(f"at: got {at}, expected a moment not before the lead's as_of, {lead.state.as_of}")
    return lead.state.as_of if at is None else at
