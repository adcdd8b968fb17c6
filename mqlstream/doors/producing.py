"""Writes records to topics and says when all replicas in sync have them: for those who wait at a door. What they are is the callers'.

The producer is idempotent: what it tries again it does not write twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from mqlstream.errors import UnreachableError

ANSWER_S = 15.0  # for the broker, to take what was written


class Message(NamedTuple):
    """A record to write; its timestamp will be the time of writing."""

    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class TooLarge(UnreachableError):
    """A record is larger than its topic takes: trying again does not help."""


class Writer:
    """Any number may write at once. The producer is made when first needed, and again after a failure.

    ``kafka`` are aiokafka's connection settings; ``max_bytes`` is the largest record that the topics take.
    """

    def __init__(self, kafka: Mapping[str, Any], max_bytes: int, answer_s: float = ANSWER_S) -> None:
        self._settings = {**kafka, "acks": "all", "enable_idempotence": True, "max_request_size": max_bytes}
        self._answer_s = answer_s
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def write(self, topic: str, messages: Sequence[Message]) -> list[RecordMetadata]:
        """Write them, in order; returns where each stands when all replicas in sync have them.

        Raises `UnreachableError` when that is not known in time; some may have been written then, and may be still. `TooLarge`
        when a record is larger than the topic takes.
        """
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._answer_s):
                producer = await self._started()
                sent = [await producer.send(topic, each.value, key=each.key, headers=list(each.headers)) for each in messages]
                return await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._forget(producer)
            if isinstance(error, MessageSizeTooLargeError):
                raise TooLarge(f"cannot write to topic {topic}: a record is larger than it takes") from error
            reason = str(error) or f"no answer within {self._answer_s:g} s; is the topic there (mqlstream topics plan)?"
            raise UnreachableError(f"cannot write to topic {topic}: {reason}") from error

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
