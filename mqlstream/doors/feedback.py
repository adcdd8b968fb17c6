"""Sales' answers on their way to the feedback topic: checked as INGEST will check them, then written, acknowledged by all replicas.

From the topic they take the one way of all events, through INGEST into their lead's order. Shared by the command line and the
web server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from mqlstream.core.event import Event
from mqlstream.core.outputs import stable_id
from mqlstream.errors import UnreachableError
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.fields import shown
from mqlstream.wire import key_of

MAX_AT_ONCE = 500
_KIND = "feedback"
_ANSWER_S = 15.0  # for the broker, to take what was written


class Ready(NamedTuple):
    """A feedback event as it is written. ``key`` is the lead's, so that a lead's answers stay in the order given."""

    id: str
    key: bytes
    value: bytes


class Unfit(Exception):
    """Some of the objects are no feedback: ``problems`` has the place of each among those given, and what was expected."""

    def __init__(self, problems: Sequence[tuple[int, str]]) -> None:
        super().__init__("; ".join(detail for _, detail in problems))
        self.problems = problems


class Written(NamedTuple):
    """Where a feedback event stands now."""

    id: str
    topic: str
    partition: int
    offset: int


def ready(objects: Sequence[Any], topic: str, now_ms: int) -> list[Ready]:
    """The feedback events of objects in the form of `topics/schemas/feedback.v1.json`; raises `Unfit`, all or none.

    Left out, ``time`` is now. Left out, ``id`` is made of lead, handoff and decision: an answer is given once to a handoff, so
    that sending it again is no second one. Without the handoff's id the time takes its place.
    """
    found: list[Ready] = []
    problems: list[tuple[int, str]] = []
    for place, given in enumerate(objects):
        made = _ready(given, topic, now_ms)
        if isinstance(made, Ready):
            found.append(made)
        else:
            problems.append((place, made))
    if problems:
        raise Unfit(problems)
    return found


def _ready(given: Any, topic: str, now_ms: int) -> Ready | str:
    """The event, or what is wrong with it."""
    if not isinstance(given, dict):
        return f"got {shown(given)}, expected an object"
    if given.get("kind") not in (None, _KIND):
        return f"kind: got {shown(given['kind'])}, expected {_KIND}"
    told = {**given, "kind": _KIND}
    timed = told.get("time") is not None
    named = told.get("id") is not None
    if not timed:
        told["time"] = now_ms
    if not named:
        told["id"] = "to be made"
    event = canonical(told, kind=_KIND, source=topic, record_ms=now_ms)
    if not isinstance(event, Event):
        return event.detail
    if not named:
        about = [told.get(name) for name in ("handoff_id", "definition", "decision")]
        if about[0] is not None:
            told["id"] = stable_id(_KIND, event.lead, *about)
        elif timed:
            told["id"] = stable_id(_KIND, event.lead, *about, event.time)
        else:
            told["id"] = str(uuid4())
    return Ready(told["id"], key_of(event.lead), orjson.dumps(told))


class FeedbackDoor:
    """Writes to the feedback topic. The producer is made when first needed, and again after a failure.

    ``kafka`` are aiokafka's connection settings; ``max_bytes`` is the largest record that the topic takes.
    """

    def __init__(self, kafka: Mapping[str, Any], topic: str, max_bytes: int) -> None:
        self.topic = topic
        self._settings = {**kafka, "acks": "all", "enable_idempotence": True, "max_request_size": max_bytes}
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def write(self, events: Sequence[Ready]) -> list[Written]:
        """Write them, in order; returns when all replicas in sync have them.

        Raises `UnreachableError` when that is not known in time. Some may have been written then: send the same again,
        with the same ids.
        """
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(_ANSWER_S):
                producer = await self._started()
                sent = [await producer.send(self.topic, event.value, key=event.key) for event in events]
                places = await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._forget(producer)
            reason = str(error) or f"no answer within {_ANSWER_S:g} s; is the topic there (mqlstream topics plan)?"
            raise UnreachableError(f"cannot write to topic {self.topic}: {reason}") from error
        return [Written(event.id, place.topic, place.partition, place.offset) for event, place in zip(events, places, strict=True)]

    async def close(self) -> None:
        """Let go of the connection."""
        await self._forget(self._producer)

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(**self._settings)
                try:
                    await producer.start()
                except BaseException:
                    await _stop(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _forget(self, producer: AIOKafkaProducer | None) -> None:
        if producer is self._producer:  # another writer may have made a new one meanwhile
            self._producer = None
        if producer is not None:
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Without waiting long for a broker that does not answer."""
    try:
        async with asyncio.timeout(1.0):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError):
        pass  # what it still held was never acknowledged to anyone
