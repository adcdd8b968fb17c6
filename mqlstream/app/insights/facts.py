"""A fact: what is kept of one handoff event, in the table and its changelog. Nothing here counts.

A fact never changes and is kept under its event's id, so writing it twice, late, or from a worker that should have
stopped, writes the same again. It names no lead: a digest tells which facts belong together.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from mqlstream.handoff.contract import BECAME_MQL, COOLED, ERASED, MQL_WITHDRAWN, SLA_BREACHED, STAGE_CHANGED, HandoffEvent

MQL = "mql"
MOVED = "moved"
WITHDRAWN = "withdrawn"
COOLED_DOWN = "cooled"
BREACHED = "breached"
GONE = "gone"  # the lead was erased; never kept itself
_KINDS = {
    BECAME_MQL: MQL,
    STAGE_CHANGED: MOVED,
    MQL_WITHDRAWN: WITHDRAWN,
    COOLED: COOLED_DOWN,
    SLA_BREACHED: BREACHED,
    ERASED: GONE,
}


class Fact(msgspec.Struct, array_like=True, frozen=True):
    """``time`` is the event's (its `as_of`), epoch milliseconds; ``lead`` a digest of 16 characters.

    ``before`` and ``stage`` are where a lead moved from and to; ``rules`` those that contributed to an MQL, each once;
    ``respond_by`` when sales' answer was due, epoch milliseconds.
    """

    kind: str
    lead: str
    definition: str
    cycle: int
    time: int
    before: str = ""
    stage: str = ""
    rules: tuple[str, ...] = ()
    respond_by: int | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Fact)


def fact_of(event: HandoffEvent) -> Fact | None:
    """The fact in a handoff event; None for types that insights know nothing of, such as an account's."""
    kind = _KINDS.get(event.type)
    if kind is None:
        return None
    lead = digest(event.lead_id)
    if kind == GONE:
        return Fact(kind, lead, "", 0, event.time_ms)
    data = event.data
    definition, cycle = str(data["definition"]["id"]), int(data["cycle"])
    if kind == MQL:
        rules = tuple(sorted({str(line["rule"]) for line in data["contributions"]}))
        return Fact(kind, lead, definition, cycle, event.time_ms, stage=MQL, rules=rules, respond_by=_moment(data, "respond_by"))
    if kind == MOVED:
        return Fact(kind, lead, definition, cycle, event.time_ms, before=str(data["from"]), stage=str(data["to"]))
    return Fact(kind, lead, definition, cycle, event.time_ms, stage=str(data.get("stage", "")))


def digest(lead_id: str) -> str:
    """Tells leads apart without naming them: 96 bits, so that a hundred million leads hardly meet."""
    return urlsafe_b64encode(blake2b(lead_id.encode(), digest_size=12).digest()).decode()


def encode(fact: Fact) -> bytes:
    """The fact as the table keeps it: a JSON array."""
    return _encoder.encode(fact)


def decode(value: bytes) -> Fact:
    """Read `encode`'s bytes. Raises `msgspec.DecodeError`."""
    return _decoder.decode(value)


def _moment(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    return value if isinstance(value, int) else None
