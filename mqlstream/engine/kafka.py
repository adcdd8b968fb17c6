"""Kafka through aiokafka: `KafkaBroker` implements `mqlstream.engine.interfaces.Broker`.

What is here: topics, and restoring. Membership and reading are in `kafka_source`, transactions in `kafka_writer`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from mqlstream.engine.interfaces import Chunk, Member, Partition
from mqlstream.engine.kafka_source import KafkaSource, close_consumer
from mqlstream.engine.kafka_writer import KafkaWriter
from mqlstream.errors import UnreachableError

_REACH_S = 15.0
_RESTORE_RECORDS = 5_000  # in one chunk: some 10 ms of work between two turns of the event loop
_FETCH_BUDGET_BYTES = 64 * 2**20  # of one worker's stage, if it had all partitions


class _Complaint(logging.Handler):
    """What aiokafka complained of last: its errors say that no broker was reached, and only its log says why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        logging.getLogger("aiokafka").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        told = " ".join(record.getMessage().split()).rstrip(":")
        self.text = told if len(told) <= 200 else told[:197] + "..."

    def close(self) -> None:
        logging.getLogger("aiokafka").removeHandler(self)
        super().close()


class KafkaBroker:
    """``kafka`` are aiokafka's connection settings: bootstrap_servers, security_protocol, sasl_*, ssl_context, ..."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._kafka = dict(kafka)
        self._counts: dict[str, int] = {}
        self._batch_bytes: dict[str, int] = {}  # by topic: learned when the broker refuses a batch; see KafkaWriter

    async def partitions(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Partition count of each topic that exists. Raises `UnreachableError`."""
        client = AIOKafkaClient(**self._kafka)
        complaint = _Complaint()
        try:
            async with asyncio.timeout(_REACH_S):
                await client.bootstrap()
                # Asking for all topics by no name: asking by name would create them where the broker is set to do so.
                cluster = await client.fetch_all_metadata()
        except (KafkaError, OSError, TimeoutError) as error:
            servers = self._kafka.get("bootstrap_servers", "localhost")
            servers = servers if isinstance(servers, str) else ",".join(servers)
            protocol = self._kafka.get("security_protocol", "PLAINTEXT")
            reason = complaint.text or str(error) or f"no answer within {_REACH_S:.0f} s"
            raise UnreachableError(f"cannot reach Kafka at {servers} with {protocol}: {reason}") from error
        finally:
            complaint.close()
            await client.close()
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
        self._counts.update(counts)
        return {topic: count for topic, count in counts.items() if count}

    def source(self, member: Member) -> KafkaSource:
        """A new member of a group, not yet joined."""
        partitions = sum(self._counts.get(topic, 0) for topic in member.topics) or 1
        return KafkaSource(self._kafka, member, max(2**17, min(2**22, _FETCH_BUDGET_BYTES // partitions)))

    async def writer(self, transactional_id: str, group: str) -> KafkaWriter:
        """A new owner of the id: when this returns, all older ones are fenced and their open transactions aborted."""
        writer = KafkaWriter(self._kafka, transactional_id, group, self._batch_bytes)
        await writer.start()
        return writer

    async def restore(self, partition: Partition) -> AsyncGenerator[Chunk, None]:
        """What is committed in a changelog partition, from its beginning to its end as it is at the first step.

        The end is the high watermark of the first answer, open transactions included: the position has to pass it, over
        markers, aborted records and whatever other tasks have open there. The last record seen says nothing.
        """
        where = TopicPartition(*partition)
        consumer = AIOKafkaConsumer(
            **self._kafka,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=4 * 2**20,
            fetch_max_wait_ms=50,
        )
        consumer.assign([where])
        try:
            await consumer.start()
            first = (await consumer.beginning_offsets([where]))[where]
            position = await consumer.position(where)
            if position > first:  # or the table would lack its beginning without any other sign
                raise RuntimeError(f"restoring {where.topic}[{where.partition}] would begin at offset {position}, expected {first}")
            end: int | None = None
            while end is None or position < end:
                batches = await consumer.getmany(where, timeout_ms=50, max_records=_RESTORE_RECORDS)
                position = await consumer.position(where)
                if end is None:
                    end = consumer.highwater(where)
                records = [(record.key, record.value) for record in batches.get(where, ()) if record.key is not None]
                yield Chunk(records, max(0, (end or 0) - position))
                await asyncio.sleep(0)
        finally:
            await close_consumer(consumer)

    def wall_ms(self) -> int:
        """Wall clock, epoch milliseconds."""
        return time.time_ns() // 1_000_000
