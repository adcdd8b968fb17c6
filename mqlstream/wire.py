"""How an event stands on the lead-events topic: bytes of key and value, and the partition of a lead.

The topic is internal: only this module writes and reads its records. The public formats live elsewhere
(`mqlstream.ingest` reads canonical input, `mqlstream.handoff` writes handoffs).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import msgspec

from mqlstream.core.event import Event

encode: Callable[[Event], bytes] = msgspec.json.Encoder().encode
"""The value of an event's record: JSON, fields that have their default left out."""

_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode


class WireError(ValueError):
    """A lead-events value that is no event; the text says what was got and what was expected."""


def decode(value: bytes) -> Event:
    """Read the value of a lead-events record back. Raises `WireError` on anything that `encode` did not write."""
    try:
        return _decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"no event of the lead-events topic: {error}") from None


def key_of(lead: str) -> bytes:
    """The record key of a lead."""
    return lead.encode()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a lead's records on every internal topic, 0 <= result < ``partitions``.

    CRC-32 rather than Kafka's murmur2: it is native code in every Python, and nothing but this program writes there.
    """
    return zlib.crc32(key) % partitions
