"""Gives dead letters back to the topics they came from. Each goes in one transaction with a note on the dead-letter topic that it did.

So a dead letter is given back once, whatever breaks in between, and who comes later sees that it was. A record that comes back as a
dead letter stands behind the end at which a run began: no run meets its own. Over runs a count in its headers ends the circle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from mqlstream.core.outcome import Reason
from mqlstream.dead_letters.letter import RETRIED, Letter, Place, Stored, again
from mqlstream.dead_letters.reading import Found, Wanted, find, records
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.engine.producers import close_producer, hear_transaction, seen
from mqlstream.errors import UnreachableError

MOST_RETRIES = 3
_AT_ONCE = 100  # records in a transaction
_BYTES_AT_ONCE = 4 * 2**20
_ANSWER_S = 30.0


class Outcome(NamedTuple):
    """What became of a dead letter: where its record stands now (partition and offset on its topic), or why it was left where it is."""

    letter: Letter
    partition: int | None = None
    offset: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """``most``: how often a record may be given back. ``anew``: also dead letters that were given back before."""

    most: int = MOST_RETRIES
    anew: bool = False


async def plan(kafka: Mapping[str, Any], topic: str, wanted: Wanted, rules: Rules) -> tuple[Found, list[Letter], list[Outcome]]:
    """What there is, the dead letters to give back, and those not to, with the reason. Raises as `find` does."""
    found = await find(kafka, topic, wanted)
    counts = await KafkaBroker(kafka).partitions({letter.topic for letter in found.letters})
    chosen: list[Letter] = []
    left: list[Outcome] = []
    for letter in found.letters:
        why = _against(letter, found, rules, counts)
        if why:
            left.append(Outcome(letter, why=why))
        else:
            chosen.append(letter)
    return found, chosen, left


def _against(letter: Letter, found: Found, rules: Rules, counts: Mapping[str, int]) -> str:
    """Why a dead letter is to be left where it is; empty: nothing speaks against it. ``counts``: partitions of the topics there are."""
    if letter.place in found.retried and not rules.anew:
        return "was retried before (--again retries it once more)"
    if letter.retries >= rules.most:
        return f"came back after {letter.retries} retries (--most allows more)"
    if letter.reason == Reason.EMPTY:
        return "has no value, and would come back"
    if letter.cut:
        return f"was cut ({letter.cut}); the whole record stands at {letter.topic} partition {letter.partition} offset {letter.offset}"
    if letter.topic not in counts:
        return f"there is no topic {letter.topic}"
    if letter.partition >= counts[letter.topic]:
        return f"topic {letter.topic} has no partition {letter.partition}"
    return ""


async def retry(
    kafka: Mapping[str, Any], transactional_id: str, topic: str, wanted: Wanted, rules: Rules, max_bytes: int
) -> AsyncGenerator[list[Outcome], None]:
    """Give the wanted dead letters of ``topic`` back; yields first those that are left, then what became of some after each transaction.

    The producer comes first: it ends every other run under this ``transactional_id``, so that what is read then stays true.
    Raises `UsageError` when there is no such topic, and `UnreachableError`, also when another run ended this one. What was not
    yielded before may be committed or not; the notes say.
    """
    settings = {**kafka, "acks": "all", "transactional_id": transactional_id, "max_request_size": max_bytes}
    async with _producer(settings) as producer:
        found, chosen, left = await plan(kafka, topic, wanted, rules)
        if left:
            yield left
        missing = {letter.place: letter for letter in chosen}
        batch: list[tuple[Letter, Stored]] = []
        size = 0
        async with aclosing(records(kafka, topic, found.ends)) as there:
            async for record in there:
                letter = missing.pop(Place(record.partition, record.offset), None)
                if letter is None:
                    continue
                batch.append((letter, record))
                size += len(record.value or b"")
                if len(batch) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
                    yield await _give_back(producer, topic, batch)
                    batch, size = [], 0
        if batch:
            yield await _give_back(producer, topic, batch)
        if missing:  # the topic's retention took them meanwhile
            yield [Outcome(letter, why="is gone from the dead letters") for letter in missing.values()]


async def _give_back(producer: AIOKafkaProducer, topic: str, batch: Sequence[tuple[Letter, Stored]]) -> list[Outcome]:
    """One transaction; where the broker refuses it, one for each record, so that those it takes are not held up."""
    try:
        return await _transaction(producer, topic, batch)
    except KafkaError as error:
        if len(batch) == 1:
            return [Outcome(batch[0][0], why=f"the broker refused it: {type(error).__name__}")]
    return [outcome for one in batch for outcome in await _give_back(producer, topic, [one])]


async def _transaction(producer: AIOKafkaProducer, topic: str, batch: Sequence[tuple[Letter, Stored]]) -> list[Outcome]:
    async with asyncio.timeout(_ANSWER_S):
        await producer.begin_transaction()
        sent: list[asyncio.Future[Any]] = []

        async def send(to: str, value: bytes | None, key: bytes | None, partition: int, **more: Any) -> None:
            future = await producer.send(to, value, key, partition, **more)
            future.add_done_callback(seen)
            sent.append(future)

        try:
            for letter, record in batch:
                timestamp = letter.timestamp if letter.timestamp >= 0 else None
                headers = again(record, letter, topic)
                await send(letter.topic, record.value, record.key, letter.partition, timestamp_ms=timestamp, headers=headers)
                await send(topic, b"", record.key, letter.place.partition, headers=[(RETRIED, str(letter.place).encode())])
            places = await asyncio.gather(*sent)
            await producer.commit_transaction()
        except ProducerFenced:
            raise UnreachableError("another retry was started meanwhile, and this one ended") from None
        except KafkaError:
            hear_transaction(producer)
            await producer.abort_transaction()
            raise
    return [Outcome(letter, place.partition, place.offset) for (letter, _), place in zip(batch, places[::2], strict=True)]


@asynccontextmanager
async def _producer(settings: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**settings)
    clean = False
    try:
        async with asyncio.timeout(_ANSWER_S):
            await producer.start()
        yield producer
        clean = True
    except (OSError, TimeoutError, KafkaError) as error:
        raise UnreachableError(f"cannot write to Kafka: {str(error) or f'no answer within {_ANSWER_S:.0f} s'}") from error
    finally:
        await close_producer(producer, clean)
