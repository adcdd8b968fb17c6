"""Any JSON: the settings say which field of the payload is which field of the event, and which type of it is which kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.mapping import FIELDS, Field, Get, checked_kind, fields_of, kind_of, mapped, path_of
from mqlstream.ingest.adapters.values import text


@dataclass(frozen=True, slots=True)
class _Plan:
    """The options, compiled. ``types`` maps the payload's type at ``type_at`` to a kind; ``kind`` is that of all others."""

    kind: str | None
    type_at: Get | None
    type_path: str
    types: Mapping[str, str]
    passed_over: frozenset[str]
    items: Get | None
    items_path: str
    fields: tuple[Field, ...] | None


def _prepare(options: Mapping[str, Any]) -> _Plan:
    kind = options.get("kind")
    kind = None if kind is None else checked_kind(kind, "kind")
    type_path, types, ignore = options.get("type"), options.get("types") or {}, options.get("ignore") or []
    if (type_path is None) != (not types and not ignore):
        raise ValueError("type: expected the path of the payload's type, and with it `types`, `ignore` or both")
    if not isinstance(ignore, list) or not all(isinstance(word, str) for word in ignore):
        raise ValueError("ignore: expected a list of types")
    items = options.get("items")
    return _Plan(
        kind=kind,
        type_at=None if type_path is None else path_of(type_path, "type"),
        type_path=type_path or "type",
        types={word: checked_kind(to, f"types.{word}") for word, to in types.items()},
        passed_over=frozenset(ignore),
        items=None if items is None else path_of(items, "items"),
        items_path=items or "",
        fields=fields_of(options),
    )


def _open(value: bytes, headers: Headers, plan: _Plan) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if plan.items is not None:
        return parts_of(plan.items(an_object(found)), plan.items_path)
    return Parts((an_object(found),))


def _read(item: Any, shared: Any, plan: _Plan) -> Found:
    payload = an_object(item)
    kind = plan.kind
    if plan.type_at is not None:
        told = plan.type_at(payload)
        word = text(told)
        if word in plan.passed_over:
            return Skip(f"{word}: the settings say so")
        if kind is None or word in plan.types:
            kind = kind_of(told, plan.types, plan.type_path)
    found = payload if plan.fields is None else mapped(payload, plan.fields)
    if kind is not None:
        found["kind"] = kind
    return found


JSON = Adapter(
    name="json",
    title="Any JSON",
    pages=(),
    takes="one object, a list of them, or an object with a list in it (`items`)",
    kinds=("web_visit", "form_fill", "email_click", "webinar_attendance", "activity", "profile", "feedback", "command"),
    identity="as mapped",
    event_id="as mapped; `{all: [paths]}` makes one of several fields",
    time="as mapped; epoch milliseconds or RFC 3339, with `unit: s` epoch seconds, with `unit: utc` a time in UTC that does not say so",
    machine="as mapped",
    ignored="types named in `ignore`; fields that are not mapped",
    options=(
        Option("kind", "text", "The kind of all events, or of those whose type is not in `types`.", "form_fill"),
        Option("type", "text", "Path of the payload's own type of event.", "event.type"),
        Option("types", "map", "Type -> kind.", "{signup: form_fill, visit: web_visit}"),
        Option("ignore", "any", "Types to pass over.", "[heartbeat]"),
        Option("items", "text", "Path of the list of events, where a record holds several.", "data.events"),
        FIELDS,
    ),
    open=_open,
    read=_read,
    prepare=_prepare,
)
