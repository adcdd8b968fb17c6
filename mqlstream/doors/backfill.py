"""Earlier events read again, for what no definition read when they came: the retained lead-events, turned into completions.

A completion is a command of its lead (`mqlstream.core.completing`), written into the partition it was read from. It takes its place
in the lead's one order like everything else, and fills only what an entry lacks: so all this can be cut off anywhere and begun anew.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from mqlstream import wire
from mqlstream.core.completing import COMPLETE
from mqlstream.core.event import ACTIVITY_KINDS, Event
from mqlstream.definition.layout import reader
from mqlstream.engine.interfaces import Broker

SOURCE = "mqlstream"
_RECORD_BYTES = 500_000  # of one completion, and what one event more may have
_EVENTS_AT_ONCE = 5_000  # in one transaction, or the last chunk of what was read more
_ANSWER_S = 30.0

Fields = Sequence[tuple[str, ...]]  # by kind index, the paths to read


class _Told(NamedTuple):
    """One event's fields that are there."""

    time: int
    source: str
    id: str
    fields: dict[str, Any]


class Backfill:
    """Reads what stands in lead-events before a preparation, partition by partition. ``topic`` is lead-events."""

    def __init__(self, broker: Broker, producer: AIOKafkaProducer, topic: str, fields: Fields) -> None:
        self._broker = broker
        self._producer = producer
        self._topic = topic
        self._read = {kind: reader(paths) for kind, paths in zip(ACTIVITY_KINDS, fields, strict=False) if paths}
        self._paths = dict(zip(ACTIVITY_KINDS, fields, strict=False))

    async def run(self, partitions: int, until: wire.Activation, passed: Callable[[int], None]) -> int:
        """Complete the leads of all partitions with what they hold before ``until``, in transactions of a few thousand events.

        ``passed`` is told each partition that is done. Returns of how many events something was told; raises as the client does.
        """
        told = 0
        for partition in range(partitions):
            async with aclosing(self._before(partition, until)) as chunks:
                async for events in chunks:
                    told += await self._tell(partition, events)
            passed(1)
        return told

    async def _before(self, partition: int, until: wire.Activation) -> AsyncGenerator[list[Event], None]:
        """The events of a partition up to the preparation, some thousands at a time."""
        end = wire.broadcast(until)
        events: list[Event] = []
        async with aclosing(self._broker.restore((self._topic, partition))) as chunks:
            async for chunk in chunks:
                for key, value in chunk.records:
                    if (key, value) == end:
                        yield events
                        return
                    if key not in wire.BROADCASTS:
                        with suppress(wire.WireError):  # it became a dead letter
                            events.append(wire.decode(value or b""))
                if len(events) >= _EVENTS_AT_ONCE:
                    yield events
                    events = []
        yield events

    async def _tell(self, partition: int, events: Iterable[Event]) -> int:
        of_lead: defaultdict[str, list[_Told]] = defaultdict(list)
        for event in events:
            if event.kind == "command" and event.body.get("do") == "erase":
                of_lead.pop(event.lead, None)
            elif event.kind in self._read:
                values = self._read[event.kind](event, {})
                found = {path: value for path, value in zip(self._paths[event.kind], values, strict=True) if value is not None}
                if found:
                    of_lead[event.lead].append(_Told(event.time, event.source, event.id, found))
        if of_lead:
            async with asyncio.timeout(_ANSWER_S), self._producer.transaction():
                await asyncio.gather(*[await self._send(partition, each) for each in _commands(of_lead)])
        return sum(map(len, of_lead.values()))

    async def _send(self, partition: int, command: Event) -> asyncio.Future[Any]:
        # With the events' own time, so that a completion is deleted when they are.
        key, value = wire.key_of(command.lead), wire.encode(command)
        sent: asyncio.Future[Any] = await self._producer.send(self._topic, value, key=key, partition=partition, timestamp_ms=command.time)
        return sent


def _commands(of_lead: Mapping[str, Sequence[_Told]]) -> Iterator[Event]:
    for lead, told in of_lead.items():
        part: list[_Told] = []
        size = 0
        for each in told:
            if part and size > _RECORD_BYTES:
                yield _command(lead, part)
                part, size = [], 0
            part.append(each)
            size += len(msgspec.json.encode(each))
        yield _command(lead, part)


def _command(lead: str, told: Sequence[_Told]) -> Event:
    body = {"do": COMPLETE, "events": [[each.source, each.id, each.fields] for each in told]}
    return Event(SOURCE, f"{COMPLETE} {told[0].source} {told[0].id}", "command", max(each.time for each in told), lead, body)
