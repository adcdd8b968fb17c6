"""CloudEvents 1.0 on Kafka: binary mode (attributes in the headers ``ce_*``, data in the value), structured mode, and batches.

Names from https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md (id, source, type, subject, time, data, data_base64),
.../bindings/kafka-protocol-binding.md (``ce_`` headers, ``content-type``) and .../formats/json-format.md. Headers of the HTTP binding
(``ce-id``, percent-encoded: .../bindings/http-protocol-binding.md) are taken too: some bridges and the door for webhooks keep them.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import (
    Adapter,
    Found,
    Headers,
    Option,
    Parts,
    Skip,
    an_object,
    json_object,
    json_value,
    needed_object,
    parts_of,
)
from mqlstream.ingest.adapters.mapping import FIELDS, Field, checked_kind, fields_of, mapped
from mqlstream.ingest.adapters.values import email_in, needed
from mqlstream.ingest.fields import Refused, shown

_STRUCTURED = b"application/cloudevents"  # of one event and of a batch


@dataclass(frozen=True, slots=True)
class _Plan:
    types: Mapping[str, str]
    fields: tuple[Field, ...] | None


def _prepare(options: Mapping[str, Any]) -> _Plan:
    types = {word: checked_kind(kind, f"types.{word}") for word, kind in (options.get("types") or {}).items()}
    fields = fields_of(options)
    # An id that is mapped never counts: the attribute does.
    return _Plan(types, None if fields is None else tuple(field for field in fields if field.name != "id"))


def _open(value: bytes, headers: Headers, plan: _Plan) -> Parts:
    """One event or a batch; each item is the structured form, whatever the mode.

    The content type decides: a structured event may have its attributes in the headers as well.
    """
    attributes: dict[str, Any] = {}
    structured = False
    for name, content in headers:
        if not content:  # Kafka takes headers without a value
            continue
        lower = name.lower()
        if lower[:3] == "ce_":
            attributes[lower[3:]] = content.decode(errors="replace")
        elif lower[:3] == "ce-":
            attributes[lower[3:]] = unquote_to_bytes(content).decode(errors="replace")
        elif lower == "content-type":
            structured = content[: len(_STRUCTURED)].lower() == _STRUCTURED
    if not structured and ("specversion" in attributes or "type" in attributes):
        return Parts(({**attributes, "data": json_value(value)},))
    found = json_value(value)
    return parts_of(found, "") if type(found) is list else Parts((an_object(found),))


def _read(item: Any, shared: Any, plan: _Plan) -> Found:
    event = an_object(item)
    event_type = needed("type", event.get("type"), "the CloudEvents attribute")
    data = _data(event)
    found = dict(data) if plan.fields is None else mapped(data, plan.fields)
    kind = plan.types.get(event_type, found.get("kind"))
    if kind is None:
        return Skip(f"{shown(event_type)}: neither in `types` nor does its data name a kind")
    found["kind"] = kind
    # The data's own fields win, but for what makes an event the same event: that is said by the attributes.
    found["id"] = needed("id", event.get("id"), "the CloudEvents attribute")
    found["source"] = needed("source", event.get("source"), "the CloudEvents attribute")
    found["ce_type"] = event_type
    if found.get("time") is None:
        found["time"] = event.get("time")
    if found.get("email") is None and found.get("lead_id") is None:
        address = email_in(event.get("subject"))
        if address is not None:
            found["email"] = address
    return found


def _data(event: dict[str, Any]) -> dict[str, Any]:
    if "data_base64" in event:
        encoded = needed("data_base64", event["data_base64"], "base64")
        try:
            return json_object(b64decode(encoded, validate=True), "data_base64")
        except (binascii.Error, ValueError):
            raise Refused(Reason.BAD_FIELD, "data_base64: got what is no base64, expected base64 of a JSON object") from None
    return needed_object("data", event.get("data"))


CLOUDEVENTS = Adapter(
    name="cloudevents",
    title="CloudEvents",
    pages=(
        "https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md",
        "https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md",
    ),
    takes="binary mode (headers `ce_*`, or `ce-*` of the HTTP binding), structured mode (also with these headers, if the `content-type` "
    "is `application/cloudevents...`), and batches; the data is a JSON object",
    kinds=("web_visit", "form_fill", "email_click", "webinar_attendance", "activity", "profile", "feedback", "command"),
    identity="the data's canonical fields, or as mapped; else a `subject` that is an email address",
    event_id="`id`, unique within the event's own `source`",
    time="the data's `time`, else the attribute `time`: RFC 3339",
    machine="the data's `machine`",
    checked="attributes, both modes, batches, headers and their encoding against the specification's text",
    ignored="types that are not in `types` and whose data names no `kind`",
    options=(Option("types", "map", "CloudEvents type -> kind.", "{com.acme.signup: form_fill}"), FIELDS),
    open=_open,
    read=_read,
    prepare=_prepare,
)
