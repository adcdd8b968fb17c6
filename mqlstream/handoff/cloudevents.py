"""Output events as Kafka records: CloudEvents 1.0, Kafka protocol binding, in binary or structured content mode.

An output event is the object that ``mqlstream score`` prints, `{"type", "id", "lead_id", "time", "data"}`; what is in it
is decided in the core. Reading records back is `mqlstream.handoff.contract`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from mqlstream.handoff.contract import CONTENT_TYPE, HEADER_PREFIX, JSON, SPEC_VERSION, STRUCTURED_JSON, Headers


def schema_uri(event_type: str) -> str:
    """The name of the JSON Schema of an event type's data; the `$id` of ``topics/schemas/<type>.json``."""
    return f"urn:mqlstream:schema:{event_type}"


def encode(event: Mapping[str, Any], source: str, *, structured: bool = False) -> tuple[bytes, bytes, Headers]:
    """The (key, value, headers) of an output event's record.

    ``source`` is the URI reference that names this installation. Binary mode keeps the attributes in headers and the
    data as value; structured mode keeps everything in the value. The key is the lead id, UTF-8, so that a lead's
    events keep their order. No header depends on anything but the event: the same event gives the same record.
    """
    attributes = {
        "specversion": SPEC_VERSION,
        "id": event["id"],
        "source": source,
        "type": event["type"],
        "time": _rfc3339(event["time"]),
        "subject": event["lead_id"],
        "dataschema": schema_uri(event["type"]),
    }
    key = str(event["lead_id"]).encode()
    if structured:
        envelope = {**attributes, "datacontenttype": JSON, "data": event["data"]}
        return key, orjson.dumps(envelope), ((CONTENT_TYPE, f"{STRUCTURED_JSON}; charset=UTF-8".encode()),)
    headers = [(HEADER_PREFIX + name, text.encode()) for name, text in attributes.items()]
    return key, orjson.dumps(event["data"]), (*headers, (CONTENT_TYPE, JSON.encode()))


def _rfc3339(epoch_ms: int) -> str:
    moment = datetime.fromtimestamp(epoch_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{epoch_ms % 1000:03d}Z"
