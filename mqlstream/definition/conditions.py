"""Reads conditions: the whole grammar of ``where``, with the doubts that can be told from one test alone.

What a condition means when an event comes is the compiler's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mqlstream.core.event import ACTIVITY_KINDS
from mqlstream.definition import known, types
from mqlstream.definition.fields import CONSTRUCTS, PATH
from mqlstream.definition.findings import Placed, nearest, show
from mqlstream.definition.model import All, Any_, Not, Test, Where
from mqlstream.definition.reader import INVALID, Invalid, Obj, Reader, got
from mqlstream.definition.source import Entries, Items, Node, Scalar, Unread

COMPOUNDS = ("any", "all", "not")
ORDERED = frozenset({"gt", "gte", "lt", "lte"})
_LIST_NAME = re.compile(r"\$[^\W\d][\w-]*\Z")
_ANY_NUMBER = types.Number(-(2.0**63), 2.0**63)
_MET = frozenset({"lead.stage", "lead.cycle"})  # recorded with the event, so read like its own fields
_DOUBTED = 20
_ROOTED = re.compile(r"[/*?\[]")


def read_where(reader: Reader, node: Node, kind: types.Where, label: str, beside: Obj | None) -> Where | Invalid:
    """A ``where`` as an `All` with one item per top-level entry, or INVALID."""
    if not isinstance(node, Entries):
        return reader.wrong(node, kind, label)
    kinds = tuple((beside.get("on") if beside else None) or ACTIVITY_KINDS)
    condition = _Condition(reader, kind.reads, kinds)
    items: list[Where] = []
    for name, (key, value) in node.entries.items():
        item = condition.entry(name, key, value)
        if isinstance(item, Invalid):
            continue
        if name in COMPOUNDS and kind.reads == "event":
            _check_mixed(reader, key, name, item)
        items.append(item)
    return All(tuple(items)) if len(items) == len(node.entries) else INVALID


def tests_of(where: Where) -> Iterator[Test]:
    """Every test in a condition."""
    match where:
        case Test():
            yield where
        case All(items) | Any_(items):
            for item in items:
                yield from tests_of(item)
        case Not(item):
            yield from tests_of(item)


def is_lead(path: str) -> bool:
    """Whether a path of an event's condition reads an attribute of the lead as it stands."""
    return path.startswith("lead.") and path not in _MET


def _check_mixed(reader: Reader, key: Scalar, name: str, item: Where) -> None:
    paths = {test.path for test in tests_of(item)}
    lead = sorted(path for path in paths if is_lead(path))
    others = sorted(path for path in paths if not is_lead(path))
    if lead and others:
        reader.report.error(
            key,
            "mixed-condition",
            f"{name} reads {lead[0]} beside {others[0]}, expected attributes of the lead alone",
            f"{lead[0]} switches the whole rule: put it in an entry of its own at the top of where",
        )


