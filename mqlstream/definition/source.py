"""Reads YAML into nodes that know their place: YAML 1.2's core schema, no aliases, anchors or tags, everything bounded.

PyYAML only supplies the events of its parser; what a scalar means is decided here, so that nothing of YAML 1.1 (``on`` and
``no`` as booleans, dates, octal and sexagesimal numbers) comes through. What the nodes mean is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mqlstream.definition.findings import Place, Report, show

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 100_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_DIGITS = 30  # more is no number anyone means, and turning it into one takes quadratic time


@dataclass(frozen=True, slots=True)
class Scalar:
    """``value`` is text, a whole number, a float, a boolean or None; ``text`` is as written."""

    line: int
    column: int
    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Items:
    line: int
    column: int
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping: key text -> (the key's own node, the value), in the file's order."""

    line: int
    column: int
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands where something was refused already, so that nobody complains about it twice."""

    line: int
    column: int


Node = Scalar | Items | Entries | Unread


class _Refused(Exception):
    """The file cannot be read any further."""

    def __init__(self, at: Place, code: str, message: str, hint: str = "") -> None:
        self.at, self.code, self.message, self.hint = at, code, message, hint
        super().__init__(message)


def read(text: str, report: Report) -> Node | None:
    """The tree of one YAML document, or None with the reason in ``report``."""
    found = _SURROGATE.search(text)
    if found:
        report.error(_place_of(text, found.start()), "encoding", "got half a character (a lone surrogate), expected text")
        return None
    if len(text.encode()) > MAX_BYTES:
        report.error(
            Place(), "too-large", f"got {len(text.encode())} bytes, expected at most {MAX_BYTES}", "move long lists to files of their own"
        )
        return None
    try:
        return _document(text, report)
    except _Refused as refused:
        report.error(refused.at, refused.code, refused.message, refused.hint)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Place(mark.line + 1, mark.column + 1) if mark else Place()
        report.error(at, "syntax", f"not valid YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        report.error(_place_of(text, _position(error, text)), "syntax", f"not valid YAML: {error.reason}")
    return None


def decode(data: bytes, report: Report) -> str | None:
    """UTF-8 to text (a byte order mark is dropped), or None with the place of the first wrong byte in ``report``."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        report.error(_place_of(before, len(before)), "encoding", f"got the byte 0x{data[error.start]:02x}, expected UTF-8 text")
        return None


def plain(node: Node) -> Any:
    """The node as plain data: dict, list, text, number, boolean, None."""
    if isinstance(node, Entries):
        return {key: plain(value) for key, (_, value) in node.entries.items()}
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, Scalar) else None


def _position(error: yaml.reader.ReaderError, text: str) -> int:
    # libyaml counts the bytes of the UTF-8 form, the Python reader characters of the text.
    position = int(error.position or 0)
    if _LOADER is yaml.SafeLoader:
        return position
    return len(text.encode()[:position].decode("utf-8", "ignore"))


def _place_of(text: str, index: int) -> Place:
    start = text.rfind("\n", 0, index) + 1
    return Place(text.count("\n", 0, index) + 1, index - start + 1)


def _document(text: str, report: Report) -> Node:
    events = yaml.parse(text, Loader=_LOADER)
    root: Node | None = None
    for event in events:
        if isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
            continue
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                raise _Refused(_place(event), "syntax", "got a second document, expected one definition per file", "remove the --- line")
            root = _Builder(events, report).node(next(events), 1)
    if root is None:
        raise _Refused(Place(), "empty", "got an empty file, expected a definition", "a definition begins with definition: and version:")
    return root


class _Builder:
    """Turns the events of one document into nodes."""

    def __init__(self, events: Iterator[yaml.Event], report: Report) -> None:
        self._events = events
        self._report = report
        self._count = 0

    def node(self, event: yaml.Event, depth: int) -> Node:
        at = _place(event)
        self._count += 1
        if self._count > MAX_NODES:
            raise _Refused(at, "too-large", f"got more than {MAX_NODES} keys and values", "move long lists to files of their own")
        if depth > MAX_DEPTH:
            raise _Refused(at, "too-deep", f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.AliasEvent):
            self._report.error(at, "alias", f"got the alias *{event.anchor}, aliases are not part of the language", "write the value out")
            return Unread(at.line, at.column)
        assert isinstance(event, yaml.NodeEvent)
        if event.anchor is not None:
            self._report.error(at, "alias", f"got the anchor &{event.anchor}, anchors are not part of the language", "remove it")
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._report.error(at, "tag", f"got the tag {show(tag)}, tags are not part of the language", "remove it")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(at, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._entries(at, depth)
        assert isinstance(event, yaml.ScalarEvent)
        return Unread(at.line, at.column) if tag is not None else self._scalar(event, at)

    def _items(self, at: Place, depth: int) -> Items:
        node = Items(at.line, at.column)
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            node.items.append(self.node(event, depth + 1))
        return node

    def _entries(self, at: Place, depth: int) -> Entries:
        node = Entries(at.line, at.column)
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.node(event, depth + 1)
            value = self.node(next(self._events), depth + 1)
            if isinstance(key, Scalar):
                self._put(node, key, value)
            elif not isinstance(key, Unread):
                self._report.error(key, "wrong-type", "got a list or a mapping as key, expected text")
        return node

    def _put(self, node: Entries, key: Scalar, value: Node) -> None:
        first = node.entries.get(key.text)
        if first is None:
            node.entries[key.text] = (key, value)
        else:
            where = f"{first[0].line}:{first[0].column}"
            self._report.error(key, "duplicate-key", f"the key {show(key.text)} stands here twice", f"the first is at {where}")

    def _scalar(self, event: yaml.ScalarEvent, at: Place) -> Node:
        text = event.value
        if _SURROGATE.search(text):
            self._report.error(at, "encoding", "got half a character (a lone surrogate), expected text")
            return Unread(at.line, at.column)
        if not event.implicit[0]:
            return Scalar(at.line, at.column, text, text)
        if len(text) > _MAX_DIGITS and (_INTEGER.match(text) or _BASED.match(text)):
            self._report.error(
                at, "out-of-bounds", f"got a number of {len(text)} digits, expected at most {_MAX_DIGITS}", "quote it if it is text"
            )
            return Unread(at.line, at.column)
        return Scalar(at.line, at.column, _core(text), text)


def _core(text: str) -> str | int | float | bool | None:
    """What a plain scalar means in YAML 1.2's core schema."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.match(text):
        return int(text)
    if _BASED.match(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if _FLOAT.match(text):
        return float(text)
    if _SPECIAL.match(text):
        return float(text.replace(".", ""))
    return text


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1) if mark else Place()
