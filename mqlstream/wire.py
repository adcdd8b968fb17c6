"""What stands on the lead-events topic: events, and broadcasts, which go to every partition. Bytes of key and value, and the
partition of a lead. And on the visitor-events topic: events that name no lead, and what is known of visitors.

The topics are internal: only this module writes and reads their records. The public formats live elsewhere
(`mqlstream.ingest` reads canonical input, `mqlstream.handoff` writes handoffs).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from mqlstream.core.event import Event

encode: Callable[[Event], bytes] = msgspec.json.Encoder().encode
"""The value of an event's record: JSON, fields that have their default left out."""

_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode


_BROADCAST = b"\x00"  # first byte of a broadcast's key; no lead's begins so


class Frontier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far one ingest task has read: every event before ``before_ms`` (epoch milliseconds) that it will write is written.

    None: it keeps up with its input; what it writes is as new as the world. ``tasks``: how many ingest tasks there are.
    """

    task: Annotated[int, msgspec.Meta(ge=0)]
    tasks: Annotated[int, msgspec.Meta(ge=1)]
    before_ms: Annotated[int, msgspec.Meta(ge=0)] | None


class Activation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """From here on a version of a definition is in force. All that a task needs for it: it never waits for another topic.

    ``text`` is the definition, lists and all; ``digest`` that of its content. ``time`` is when it was pushed, epoch
    milliseconds; ``handoff``, who is handed off by that alone: none, new or all; ``by``, who pushed it.
    """

    id: str
    version: int
    digest: str
    text: str
    time: Annotated[int, msgspec.Meta(ge=0)]
    handoff: Literal["none", "new", "all"] = "none"
    by: str = ""
    prepares: bool = False


ACTIVATION_KEY = _BROADCAST + b"activation"
_KEYS: dict[type[Frontier | Activation], bytes] = {Frontier: _BROADCAST + b"frontier", Activation: ACTIVATION_KEY}
_BROADCASTS: dict[bytes, msgspec.json.Decoder[Frontier] | msgspec.json.Decoder[Activation]] = {
    _KEYS[Frontier]: msgspec.json.Decoder(Frontier),
    ACTIVATION_KEY: msgspec.json.Decoder(Activation),
}
BROADCASTS = frozenset(_BROADCASTS)
"""The keys of all broadcasts."""
_encode_broadcast = msgspec.json.Encoder().encode


class Link(msgspec.Struct, frozen=True, array_like=True, tag="link"):
    """The visitor who is the record's key is a lead or another visitor, as the event (``source``, ``event_id``) says at its ``time``."""

    time: int
    source: str
    event_id: str
    lead: str = ""
    visitor: str = ""


class Forget(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """A broadcast: no visitor is this lead any more, for all that was told until then."""

    time: int
    lead: str


FORGET_KEY = _BROADCAST + b"forget"
_decode_told: Callable[[bytes], Link | Forget] = msgspec.json.Decoder(Link | Forget).decode
encode_told: Callable[[Link | Forget], bytes] = msgspec.json.Encoder().encode
"""The value of a link's or a forgetting's record: a JSON array."""


class WireError(ValueError):
    """A record that is none of those that stand on its topic; the text says what was got and what was expected."""


def decode_visit(value: bytes) -> Event | Link | Forget:
    """Read the value of a visitor-events record back. Raises `WireError`."""
    try:
        return _decode_told(value) if value[:1] == b"[" else _decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"no record of the visitor-events topic: {error}") from None


def decode(value: bytes) -> Event:
    """Read the value of a lead-events record back. Raises `WireError` on anything that `encode` did not write."""
    try:
        return _decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"no event of the lead-events topic: {error}") from None


def broadcast(message: Frontier | Activation) -> tuple[bytes, bytes]:
    """Key and value of a broadcast's record."""
    return _KEYS[type(message)], _encode_broadcast(message)


def heard(key: bytes | None, value: bytes | None) -> Frontier | Activation | None:
    """The broadcast in a record, None when it is none. Raises `WireError` when it is one that can't be read.

    `decode` takes no broadcast for an event: so one is looked for only where that failed.
    """
    if key is None or not key.startswith(_BROADCAST):
        return None
    decoder = _BROADCASTS.get(key)
    if decoder is None:
        raise WireError(f"got a broadcast {key[1:33]!r}, expected one of {', '.join(repr(known[1:]) for known in _BROADCASTS)}")
    try:
        return decoder.decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(f"no broadcast {key[1:]!r}: {error}") from None


def key_of(lead: str) -> bytes:
    """The record key of a lead."""
    return lead.encode()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a lead's records on every internal topic, 0 <= result < ``partitions``.

    CRC-32 rather than Kafka's murmur2: it is native code in every Python, and nothing but this program writes there.
    """
    return zlib.crc32(key) % partitions
