"""Reads the dead letters of a cluster, from the oldest to those there when the reading began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from mqlstream.dead_letters.letter import Letter, Place, Stored, letter_of, note_of
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.errors import UnreachableError, UsageError

_ANSWER_S = 30.0  # for one step of the broker
_AT_ONCE = 500  # records


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters are meant: those that all of these hold for, where something is given. Times are half open, epoch ms."""

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    places: frozenset[Place] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether it is one of them."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or letter.topic in self.topics)
            and (not self.places or letter.place in self.places)
            and (self.since_ms is None or letter.at_ms >= self.since_ms)
            and (self.until_ms is None or letter.at_ms < self.until_ms)
        )


@dataclass(slots=True)
class Found:
    """What stands on the topic: the ``letters`` that are wanted, the places that were ``retried``, and how many records are ``foreign``.

    ``ends``: the offset at which the reading stopped, for each partition.
    """

    letters: list[Letter] = field(default_factory=list)
    retried: set[Place] = field(default_factory=set)
    foreign: int = 0
    ends: dict[int, int] = field(default_factory=dict)


async def find(kafka: Mapping[str, Any], topic: str, wanted: Wanted) -> Found:
    """All wanted dead letters on ``topic``, in the order in which they were put aside.

    Raises `UsageError` when there is no such topic, and `UnreachableError`.
    """
    found = Found()
    async with aclosing(records(kafka, topic, ends=found.ends)) as there:
        async for record in there:
            letter = letter_of(record)
            if letter is not None:
                if wanted.takes(letter):
                    found.letters.append(letter)
            elif (note := note_of(record)) is not None:
                found.retried.add(note)
            else:
                found.foreign += 1
    found.letters.sort(key=lambda letter: (letter.at_ms, letter.place))
    return found


async def records(kafka: Mapping[str, Any], topic: str, ends: dict[int, int]) -> AsyncGenerator[Stored, None]:
    """Every committed record, partition by partition, up to ``ends``; an empty map is filled with the ends as they are now."""
    count = (await KafkaBroker(kafka).partitions([topic])).get(topic, 0)
    if not count:
        raise UsageError(f"no topic {topic} on the broker; create what is missing: mqlstream topics apply")
    where = {number: TopicPartition(topic, number) for number in range(count)}
    consumer = AIOKafkaConsumer(
        **kafka,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            await consumer.start()
        if not ends:
            async with asyncio.timeout(_ANSWER_S):
                ends.update({place.partition: end for place, end in (await consumer.end_offsets(list(where.values()))).items()})
        for number, place in where.items():
            consumer.assign([place])
            async with asyncio.timeout(_ANSWER_S):
                await consumer.seek_to_beginning(place)
                position = await consumer.position(place)
            while position < ends.get(number, 0):
                async with asyncio.timeout(_ANSWER_S):
                    batch = await consumer.getmany(place, timeout_ms=200, max_records=_AT_ONCE)
                    position = await consumer.position(place)
                for record in batch.get(place, ()):
                    if record.offset < ends[number]:
                        yield record
    except (KafkaError, OSError, TimeoutError) as error:
        reason = str(error) or f"no answer within {_ANSWER_S:.0f} s"
        raise UnreachableError(f"cannot read topic {topic}: {reason}") from error
    finally:
        await consumer.stop()
