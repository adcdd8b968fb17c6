"""Compressed batches that would unpack to more than a worker can hold: told apart before the client unpacks them.

A kilobyte can hold a gigabyte, and brokers let it pass. The client unpacks a batch whole, into memory; a worker that dies of it
meets the same batch again when it comes back. So what unpacks to more than `LIMIT_BYTES` is not unpacked: one record without
a value stands for the batch, at its first offset, and says so in the header `UNPACKED`. What becomes of that record is its reader's matter.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any

import cramjam
from aiokafka.codec import snappy_decode
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecord
from aiokafka.record.memory_records import MemoryRecords

LIMIT_BYTES = 64 * 2**20  # what is honest unpacks to a few megabytes
UNPACKED = "mqlstream.unpacked"  # a header: what was not read, and why

# Where things stand in a batch, by Kafka's protocol for messages of version 2.
_LENGTH, _MAGIC, _ATTRIBUTES, _FIRST_TIME, _HEAD = 8, 16, 21, 27, 61
_FRAME = 12  # offset and length, which the length does not count
_CODECS = 0x07
_STEP = 2**20
_SNAPPY_RATIO = 32  # more than it can be
_GZIP_RATIO = 1_040  # the same
_USUAL_RATIO = 24  # what events seldom reach
_GZIP_FILES = 100  # one after the other in a batch; producers write one


def guard() -> None:
    """From now on no consumer of this process unpacks more than that of a batch. May be called again."""
    fetcher.MemoryRecords = GuardedRecords


class GuardedRecords:
    """The batches of one answer to a fetch, as the client wants them; stands in for its `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._records = MemoryRecords(data)
        self.size_in_bytes = self._records.size_in_bytes
        self.has_next = self._records.has_next

    def next_batch(self) -> Any:
        data, at = self._data, self._at
        batch = self._records.next_batch()
        self._at = end = at + _FRAME + unpack_from(">i", data, at + _LENGTH)[0]
        if data[at + _MAGIC] < 2:
            return batch
        (attributes,) = unpack_from(">h", data, at + _ATTRIBUTES)
        fits = _FITS.get(attributes & _CODECS)
        if fits is None or batch.is_control_batch or fits(data[at + _HEAD : end], LIMIT_BYTES):
            return batch
        return _Unread(batch, unpack_from(">q", data, at + _FIRST_TIME)[0])


class _Unread:
    """A batch that is not unpacked, in the form in which the client takes batches; gives the one record that stands for it."""

    def __init__(self, batch: Any, timestamp: int) -> None:
        self.base_offset: int = batch.base_offset
        self.next_offset: int = batch.next_offset
        self.is_control_batch: bool = batch.is_control_batch
        self.is_transactional: bool = batch.is_transactional
        self.producer_id: int = batch.producer_id
        self.validate_crc: Callable[[], bool] = batch.validate_crc
        self._timestamp = timestamp

    def __iter__(self) -> Iterator[DefaultRecord]:
        told = f"a compressed batch of more than {LIMIT_BYTES} bytes was not read, offsets {self.base_offset} to {self.next_offset - 1}"
        yield DefaultRecord(self.base_offset, self._timestamp, 0, None, None, [(UNPACKED, told.encode())])


def _gzip_fits(data: bytes, limit: int) -> bool:
    if len(data) * _GZIP_RATIO <= limit:
        return True
    size = 0
    try:
        for _ in range(_GZIP_FILES):
            unpacking = zlib.decompressobj(31)
            while data and not unpacking.eof:
                size += len(unpacking.decompress(data, _STEP))
                if size > limit:
                    return False
                data = unpacking.unconsumed_tail
            data = unpacking.unused_data
            if not data:
                return True
    except zlib.error:
        return True  # broken: the client is to say so
    return False


def _snappy_fits(data: bytes, limit: int) -> bool:
    return len(data) * _SNAPPY_RATIO <= limit or len(snappy_decode(data)) <= limit


def _into(decompress_into: Callable[[bytes, bytearray], int], ratio: int) -> Callable[[bytes, int], bool]:
    def fits(data: bytes, limit: int) -> bool:
        if len(data) * ratio <= limit:
            return True
        # Into a small space first: a large one costs more than the unpacking of what is honest.
        return any(_takes(decompress_into, data, space) for space in (min(limit, len(data) * _USUAL_RATIO), limit))

    return fits


def _takes(decompress_into: Callable[[bytes, bytearray], int], data: bytes, space: int) -> bool:
    try:
        decompress_into(data, bytearray(space))
    except cramjam.DecompressionError:
        return False
    return True


_FITS: dict[int, Callable[[bytes, int], bool]] = {
    1: _gzip_fits,
    2: _snappy_fits,
    3: _into(cramjam.lz4.decompress_into, 256),
    4: _into(cramjam.zstd.decompress_into, 32_768),
}
