"""The transactional producer of one task on Kafka: `KafkaWriter` writes a `Commit` as one transaction.

Everything goes out in batches that are built here, one or more for each partition: a future and a turn of the event
loop for each batch instead of each record.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordListTooLargeError,
)
from aiokafka.partitioner import DefaultPartitioner

from mqlstream.engine.interfaces import Commit, Fenced, Output, Partition, Refused, TryAgain
from mqlstream.engine.producers import close_producer, seen

log = logging.getLogger(__name__)

_BATCH_BYTES = 512 * 1024  # below the megabyte that brokers take unless told otherwise
_RECORD_BYTES = 64  # a record's framing, generously
_START_S = 60.0
_MURMUR2_BYTES = 4096  # of a key: the client's murmur2 is Python, and took a second for a key of some megabytes
_murmur2 = DefaultPartitioner()

_Row = tuple[bytes | None, bytes | None, int, list[tuple[str, bytes]]]  # key, value, timestamp in ms, headers


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Not the client's remarks on being asked to retry, several for each transaction: what does not get better is in the end
    a commit that takes too long, and reported as such."""
    return "NotEnoughReplicasError" not in str(record.args)


logging.getLogger("aiokafka.producer.sender").addFilter(_worth_a_line)


class _Batch(NamedTuple):
    """A batch on its way."""

    where: Partition
    builder: Any


class KafkaWriter:
    """Implements `mqlstream.engine.interfaces.Writer`. ``batch_bytes``: by topic, limits learned from refusals; shared."""

    def __init__(self, kafka: Mapping[str, Any], transactional_id: str, group: str, batch_bytes: dict[str, int]) -> None:
        self._group = group
        self._batch_bytes = batch_bytes
        self._clean = False  # no transaction is open, nothing is on its way
        self._producer = AIOKafkaProducer(
            **kafka,
            transactional_id=transactional_id,
            transaction_timeout_ms=10_000,
            retry_backoff_ms=5,  # the broker asks for a retry when a produce follows closely on a transaction's end
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=2**23,  # what is too large is for the broker to say
        )

    async def start(self) -> None:
        """Take the transactional id over: fences older producers and ends their transactions."""
        try:
            async with asyncio.timeout(_START_S):
                await self._producer.start()
        except BaseException:
            await self.close()
            raise
        self._clean = True

    async def commit(self, commit: Commit) -> None:
        """Write it all or nothing. Raises `Fenced`, `Refused`, `TryAgain`, or anything else when the result is unknown."""
        producer = self._producer
        self._clean = False
        sent: list[tuple[_Batch, asyncio.Future[Any]]] = []
        try:
            await producer.begin_transaction()
            for batch in await self._batches(commit):
                future = await producer.send_batch(batch.builder, batch.where[0], partition=batch.where[1])
                future.add_done_callback(seen)
                sent.append((batch, future))
            if commit.offsets:
                offsets = {TopicPartition(*where): offset for where, offset in commit.offsets.items()}
                await producer.send_offsets_to_transaction(offsets, self._group)
            await asyncio.wait([future for _, future in sent])
            # The client would commit even when a batch failed: every single one has to be looked at.
            self._raise_first(sent)
            await producer.commit_transaction()
        except (ProducerFenced, InvalidProducerEpoch) as error:
            self._raise_first(sent)
            raise Fenced(str(error)) from error
        except KafkaError:
            self._raise_first(sent)
            raise
        self._clean = True

    async def close(self) -> None:
        """Let go of it, in bounded time; a transaction still open is left for the broker, or a successor, to abort."""
        await close_producer(self._producer, self._clean)

    async def _batches(self, commit: Commit) -> list[_Batch]:
        now_ms = time.time_ns() // 1_000_000
        batches: list[_Batch] = []
        records: Iterable[_Row] = ((key, value, now_ms, []) for key, value in commit.records)
        self._fill(batches, commit.changelog, records)
        by_partition: dict[Partition, list[Output]] = defaultdict(list)
        for output in commit.outputs:
            partition = output.partition
            if partition is None:
                partitions = sorted(await self._producer.partitions_for(output.topic))
                partition = _partition_of(output.key, partitions)
            by_partition[output.topic, partition].append(output)
        for where, outputs in by_partition.items():
            self._fill(batches, where, ((o.key, o.value, now_ms if o.timestamp is None else o.timestamp, list(o.headers)) for o in outputs))
        return batches

    def _fill(self, batches: list[_Batch], where: Partition, records: Iterable[_Row]) -> None:
        limit = self._batch_bytes.get(where[0])  # mostly none: then the builder says when it is full
        builder = self._producer.create_batch()
        batches.append(_Batch(where, builder))
        append = builder.append
        for key, value, timestamp_ms, headers in records:
            if limit is not None and builder.record_count():
                full = builder.size() + _size(key, value, headers) > limit
            else:
                full = False
            # A builder takes any first record, however large, and nothing more once it is full.
            if full or append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                builder = self._producer.create_batch()
                batches.append(_Batch(where, builder))
                append = builder.append
                append(timestamp=timestamp_ms, key=key, value=value, headers=headers)

    def _raise_first(self, sent: list[tuple[_Batch, asyncio.Future[Any]]]) -> None:
        """Raise the first failure among the batches, in our terms."""
        failed = [(batch, future.exception()) for batch, future in sent if future.done() and not future.cancelled()]
        for batch, error in failed:
            if isinstance(error, ProducerFenced | InvalidProducerEpoch):
                raise Fenced(str(error)) from error
            if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError | InvalidTimestampError):
                self._refused(batch, error)
        for _, error in failed:
            if error is not None:
                raise error

    def _refused(self, batch: _Batch, error: BaseException | None) -> None:
        topic, partition = batch.where
        count, size = batch.builder.record_count(), batch.builder.size()
        if count > 1 and isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            self._batch_bytes[topic] = limit = max(1, size // 4)
            raise TryAgain(f"{topic} takes no batch of {size} bytes; from now on {limit}") from error
        what = f"a record of about {size} bytes" if count == 1 else f"{count} records of about {size} bytes"
        raise Refused(f"{topic}[{partition}] refuses {what}: {type(error).__name__}; see the topic's max.message.bytes") from error


def _partition_of(key: bytes | None, partitions: list[int]) -> int:
    """As Kafka's own clients choose; but for the huge keys that only records have that somebody else wrote."""
    if key is None or len(key) <= _MURMUR2_BYTES:
        return int(_murmur2(key, partitions, partitions))
    return partitions[zlib.crc32(key) % len(partitions)]


def _size(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> int:
    return len(key or b"") + len(value or b"") + sum(len(name) + len(content or b"") + 8 for name, content in headers) + _RECORD_BYTES
