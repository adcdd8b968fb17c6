"""Sales' answers and operators' commands on their way to their topics: checked as INGEST will check them, then written.

From the topic they take the one way of all events, through INGEST into their lead's order. Shared by the command line and the
web server. How records are written is `mqlstream.doors.producing`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import orjson

from mqlstream.core.event import Event
from mqlstream.core.outputs import stable_id
from mqlstream.doors.producing import ANSWER_S, Message, Writer
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.fields import shown
from mqlstream.wire import key_of

MAX_AT_ONCE = 500
_ANSWER_S = ANSWER_S


class Form(NamedTuple):
    """What may be written through a door, and how an event of it gets its id where none is given.

    ``once``: the fields that make it the same event, told again. Without the ``needed`` one of these the time takes its place; without
    that too, it is an event of its own.
    """

    kind: str
    once: tuple[str, ...]
    needed: str


FEEDBACK = Form("feedback", ("handoff_id", "definition", "decision"), "handoff_id")
COMMAND = Form("command", ("do", "event_source", "event_id", "into"), "event_id")


class Ready(NamedTuple):
    """An event as it is written. ``key`` is the lead's, so that a lead's events stay in the order given."""

    id: str
    key: bytes
    value: bytes


class Unfit(Exception):
    """Some of the objects are not of the form: ``problems`` has the place of each among those given, and what was expected."""

    def __init__(self, problems: Sequence[tuple[int, str]]) -> None:
        super().__init__("; ".join(detail for _, detail in problems))
        self.problems = problems


class Written(NamedTuple):
    """Where an event stands now."""

    id: str
    topic: str
    partition: int
    offset: int


def ready(form: Form, objects: Sequence[Any], topic: str, now_ms: int) -> list[Ready]:
    """The events of objects in the form of the topic's JSON Schema; raises `Unfit`, all or none.

    Left out, ``time`` is now. Left out, ``id`` is made of the lead and the form's fields: an answer is given once to a handoff, and
    an event is retracted once, so that sending it again is no second one.
    """
    found: list[Ready] = []
    problems: list[tuple[int, str]] = []
    for place, given in enumerate(objects):
        made = _ready(form, given, topic, now_ms)
        if isinstance(made, Ready):
            found.append(made)
        else:
            problems.append((place, made))
    if problems:
        raise Unfit(problems)
    return found


def _ready(form: Form, given: Any, topic: str, now_ms: int) -> Ready | str:
    """The event, or what is wrong with it."""
    if not isinstance(given, dict):
        return f"got {shown(given)}, expected an object"
    if given.get("kind") not in (None, form.kind):
        return f"kind: got {shown(given['kind'])}, expected {form.kind}"
    told = {**given, "kind": form.kind}
    timed = told.get("time") is not None
    named = told.get("id") is not None
    if not timed:
        told["time"] = now_ms
    if not named:
        told["id"] = "to be made"
    event = canonical(told, kind=form.kind, source=topic, record_ms=now_ms)
    if not isinstance(event, Event):
        return event.detail
    if not named:
        about = [told.get(name) for name in form.once]
        if told.get(form.needed) is not None:
            told["id"] = stable_id(form.kind, event.lead, *about)
        elif timed:
            told["id"] = stable_id(form.kind, event.lead, *about, event.time)
        else:
            told["id"] = str(uuid4())
    return Ready(told["id"], key_of(event.lead), orjson.dumps(told))


class Door:
    """Writes to one topic. ``kafka`` are aiokafka's connection settings; ``max_bytes`` is the largest record that the topic takes."""

    def __init__(self, kafka: Mapping[str, Any], topic: str, max_bytes: int) -> None:
        self.topic = topic
        self._writer = Writer(kafka, max_bytes, _ANSWER_S)

    async def write(self, events: Sequence[Ready]) -> list[Written]:
        """Write them, in order; returns when all replicas in sync have them.

        Raises `UnreachableError` when that is not known in time. Some may have been written then: send the same again,
        with the same ids.
        """
        places = await self._writer.write(self.topic, [Message(event.key, event.value) for event in events])
        return [Written(event.id, place.topic, place.partition, place.offset) for event, place in zip(events, places, strict=True)]

    async def close(self) -> None:
        """Let go of the connection."""
        await self._writer.close()
