"""Gives dead letters back to the topics they came from. Each goes in one transaction with a note on the dead-letter topic that it did.

So a dead letter is given back once, whatever breaks in between, and who comes later sees that it was. A record that comes back as a
dead letter stands behind the end at which a run began: no run meets its own. Over runs a count in its headers ends the circle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from mqlstream.core.outcome import Reason
from mqlstream.dead_letters.letter import RETRIED, Letter, Stored, again
from mqlstream.dead_letters.reading import Found, records
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


def sorted_out(found: Found, most: int, anew: bool, counts: Mapping[str, int]) -> tuple[list[Letter], list[Outcome]]:
    """The dead letters to give back, and those not to, with the reason. ``counts``: partitions of the topics that there are.

    ``most``: how often a record may be given back. ``anew``: also dead letters that were given back before.
    """
    chosen: list[Letter] = []
    left: list[Outcome] = []
    for letter in found.letters:
        if letter.place in found.retried and not anew:
            why = "was retried before (--again retries it once more)"
        elif letter.retries >= most:
            why = f"came back after {letter.retries} retries (--most allows more)"
        elif letter.reason == Reason.EMPTY:
            why = "has no value, and would come back"
        elif letter.cut:
            why = f"was cut ({letter.cut}); the whole record stands at {letter.topic} partition {letter.partition} offset {letter.offset}"
        elif letter.partition >= counts.get(letter.topic, 0):
            why = (
                f"topic {letter.topic} has no partition {letter.partition}"
                if letter.topic in counts
                else f"there is no topic {letter.topic}"
            )
        else:
            chosen.append(letter)
            continue
        left.append(Outcome(letter, why=why))
    return chosen, left


async def retry(
    kafka: Mapping[str, Any], transactional_id: str, topic: str, chosen: Sequence[Letter], ends: dict[int, int], max_bytes: int
) -> AsyncGenerator[list[Outcome], None]:
    """Give the chosen dead letters of ``topic`` back; yields what became of some of them after each transaction.

    A second run under the same ``transactional_id`` ends this one: raises `UnreachableError` then, as when the broker cannot be
    reached. What was not yielded before may be committed or not; the notes say.
    """
    wanted = {letter.place: letter for letter in chosen}
    settings = {**kafka, "acks": "all", "transactional_id": transactional_id, "max_request_size": max_bytes}
    async with _producer(settings) as producer, aclosing(records(kafka, topic, ends)) as there:
        batch: list[tuple[Letter, Stored]] = []
        size = 0
        async for record in there:
            letter = wanted.pop(_place(record), None)
            if letter is None:
                continue
            batch.append((letter, record))
            size += len(record.value or b"")
            if len(batch) >= _AT_ONCE or size >= _BYTES_AT_ONCE:
                yield await _give_back(producer, topic, batch)
                batch, size = [], 0
        if batch:
            yield await _give_back(producer, topic, batch)
        if wanted:  # the topic's retention took them meanwhile
            yield [Outcome(letter, why="is gone from the dead letters") for letter in wanted.values()]


def _place(record: Stored) -> Any:
    return (record.partition, record.offset)


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
        try:
            sent = []
            for letter, record in batch:
                timestamp = letter.timestamp if letter.timestamp >= 0 else None
                headers = again(record, letter, topic)
                sent.append(
                    await producer.send(letter.topic, record.value, record.key, letter.partition, timestamp_ms=timestamp, headers=headers)
                )
                note = [(RETRIED, str(letter.place).encode())]
                sent.append(await producer.send(topic, b"", record.key, letter.place.partition, headers=note))
            places = await asyncio.gather(*sent)
            await producer.commit_transaction()
        except KafkaError as error:
            if isinstance(error, ProducerFenced):
                raise UnreachableError("another retry was started meanwhile, and this one ended") from None
            await producer.abort_transaction()
            raise
    return [Outcome(letter, place.partition, place.offset) for (letter, _), place in zip(batch, places[::2], strict=True)]


@asynccontextmanager
async def _producer(settings: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(**settings)
    try:
        async with asyncio.timeout(_ANSWER_S):
            await producer.start()
        yield producer
    except (OSError, TimeoutError, KafkaError) as error:
        raise UnreachableError(f"cannot write to Kafka: {str(error) or f'no answer within {_ANSWER_S:.0f} s'}") from error
    finally:
        try:
            async with asyncio.timeout(5.0):
                await producer.stop()
        except (OSError, TimeoutError, KafkaError):
            pass  # an open transaction is aborted by the broker
