"""Light records tell all that the client's own records tell."""

from __future__ import annotations

from dataclasses import fields

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from mqlstream.engine import light_records

NAMES = [field.name for field in fields(ConsumerRecord)]


def _read() -> list[object]:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, 2**20)
    builder.append(0, 5, b"k", b"value", [("h", b"v")])
    builder.append(1, 6, None, None, [])
    records = MemoryRecords(bytes(builder.build()))
    return [*PartitionRecords(TopicPartition("t", 1), records, [], 0, None, str, True, READ_COMMITTED)]


def test_each_field_is_as_the_client_has_it() -> None:
    own = PartitionRecords._consumer_record
    theirs = _read()
    light_records.lighten()
    try:
        ours = _read()
    finally:
        PartitionRecords._consumer_record = own
    assert len(ours) == len(theirs) == 2
    assert all(isinstance(record, light_records.LightRecord) for record in ours)
    assert [[getattr(record, name) for name in NAMES] for record in ours] == [
        [getattr(record, name) for name in NAMES] for record in theirs
    ]
    assert list(light_records.LightRecord.__struct_fields__) == NAMES
