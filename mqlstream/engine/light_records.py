"""The client's records in a lighter form: a third of the time to make one, nothing for the garbage collector to follow.

A worker that catches up makes tens of thousands of them a second, each for a moment. They have the fields of the client's own
`ConsumerRecord`, by the same names.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords


class LightRecord(msgspec.Struct, gc=False):
    """A record as it was read. ``timestamp`` is epoch milliseconds; the sizes are in bytes, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: Any
    value: Any
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: tuple[tuple[str, bytes], ...]


def lighten() -> None:
    """From now on the consumers of this process give light records. May be called again."""
    PartitionRecords._consumer_record = _light


def _light(records: PartitionRecords, where: TopicPartition, record: Any) -> LightRecord:
    key, value = record.key, record.value
    of_key, of_value = records._key_deserializer, records._value_deserializer
    return LightRecord(
        where.topic,
        where.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        of_key(key) if of_key else key,
        of_value(value) if of_value else value,
        record.checksum,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        tuple(record.headers),
    )
