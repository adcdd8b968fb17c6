"""What compressed batches hold is known before they are unpacked; batches as producers make them, through the client's own reading."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from mqlstream.engine.unpacking import _FITS, LIMIT_BYTES, UNPACKED, GuardedRecords

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
AT = 1_793_610_000_000
PLACE = TopicPartition("t", 0)


def batch(codec: str, *values: bytes, first: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, 0, 2**30)
    for number, value in enumerate(values):
        assert builder.append(number, AT + number, b"k", value, [("h", b"v")]) is not None
    return struct.pack(">q", first) + bytes(builder.build())[8:]  # its offset is outside of what the checksum is for


def read(*batches: bytes) -> tuple[list[tuple[int, bytes | None]], int]:
    """Offset and value of each record, as the client gives them, and where it would go on."""
    records = PartitionRecords(PLACE, GuardedRecords(b"".join(batches)), [], 0, None, None, True, READ_COMMITTED)
    found = [(record.offset, record.value) for record in records]
    return found, records.next_fetch_offset


@pytest.mark.parametrize("codec", CODECS)
def test_what_is_honest_is_read_as_ever(codec: str) -> None:
    values = [b"%d" % number * 2_000 for number in range(50)]
    assert read(batch(codec, *values), batch(codec, b"x", first=50)) == ([*enumerate(values), (50, b"x")], 51)


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_bomb_is_one_record_that_says_so_and_its_neighbours_are_read(codec: str) -> None:
    bomb = batch(codec, b"\0" * (LIMIT_BYTES // 2), b"\0" * (LIMIT_BYTES // 2), first=1)
    parts = b"".join([batch("none", b"before"), bomb, batch(codec, b"after", first=3)])
    tracemalloc.start()
    records = [*PartitionRecords(PLACE, GuardedRecords(parts), [], 0, None, None, True, READ_COMMITTED)]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(record.offset, record.value) for record in records] == [(0, b"before"), (1, None), (3, b"after")]
    assert (records[1].key, records[1].timestamp) == (None, AT)
    assert dict(records[1].headers) == {
        UNPACKED: f"a compressed batch of more than {LIMIT_BYTES} bytes was not read, offsets 1 to 2".encode()
    }
    assert most < LIMIT_BYTES * 1.2, "it was not unpacked"
    assert read(parts)[1] == 4


def gzips(files: int) -> bytes:
    return gzip.compress(b"\0" * 10) * files


@pytest.mark.parametrize(
    ("codec", "pack"),
    [("gzip", gzip.compress), ("lz4", cramjam.lz4.compress), ("zstd", cramjam.zstd.compress), ("snappy", cramjam.snappy.compress_raw)],
)
def test_the_limit_is_where_it_is_said_to_be(codec: str, pack: Callable[[bytes], bytes]) -> None:
    fits = _FITS[CODECS[codec]]
    data = bytes(pack(b"\0" * 1_000_000))
    assert fits(data, 1_000_000)
    assert not fits(data, 999_999)


def test_files_within_a_file_are_counted_together_and_there_are_not_many() -> None:
    assert _FITS[1](gzips(100), 1_000)
    assert not _FITS[1](gzips(100), 999)
    assert not _FITS[1](gzips(101), 2_000)