@dataclass(frozen=True, slots=True)
class _Condition:
    reader: Reader
    reads: str
    kinds: tuple[str, ...]

    def entry(self, name: str, key: Scalar, value: Node) -> Where | Invalid:
        if isinstance(value, Unread):
            return INVALID
        if name not in COMPOUNDS:
            return self._field(name, key, value)
        if name == "not":
            inner = self._block(value, name)
            return INVALID if isinstance(inner, Invalid) else Not(inner)
        if not isinstance(value, Items):
            self.reader.report.error(value, "wrong-type", f"{name}: got {got(value)}, expected a list of conditions")
            return INVALID
        if not value.items:
            return self.reader.bounds(value, name, "an empty list", "at least one condition")
        blocks = [self._block(item, name) for item in value.items]
        sound = tuple(block for block in blocks if not isinstance(block, Invalid))
        if len(sound) < len(blocks):
            return INVALID
        return Any_(sound) if name == "any" else All(sound)

    def _block(self, node: Node, label: str) -> Where | Invalid:
        if not isinstance(node, Entries):
            return self.reader.wrong(node, types.Where(self.reads), label)
        if not node.entries:
            return self.reader.bounds(node, label, "an empty condition", "at least one field")
        items = [self.entry(name, key, value) for name, (key, value) in node.entries.items()]
        sound = tuple(item for item in items if not isinstance(item, Invalid))
        if len(sound) < len(items):
            return INVALID
        return sound[0] if len(sound) == 1 else All(sound)

    def _field(self, path: str, key: Scalar, value: Node) -> Where | Invalid:
        as_text = Scalar(key.line, key.column, path, path)
        if isinstance(self.reader.read(as_text, PATH, "where"), Invalid):
            return INVALID
        self._doubt_path(path, key)
        if isinstance(value, Entries):
            return self._comparisons(path, value)
        op = "in" if isinstance(value, Items) else "eq"
        return self._test(path, op, value)

    def _comparisons(self, path: str, node: Entries) -> Where | Invalid:
        construct = CONSTRUCTS["comparison"]
        if not node.entries:
            return self.reader.bounds(node, path, "an empty mapping", "at least one of " + " ".join(construct.names))
        tests: list[Where] = []
        for op, (key, value) in node.entries.items():
            if construct.field(op) is None:
                self.reader.report.error(
                    key, "unknown-key", f"{path} has no test {show(op)}", self.reader.report.did_you_mean(op, construct.names)
                )
                continue
            test = self._test(path, op, value)
            if not isinstance(test, Invalid):
                tests.append(test)
        if len(tests) < len(node.entries):
            return INVALID
        return tests[0] if len(tests) == 1 else All(tuple(tests))

    def _test(self, path: str, op: str, node: Node) -> Test | Invalid:
        read: Any
        if op in {"eq", "ne"} and isinstance(node, Scalar) and node.value is None:
            hint = f"write {path}: {{exists: {'false' if op == 'eq' else 'true'}}}"
            self.reader.report.error(node, "wrong-type", f"{op}: got nothing (null), expected a value", hint)
            return INVALID
        if op in ORDERED:
            read = self._ordered(path, op, node)
        else:
            field = CONSTRUCTS["comparison"].field(op)
            assert field is not None
            read = self.reader.read(node, field.type, op)
            if isinstance(field.type, (types.Value, types.Text)) and self._names_list(node, op):
                return INVALID
        if isinstance(read, Invalid):
            return INVALID
        self._doubt_value(path, op, read, node)
        return Test(path, op, read)

    def _ordered(self, path: str, op: str, node: Node) -> Any:
        if path == "lead.age" or (path == "age" and self.reads != "event"):
            return self.reader.read(node, types.Duration(), op)
        if isinstance(node, Scalar) and isinstance(node.value, str):
            hint = (
                "only age takes a duration"
                if re.fullmatch(r"[0-9]+[smhd]", node.value)
                else "remove the quotes" * bool(re.fullmatch(r"-?[0-9.]+", node.value))
            )
            self.reader.report.error(node, "wrong-type", f"{op}: got {got(node)}, expected a number", hint)
            return INVALID
        return self.reader.read(node, _ANY_NUMBER, op)

    def _names_list(self, node: Node, op: str) -> bool:
        named = isinstance(node, Scalar) and isinstance(node.value, str) and bool(_LIST_NAME.match(node.value))
        if named and isinstance(node, Scalar):
            _refuse_name(self.reader, node, op)
        return named

    def _doubt_path(self, path: str, key: Placed) -> None:
        warn = self.reader.report.warn
        if self.reads == "event" and not path.startswith("lead."):
            names = known.event_fields(self.kinds)
            if not known.is_known(path, names):
                near = nearest(path, names | {f"lead.{name}" for name in known.ATTRIBUTES})
                warn(
                    key,
                    "unknown-field",
                    f"{' '.join(self.kinds)} has no field {show(path)} that is known",
                    f"did you mean {near}?" if near else "",
                )
            return
        name = path.removeprefix("lead.")
        if self.reads == "lead" and name != path:
            warn(key, "unknown-field", f"{show(path)} is no attribute of a lead", f"here fields are attributes: write {name}")
        elif self.reads == "moment" and name == path:
            warn(key, "unknown-field", f"{show(path)} reads an event, and there is none at this moment", f"did you mean lead.{path}?")
        elif self.reads == "moment" and path in _MET:
            warn(key, "unknown-field", f"{show(path)} is what an event met, and there is none at this moment")
        elif path not in _MET and name not in known.ATTRIBUTES:
            near = nearest(name, known.ATTRIBUTES, cutoff=0.85)
            if near:
                warn(key, "unknown-field", f"{show(path)} is no attribute that is known", f"did you mean {path[: -len(name)]}{near}?")

    def _doubt_value(self, path: str, op: str, read: Any, node: Node) -> None:
        if isinstance(node, Items) and not node.items:
            what = "everything passes" if op == "not_in" else "nothing passes"
            self.reader.report.warn(node, "empty-list", f"{op} has no members, so {what}")
        members = read if isinstance(read, tuple) else (read,)
        # A named list has one place for all its members, and is not gone through at every use.
        places = node.items if isinstance(node, Items) else [node] * min(len(members), _DOUBTED)
        for member, place in zip(members, places, strict=False):
            if isinstance(member, str):
                self._doubt_text(path, op, member, place)

    def _doubt_text(self, path: str, op: str, text: str, place: Node) -> None:
        warn = self.reader.report.warn
        if (op in {"prefix", "suffix", "contains", "contains_any"} and not text) or (op == "glob" and text and not text.strip("*")):
            warn(place, "matches-everything", f"{op}: {show(text)} matches every text", "write exists: true if that is meant")
        elif op == "words_any" and not re.search(r"\w", text):
            warn(place, "never-matches", f"{op}: {show(text)} has no word in it, so it matches nothing")
        elif self.reads == "event" and path == "path" and _no_path(op, text):
            warn(place, "never-matches", f"{op}: {show(text)} matches no path, a path begins with /", f"did you mean {show('/' + text)}?")
        elif op in {"eq", "ne", "in", "not_in"}:
            self._doubt_known_value(path, op, text, place)

    def _doubt_known_value(self, path: str, op: str, text: str, place: Node) -> None:
        if self.reads == "event" and not path.startswith("lead."):
            values = known.known_values(path, self.kinds)
        else:
            values = known.known_attribute_values(path.removeprefix("lead."))
        if values and text.casefold() not in values:
            self.reader.report.warn(place, "unknown-value", f"{path} is never {show(text)}", self.reader.report.did_you_mean(text, values))
        if path.removeprefix("lead.") == "email_domain" and "@" in text:
            self.reader.report.warn(
                place, "never-matches", f"{op}: {show(text)} is no domain", f"did you mean {show(text.rsplit('@', 1)[1])}?"
            )


