"""What an adapter is: how a record is taken apart, and what each part becomes. No vendor's names, no validation of events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import orjson

from mqlstream.core.outcome import Reason
from mqlstream.ingest.canonical import MAX_DEPTH, too_deep
from mqlstream.ingest.fields import Refused, missing, not_json, shown
from mqlstream.ingest.results import UNKNOWN_KIND

MAX_PARTS = 5_000  # of one record: what vendors send at once is far less

Headers = Sequence[tuple[str, bytes]]


class Skip(NamedTuple):
    """A part that is understood and no touch of a buyer; ``why`` is shown by `mqlstream adapters test`."""

    why: str
    kind: str = UNKNOWN_KIND
    reason: Reason = Reason.NO_TOUCH


Found = dict[str, Any] | Skip  # a canonical input object (taken over by its reader), or why there is none


class Parts(msgspec.Struct):
    """A record taken apart. ``where`` stands before a part's number in errors, None for a record that is one part.

    ``shared`` is what the record says of all its parts.
    """

    items: Sequence[Any]
    where: str | None = None
    shared: Any = None


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be set for a source. ``kind`` is text, map (of texts), or any (the adapter checks it)."""

    name: str
    kind: str
    description: str
    example: str


@dataclass(frozen=True, slots=True)
class Adapter:
    """One source of payloads. The texts are what `mqlstream adapters list` and docs/adapters.md say of it; ``checked`` says which names
    and meanings were compared with what public page or payloads, and which were not.

    ``open`` takes a record's value and headers apart and `read` makes events of one part (and ``shared``, and the prepared options); both
    raise `Refused` for what they can't use. ``prepare`` checks the options and makes of them what ``open`` and ``read``
    want; it raises ValueError with the text for the user.
    """

    name: str
    title: str
    pages: tuple[str, ...]
    takes: str
    kinds: tuple[str, ...]
    identity: str
    event_id: str
    time: str
    machine: str
    ignored: str
    open: Callable[[bytes, Headers, Any], Parts]
    read: Callable[[Any, Any, Any], Found | Sequence[Found]]
    checked: str = ""
    notes: str = ""
    options: tuple[Option, ...] = ()
    prepare: Callable[[Mapping[str, Any]], Any] = dict


@dataclass(frozen=True, slots=True)
class Source:
    """A configured adapter. ``name`` is the source of events that name none; None: the topic's name."""

    adapter: Adapter
    name: str | None = None
    prepared: Any = field(default_factory=dict)
    digest: str = ""


def json_value(value: bytes, what: str = "value") -> Any:
    """What a JSON text holds, nested within the limit."""
    try:
        found = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise _too_deep(what) from None
        raise not_json(what, value, error, "JSON") from None
    if too_deep(value, found):
        raise _too_deep(what)
    return found


def _too_deep(what: str) -> Refused:
    return Refused(Reason.TOO_DEEP, f"{what}: nested too deep, expected at most {MAX_DEPTH} levels")


def json_object(value: bytes, what: str = "value") -> dict[str, Any]:
    """The object that a JSON text holds."""
    return an_object(json_value(value, what), what)


def an_object(value: Any, what: str = "value") -> dict[str, Any]:
    """The value, if it is an object."""
    if type(value) is not dict:
        raise Refused(Reason.NOT_AN_OBJECT, f"{what}: got {shown(value)}, expected a JSON object")
    return value


def needed_object(name: str, value: Any) -> dict[str, Any]:
    """An object that must be there; ``name`` is the vendor's name of it."""
    if value is None:
        raise missing(name, "a JSON object")
    return an_object(value, name)


def parts_of(items: Any, where: str, shared: Any = None) -> Parts:
    """The parts of a list in a record; ``where`` names it, empty for the record itself."""
    if items is None and where:
        raise missing(where, "a list")
    if type(items) is not list:
        raise Refused(Reason.BAD_FIELD, f"{where or 'value'}: got {shown(items)}, expected a list")
    if len(items) > MAX_PARTS:
        raise Refused(Reason.TOO_LARGE, f"{where or 'value'}: got {len(items)} entries, expected at most {MAX_PARTS}")
    return Parts(items, where, shared)


def open_object(value: bytes, headers: Headers, options: Any) -> Parts:
    """A record that is one JSON object, or a list of them."""
    found = json_value(value)
    return parts_of(found, "") if type(found) is list else Parts((an_object(found),))
