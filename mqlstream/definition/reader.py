"""Reads nodes by the types that `fields` gives them: one function per type, findings for all that does not fit.

Knows types, bounds, names and durations; conditions are read by `where` and `when`. What several fields mean together is
checked in `checks`, and what comes out becomes a `model.Definition` in `parse`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from mqlstream.definition import types
from mqlstream.definition.fields import CONSTRUCTS
from mqlstream.definition.findings import Placed, Report, nearest, show
from mqlstream.definition.model import Scalar as Plain
from mqlstream.definition.source import Entries, Items, Node, Scalar, Unread
from mqlstream.definition.types import Construct, Type, duration_text, expected
from mqlstream.definition.zones import zone_hint


class Invalid:
    """The one `INVALID`: stands for a value that was refused."""


INVALID: Final = Invalid()

_DURATION = re.compile(r"([0-9]{1,12})([smhd])\Z")
_NUMERIC = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?\Z")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?([Zz]|[-+]\d\d:\d\d)\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_YES_NO = frozenset({"yes", "no", "on", "off", "y", "n"})
EARLIEST_MS = 946_684_800_000  # the years 2000 to 2100, as for events
LATEST_MS = 4_133_980_800_000


@dataclass(slots=True)
class Obj:
    """A mapping as read: ``values`` holds what was there and sound, ``node`` the places of the keys."""

    node: Entries
    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def at(self, key: str) -> Placed:
        """The place of a key, or of the mapping where the key is not there."""
        found = self.node.entries.get(key)
        return found[0] if found else self.node

    def value_at(self, key: str) -> Placed:
        found = self.node.entries.get(key)
        return found[1] if found else self.node


@dataclass(slots=True)
class Names:
    """What a definition names, found before anything is read; so a name may be used above the place that gives it."""

    dimensions: set[str] = field(default_factory=lambda: {"engagement", "fit"})
    groups: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)  # of rules, fit and inactivity: what contributions are listed under
    lists: set[str] = field(default_factory=set)
    grades: list[list[str]] = field(default_factory=list)  # per scale, in order

    def of(self, kind: str) -> set[str]:
        if kind == "score":
            return self.dimensions | {"total"}
        return {"dimension": self.dimensions, "group": self.groups, "rule": self.rules, "entry": self.entries, "list": self.lists}[kind]


@dataclass(slots=True)
class Members:
    """A named list, resolved; ``at`` is its name in the file."""

    members: tuple[Plain, ...]
    at: Placed
    other: Plain | None = None  # the first member that is no text
    used: bool = False


@dataclass(slots=True)
class Reader:
    """Reads one file's tree. ``directory`` is where its list files are; None: it has none.

    ``special`` has the readers of types with a grammar of their own: where, when, lists.
    """

    report: Report
    names: Names
    not_yet: frozenset[str]
    special: Mapping[type, Callable[..., Any]]
    directory: Path | None = None
    lists: dict[str, Members] = field(default_factory=dict)

    def read(self, node: Node, kind: Type, label: str, beside: Obj | None = None) -> Any:
        """The value of a node as its type says, or INVALID. ``beside`` is the mapping around it, as far as read."""
        if isinstance(node, Unread):
            return INVALID
        match kind:
            case types.Object(name):
                return self.object(node, CONSTRUCTS[name], label)
            case types.ListOf():
                return self._list(node, kind, label, beside)
            case types.MapOf():
                return self._map(node, kind, label)
            case types.Nullable(item):
                return None if isinstance(node, Scalar) and node.value is None else self.read(node, item, label)
            case types.Json():
                return self._json(node)
            case types.Where() | types.When() | types.Lists() | types.BusinessHours() | types.Values():
                return self.special[type(kind)](self, node, kind, label, beside)
        if not isinstance(node, Scalar):
            return self.wrong(node, kind, label)
        return self._scalar(node, kind, label)

    def object(self, node: Node, construct: Construct, label: str) -> Obj | Invalid:
        if not isinstance(node, Entries):
            return self.wrong(node, types.Object(construct.name), label)
        obj = Obj(node)
        for one in construct.fields:
            if one.name in node.entries:
                key, value = node.entries[one.name]
                if f"{construct.name}.{one.name}" in self.not_yet:
                    self.report.error(key, "not-supported", f"{one.name} is not supported yet", "remove it until it is")
                read = self.read(value, one.type, one.name, obj)
                if not isinstance(read, Invalid):
                    obj.values[one.name] = read
        self._other_keys(obj, construct, label)
        self._missing(obj, construct, label)
        return obj

    def _other_keys(self, obj: Obj, construct: Construct, label: str) -> None:
        for name, (key, value) in obj.node.entries.items():
            if name in construct.names:
                continue
            if construct.others is not None and name in self._keys_of(construct.others):
                obj.values[name] = self.read(value, construct.others.value, name)
                continue
            valid = set(construct.names) | (self._keys_of(construct.others) if construct.others else set())
            self.report.error(key, "unknown-key", f"{label} has no key {show(name)}", self.report.did_you_mean(name, valid))

    def _keys_of(self, others: types.MapOf) -> set[str]:
        return self.names.of(others.key.to) if isinstance(others.key, types.Ref) else set()

    def _missing(self, obj: Obj, construct: Construct, label: str) -> None:
        there = obj.node.entries
        for one in construct.fields:
            if one.required and one.name not in there:
                self.report.error(
                    obj.node,
                    "missing-key",
                    f"{label} has no {one.name}, expected {expected(one.type)}",
                    f"for example {one.name}: {one.example}",
                )
        for names in construct.exactly_one:
            found = [name for name in names if name in there]
            if not found:
                self.report.error(obj.node, "missing-key", f"{label} has none of {' '.join(names)}, expected one of them")
            for extra in found[1:]:
                self.report.error(
                    obj.at(extra), "conflict", f"{extra} cannot stand beside {found[0]}", f"expected one of {' '.join(names)}"
                )
        if construct.at_least_one and not any(name in there for name in construct.at_least_one):
            self.report.error(
                obj.node, "missing-key", f"{label} has none of {' '.join(construct.at_least_one)}, expected at least one of them"
            )
        for name, others in (construct.apart or {}).items():
            for other in others:
                if name in there and other in there:
                    self.report.error(obj.at(other), "conflict", f"{other} cannot stand beside {name}")

    def _list(self, node: Node, kind: types.ListOf, label: str, beside: Obj | None) -> Any:
        if kind.bare and isinstance(node, Scalar):
            one = self.read(node, kind.item, label, beside)
            return one if isinstance(one, Invalid) else [one]
        if not isinstance(node, Items):
            return self.wrong(node, kind, label)
        if not kind.least <= len(node.items) <= kind.most:
            self.bounds(node, label, f"{len(node.items)} entries", f"{kind.least} to {kind.most}")
        item_label = f"an entry of {label}" if isinstance(kind.item, types.Object) else label
        read = [self.read(item, kind.item, item_label, beside) for item in node.items[: kind.most]]
        return [one for one in read if not isinstance(one, Invalid)]

    def _map(self, node: Node, kind: types.MapOf, label: str) -> Obj | Invalid:
        if not isinstance(node, Entries):
            return self.wrong(node, kind, label)
        if not kind.least <= len(node.entries) <= kind.most:
            self.bounds(node, label, f"{len(node.entries)} entries", f"{kind.least} to {kind.most}")
        obj = Obj(node)
        for name, (key, value) in node.entries.items():
            as_text = Scalar(key.line, key.column, key.text, key.text)
            key_read = self._scalar(as_text, kind.key, label)
            read = self.read(value, kind.value, name)
            if not isinstance(key_read, Invalid) and not isinstance(read, Invalid):
                obj.values[name] = read
        return obj

    def _json(self, node: Node) -> Any:
        if isinstance(node, Entries):
            return {name: self._json(value) for name, (_, value) in node.entries.items()}
        if isinstance(node, Items):
            return [self._json(item) for item in node.items]
        if isinstance(node, Scalar):
            if isinstance(node.value, float) and not math.isfinite(node.value):
                self.bounds(node, "value", node.text, "a finite number")
                return None
            return node.value
        return None

    def _scalar(self, node: Scalar, kind: Type, label: str) -> Any:
        read = _SCALARS[type(kind)](self, node, kind, label)
        return self.wrong(node, kind, label) if read is None else read

    # What the readers of scalars share: they return the value, None for "not of this type", INVALID when said already.

    def wrong(self, node: Node, kind: Type, label: str) -> Invalid:
        """Say what was got and what was expected."""
        if not isinstance(node, Unread):
            self.report.error(node, "wrong-type", f"{label}: got {got(node)}, expected {expected(kind)}", _hint(node, kind))
        return INVALID

    def bounds(self, at: Placed, label: str, what: str, wanted: str) -> Invalid:
        self.report.error(at, "out-of-bounds", f"{label}: got {what}, expected {wanted}")
        return INVALID

    def text(self, node: Scalar, kind: types.Text, label: str) -> Any:
        value = node.value
        if not isinstance(value, str):
            return None
        if len(value) > kind.longest:
            return self.bounds(node, label, f"{len(value)} characters", f"at most {kind.longest}")
        if not value.strip() and not kind.empty:
            self.report.error(node, "bad-value", f"{label}: got empty text, expected {kind.what}")
            return INVALID
        if kind.pattern is not None and not re.fullmatch(kind.pattern, value):
            self.report.error(node, "bad-value", f"{label}: got {show(value)}, expected {kind.what}")
            return INVALID
        return value

    def number(self, node: Scalar, kind: types.Number | types.Integer, label: str) -> Any:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        if isinstance(kind, types.Integer) and not isinstance(value, int):
            return None
        if not math.isfinite(value):
            return self.bounds(node, label, node.text, "a finite number")
        if not kind.least <= value <= kind.most:
            return self.bounds(node, label, node.text, f"a number from {_plain(kind.least)} to {_plain(kind.most)}")
        return value

    def boolean(self, node: Scalar, kind: types.Boolean, label: str) -> Any:
        return node.value if isinstance(node.value, bool) else None

    def choice(self, node: Scalar, kind: types.Choice, label: str) -> Any:
        return node.value if node.value in kind.values and isinstance(node.value, str) else None

    def duration(self, node: Scalar, kind: types.Duration, label: str) -> Any:
        found = _DURATION.match(node.value) if isinstance(node.value, str) else None
        if not found:
            return None
        ms = int(found[1]) * types.UNITS_MS[found[2]]
        if ms % kind.step_ms:
            self.report.error(node, "bad-value", f"{label}: got {show(node.value)}, expected {expected(kind)}")
            return INVALID
        if not kind.least_ms <= ms <= kind.most_ms:
            return self.bounds(node, label, node.text, f"{duration_text(kind.least_ms)} to {duration_text(kind.most_ms)}")
        return ms

    def either(self, node: Scalar, kind: types.Either, label: str) -> Any:
        if node.value in kind.words.values and isinstance(node.value, str):
            return node.value
        return self.duration(node, kind.duration, label)

    def day(self, node: Scalar, kind: types.Day, label: str) -> Any:
        if not isinstance(node.value, str) or not _DAY.match(node.value):
            return None
        try:
            day = date.fromisoformat(node.value)
        except ValueError as error:
            self.report.error(node, "bad-value", f"{label}: got {show(node.value)}, expected a day of the calendar", str(error))
            return INVALID
        return node.value if 2000 <= day.year <= 2100 else self.bounds(node, label, node.value, "a day from 2000 to 2100")

    def instant(self, node: Scalar, kind: types.Instant, label: str) -> Any:
        value = node.value
        if isinstance(value, str) and _INSTANT.match(value):
            try:
                value = round(datetime.fromisoformat(value.upper().replace("Z", "+00:00")).timestamp() * 1000)
            except (ValueError, OverflowError) as error:
                self.report.error(node, "bad-value", f"{label}: got {show(node.value)}, expected {expected(kind)}", str(error))
                return INVALID
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if EARLIEST_MS <= value < LATEST_MS else self.bounds(node, label, node.text, "a time from 2000 to 2100")

    def zone(self, node: Scalar, kind: types.Zone, label: str) -> Any:
        if not isinstance(node.value, str):
            return None
        hint = zone_hint(node.value)
        if hint is None:
            return node.value
        self.report.error(node, "unknown-name", f"{label}: got {show(node.value)}, expected {expected(kind)}", hint)
        return INVALID

    def ref(self, node: Scalar, kind: types.Ref, label: str) -> Any:
        if not isinstance(node.value, str):
            return None
        valid = self.names.of(kind.to)
        if node.value in valid:
            return node.value
        self.report.error(
            node, "unknown-name", f"{label}: got {show(node.value)}, expected {expected(kind)}", self.report.did_you_mean(node.value, valid)
        )
        return INVALID

    def value(self, node: Scalar, kind: types.Value, label: str) -> Any:
        value = node.value
        if (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**63):
            return self.bounds(node, label, node.text, "a finite number below 2^63")
        if isinstance(value, str) and len(value) > 1000:
            return self.bounds(node, label, f"{len(value)} characters", "at most 1000")
        return value


_SCALARS: dict[type, Callable[..., Any]] = {
    types.Text: Reader.text,
    types.Integer: Reader.number,
    types.Number: Reader.number,
    types.Boolean: Reader.boolean,
    types.Choice: Reader.choice,
    types.Duration: Reader.duration,
    types.Either: Reader.either,
    types.Day: Reader.day,
    types.Instant: Reader.instant,
    types.Zone: Reader.zone,
    types.Ref: Reader.ref,
    types.Value: Reader.value,
}


def got(node: Node) -> str:
    """What stands at a node, in words."""
    if isinstance(node, Items):
        return "a list"
    if isinstance(node, Scalar):
        if node.value is None:
            return "nothing (null)"
        if isinstance(node.value, bool):
            return show(node.value)
        return f"the text {show(node.value)}" if isinstance(node.value, str) else f"the number {show(node.text)[1:-1]}"
    return "a mapping"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _hint(node: Node, kind: Type) -> str:
    if not isinstance(node, Scalar):
        return ""
    value = node.value
    match kind:
        case types.Boolean() if isinstance(value, str) and value.casefold() in _YES_NO:
            return "only true and false are booleans"
        case types.Duration() | types.Either() if isinstance(value, int) and not isinstance(value, bool):
            return f"add a unit, like {abs(value) or 1}d"
        case types.Text() | types.Ref() | types.Values(bare=True) if value is not None and not isinstance(value, str):
            return f'quote it: "{show(node.text)[1:-1]}"'
        case types.Values() | types.ListOf() if value is not None:
            return f"a list of one is [{show(node.text)[1:-1]}]"
        case types.Number() | types.Integer() if isinstance(value, str) and _NUMERIC.match(value):
            return "remove the quotes"
        case types.Choice(values) | types.Either(_, types.Choice(values)) if isinstance(value, str):
            near = nearest(value, values)
            return f"did you mean {near}?" if near else ""
    return ""
