"""The contract with those who read the handoff topic: event types, headers, and how to read a record.

It imports nothing else of the project, so that a sales tool can take it along with `mqlstream.subscriber`.
How handoffs are written is in `mqlstream.handoff.cloudevents`; what `data` holds is in `topics/schemas/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

BECAME_MQL = "mqlstream.lead.became_mql.v1"
MQL_WITHDRAWN = "mqlstream.lead.mql_withdrawn.v1"
COOLED = "mqlstream.lead.cooled.v1"
STAGE_CHANGED = "mqlstream.lead.stage_changed.v1"
SLA_BREACHED = "mqlstream.lead.sla_breached.v1"
ERASED = "mqlstream.lead.erased.v1"
BECAME_MQA = "mqlstream.account.became_mqa.v1"
TYPES = (BECAME_MQL, MQL_WITHDRAWN, COOLED, STAGE_CHANGED, SLA_BREACHED, ERASED, BECAME_MQA)

SPEC_VERSION = "1.0"
HEADER_PREFIX = "ce_"  # CloudEvents 1.0, Kafka protocol binding
CONTENT_TYPE = "content-type"
JSON = "application/json"
STRUCTURED_JSON = "application/cloudevents+json"
_REQUIRED = ("id", "source", "type", "specversion", "subject", "time")

Headers = Sequence[tuple[str, bytes]]


class NotAHandoff(ValueError):
    """A record that does not hold a handoff event; the text says what is wrong with it, without quoting its data."""


@dataclass(frozen=True, slots=True)
class HandoffEvent:
    """One handoff event, the same whichever CloudEvents mode carried it.

    ``id`` is deterministic: the same event has the same id however often it is delivered, so it is what to deduplicate
    on. ``lead_id`` is the subject (for an account's event, the account). ``time_ms`` is the score's ``as_of`` in epoch
    milliseconds. ``data`` is as its schema in ``topics/schemas/<type>.json`` says; ignore members you don't know.
    """

    type: str
    id: str
    source: str
    lead_id: str
    time_ms: int
    data: Mapping[str, Any]
    schema: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The event as ``mqlstream score`` and ``mqlstream subscribe`` print it, one object a line."""
        return {"type": self.type, "id": self.id, "lead_id": self.lead_id, "time": self.time_ms, "data": dict(self.data)}


def parse(value: bytes | None, headers: Headers) -> HandoffEvent:
    """Read a Kafka record of the handoff topic, in binary or structured content mode.

    Raises `NotAHandoff` when the record is neither, or lacks what CloudEvents 1.0 or this contract requires.
    """
    named = dict(headers)
    content_type = _text(named.get(CONTENT_TYPE, b"")).partition(";")[0].strip().lower()
    if content_type.startswith("application/cloudevents"):
        if content_type != STRUCTURED_JSON:
            raise NotAHandoff(f"content-type is {content_type}, expected {STRUCTURED_JSON} or {JSON}")
        envelope = _object(value)
        return _event(envelope, envelope.get("data"))
    attributes = {name.removeprefix(HEADER_PREFIX): _text(text) for name, text in named.items() if name.startswith(HEADER_PREFIX)}
    if not attributes:
        raise NotAHandoff("no CloudEvents headers (ce_id, ce_type, ...), and content-type does not name CloudEvents")
    return _event(attributes, _object(value))


def _event(attributes: Mapping[str, Any], data: Any) -> HandoffEvent:
    for name in _REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise NotAHandoff(f"attribute {name} is missing, expected text")
    if attributes["specversion"] != SPEC_VERSION:
        raise NotAHandoff(f"specversion is {attributes['specversion'][:20]!r}, expected {SPEC_VERSION!r}")
    if not isinstance(data, dict):
        raise NotAHandoff("data is no JSON object")
    schema = attributes.get("dataschema")
    return HandoffEvent(
        type=attributes["type"],
        id=attributes["id"],
        source=attributes["source"],
        lead_id=attributes["subject"],
        time_ms=_epoch_ms(attributes["time"]),
        data=data,
        schema=schema if isinstance(schema, str) else None,
    )


def _epoch_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NotAHandoff("attribute time is no RFC 3339 time") from None
    if moment.tzinfo is None:
        raise NotAHandoff("attribute time has no offset from UTC")
    return round(moment.timestamp() * 1000)


def _object(value: bytes | None) -> dict[str, Any]:
    if not value:
        raise NotAHandoff("the record has no value")
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise NotAHandoff("the value is not JSON") from None
    if not isinstance(document, dict):
        raise NotAHandoff("the value is no JSON object")
    return document


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NotAHandoff("a header is not UTF-8") from None
