"""The mapping from a JSON object to a canonical one, as it is written in the settings. Shared by `json` and `cloudevents`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mqlstream.core.event import KINDS
from mqlstream.ingest.adapters.base import Option
from mqlstream.ingest.adapters.values import composed, seconds_ms, text, utc, utc_ms
from mqlstream.ingest.fields import bad_field, missing, nearest

MAX_FIELDS = 100  # of one mapping
_IDS = frozenset({"id", "lead_id", "user_id", "anonymous_id", "session_id", "message_id", "phone", "account"})
_UNITS = ("ms", "s", "utc")
_FORM = "a path, or one of {any: [paths]}, {all: [paths]}, {value: constant}, {path: ..., unit: ms|s|utc}"

Get = Callable[[dict[str, Any]], Any]

FIELDS = Option(
    "fields",
    "any",
    f"Canonical field -> {_FORM}. A path is keys with dots between them, `.` the whole object. `any` takes the first that is there, "
    "`all` makes an id of several, of which one at least must be there. Without `fields` the object must be canonical itself.",
    "{id: event_id, time: {path: created, unit: s}, email: user.email}",
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the canonical object and where its value comes from."""

    name: str
    get: Get


def fields_of(options: Mapping[str, Any]) -> tuple[Field, ...] | None:
    """The compiled mapping; None when there is none. Raises ValueError with the text for the user."""
    written = options.get("fields")
    if written is None:
        return None
    if not isinstance(written, dict) or not 0 < len(written) <= MAX_FIELDS or not all(isinstance(name, str) for name in written):
        raise ValueError(f"fields: got {_short(written)}, expected 1 to {MAX_FIELDS} canonical fields, each with {_FORM}")
    return tuple(Field(name, _as_text(_getter(name, spec)) if name in _IDS else _getter(name, spec)) for name, spec in written.items())


def mapped(item: dict[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    """The canonical object; what is missing or null is left out."""
    found = {}
    for field in fields:
        value = field.get(item)
        if value is not None:
            found[field.name] = value
    return found


def kind_of(value: Any, kinds: Mapping[str, str], name: str) -> str:
    """The kind that a type of the payload is mapped to."""
    word = text(value)
    if word is None:
        raise missing(name, "a type of event") if value is None else bad_field(name, value, "a text")
    kind = kinds.get(word)
    if kind is None:
        raise bad_field(name, word[:200], "one of " + " ".join(kinds) + nearest(word, kinds))
    return kind


def checked_kind(kind: Any, where: str) -> str:
    """A kind of event as written in the settings."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{where}: got {_short(kind)}, expected one of {' '.join(KINDS)}{nearest(str(kind), KINDS)}")
    return kind


def path_of(written: Any, where: str) -> Get:
    """What takes the value at a path."""
    if not isinstance(written, str) or not written or len(written) > 200:
        raise ValueError(f"{where}: got {_short(written)}, expected a path such as user.email")
    if written == ".":
        return lambda item: item
    keys = written.split(".")
    if not all(keys):
        raise ValueError(f"{where}: got {_short(written)}, expected keys with single dots between them")
    if len(keys) == 1:
        (key,) = keys
        return lambda item: item.get(key)
    return lambda item: _walk(item, keys)


def _walk(item: Any, keys: list[str]) -> Any:
    for key in keys:
        if type(item) is dict:
            item = item.get(key)
        elif type(item) is list and key.isascii() and key.isdigit() and len(key) < 6:
            number = int(key)
            item = item[number] if number < len(item) else None
        else:
            return None
    return item


def _as_text(get: Get) -> Get:
    """Ids that are written as numbers are texts here."""
    return lambda item: str(value) if type(value := get(item)) is int else value


def _getter(name: str, spec: Any) -> Get:
    where = f"fields.{name}"
    if isinstance(spec, str):
        return path_of(spec, where)
    if isinstance(spec, dict):
        keys = set(spec)
        if keys == {"value"} and isinstance(spec["value"], str | int | float | bool):
            constant = spec["value"]
            return lambda item: constant
        if keys == {"any"} and isinstance(spec["any"], list) and spec["any"]:
            choices = [path_of(path, where) for path in spec["any"]]
            return lambda item: next((value for get in choices if (value := get(item)) not in (None, "")), None)
        if keys == {"all"} and isinstance(spec["all"], list) and spec["all"]:
            return _composing(name, spec["all"], [path_of(path, where) for path in spec["all"]])
        if keys == {"path", "unit"} and spec["unit"] in _UNITS:
            return _in_unit(name, path_of(spec["path"], where), spec["unit"])
    raise ValueError(f"{where}: got {_short(spec)}, expected {_FORM}")


def _composing(name: str, paths: list[str], parts: list[Get]) -> Get:
    """What makes an id of several values. Of none it makes none: all that lack them would be the same."""

    def get(item: dict[str, Any]) -> str | None:
        words = [text(part(item)) for part in parts]
        if any(words):
            return composed(*words)
        if name == "id":
            raise missing(name, f"at least one of {' '.join(paths)}")
        return None

    return get


def _in_unit(name: str, get: Get, unit: str) -> Get:
    if unit == "ms":
        return get
    convert: Callable[[str, Any], int | str] = seconds_ms if unit == "s" else utc_ms if name == "time" else utc
    return lambda item: None if (value := get(item)) is None else convert(name, value)


def _short(value: Any) -> str:
    shown = " ".join(str(value).split())
    return repr(shown if len(shown) <= 60 else shown[:57] + "...")