def _no_path(op: str, text: str) -> bool:
    """Whether no path of a url can pass the test: all of them begin with a slash."""
    return (op in {"eq", "in", "prefix"} and not text.startswith("/")) or (op == "glob" and not _ROOTED.match(text))


def read_values(reader: Reader, node: Node, kind: types.Values, label: str, beside: Obj | None) -> tuple[Any, ...] | Invalid:
    """The members to compare with: an inline list, or a named one where that may stand."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and (kind.bare or kind.named):
        if _LIST_NAME.match(node.value):
            return _named(reader, node, kind, label) if kind.named else _refuse_name(reader, node, label)
        if kind.bare:
            return (node.value,)
    if not isinstance(node, Items):
        return reader.wrong(node, kind, label)
    members: list[Any] = []
    for item in node.items:
        if isinstance(item, Scalar) and isinstance(item.value, str) and _LIST_NAME.match(item.value):
            _refuse_name(reader, item, label, inside=kind.named)
            continue
        read = reader.read(item, types.Text(longest=1000, empty=True) if kind.text else types.Value(), label)
        if not isinstance(read, Invalid):
            members.append(read)
    return tuple(members) if len(members) == len(node.items) else INVALID


def _refuse_name(reader: Reader, node: Scalar, label: str, inside: bool = False) -> Invalid:
    name = show(node.value)[1:-1]
    if inside:
        reader.report.error(
            node, "bad-value", f"{label}: got {name} as a member, expected a value", f"a named list stands alone: {label}: {name}"
        )
    else:
        reader.report.error(
            node, "bad-value", f"{label}: got {name}, a named list, expected text", "only in not_in contains_any words_any take one"
        )
    return INVALID


def _named(reader: Reader, node: Scalar, kind: types.Values, label: str) -> tuple[Any, ...] | Invalid:
    name = str(node.value)[1:]
    valid = reader.names.lists
    if name not in valid:
        reader.report.error(
            node,
            "unknown-name",
            f"{label}: got {show(node.value)[1:-1]}, expected the name of a list",
            reader.report.did_you_mean(name, valid),
        )
        return INVALID
    found = reader.lists.get(name)
    if found is None:  # it was refused where it stands
        return INVALID
    found.used = True
    if kind.text and found.other is not None:
        reader.report.error(node, "wrong-type", f"{label}: ${name} has the member {show(found.other)}, expected texts only")
        return INVALID
    return found.members
