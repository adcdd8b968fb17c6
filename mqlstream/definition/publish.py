"""A definition file made ready to be read without its folder, and what differs between two definitions. No broker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mqlstream.core.event import KINDS
from mqlstream.definition.findings import Report
from mqlstream.definition.layout import lay_out
from mqlstream.definition.lists import members_of_file
from mqlstream.definition.model import Definition
from mqlstream.definition.parse import parse_text
from mqlstream.definition.source import Entries, decode, plain, read
from mqlstream.errors import UsageError

_LISTED = ("rules", "fit", "inactivity", "disqualify", "freeze")  # entries with an id
_MAPPED = ("dimensions", "groups", "grades")
_NO_MATTER = ("version", "digest", "tests", "id")


def self_contained(path: Path, definition: Definition) -> str:
    """The definition's text. Where it has lists in files of their own it is written anew as JSON, which is YAML too, with their members.

    ``definition`` is what the file reads as. Raises `UsageError` when the text would be another definition, as when a list is
    too long to stand inline.
    """
    report = Report(str(path))
    text = decode(path.read_bytes(), report) or ""
    tree = read(text, report)
    content = plain(tree) if tree is not None else {}
    lists = content.get("lists") or {}
    from_files = {name: entry["file"] for name, entry in lists.items() if isinstance(entry, dict)}
    if not from_files:
        return text
    assert isinstance(tree, Entries)
    for name, file in from_files.items():
        lists[name] = members_of_file(report, tree, path.parent / file, file)
    text = json.dumps(content, ensure_ascii=False)
    again, findings = parse_text(text, str(path))
    if again is None or again.digest != definition.digest:
        raise UsageError(
            f"{path} cannot be published with its lists inline: {findings[0] if findings else 'it reads as another definition'}"
        )
    return text


def fields_read(before: Definition | None, after: Definition) -> list[tuple[str, ...]]:
    """By kind, as in `KINDS`: what ``after`` reads of events and ``before`` did not; all that it reads when there is none before."""
    new = lay_out([after])[0].paths
    old = lay_out([before])[0].paths if before is not None else [()] * len(new)
    return [tuple(path for path in paths if path not in there and "@" not in path) for there, paths in zip(old, new, strict=True)]


def new_fields(before: Definition, after: Definition) -> list[str]:
    """`fields_read` as ``kind: field``: earlier events don't have these in their leads' ledgers."""
    return [f"{kind}: {path}" for kind, paths in zip(KINDS, fields_read(before, after), strict=True) for path in paths]


class Difference(NamedTuple):
    """``what`` names a part, as ``rules.demo.points``; ``change`` is added, removed or changed. Values are ready for JSON."""

    what: str
    change: str
    before: Any
    after: Any


def differences(before: Definition, after: Definition) -> list[Difference]:
    """What differs between two definitions, part by part, but for their versions and tests."""
    found: list[Difference] = []
    for each in fields(Definition):
        name = each.name
        if name in _NO_MATTER:
            continue
        old, new = getattr(before, name), getattr(after, name)
        if name in _LISTED:
            found += _by_name(name, {entry.id: entry for entry in old}, {entry.id: entry for entry in new})
            common = {entry.id for entry in old} & {entry.id for entry in new}
            if [entry.id for entry in old if entry.id in common] != [entry.id for entry in new if entry.id in common]:
                found.append(Difference(name, "changed", [entry.id for entry in old], [entry.id for entry in new]))
        elif name in _MAPPED:
            found += _by_name(name, old, new)
        else:
            found += _within(name, old, new)
    return found


def _by_name(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            yield Difference(f"{where}.{name}", "removed", _data(old[name]), None)
        elif name not in old:
            yield Difference(f"{where}.{name}", "added", None, _data(new[name]))
        else:
            yield from _within(f"{where}.{name}", old[name], new[name])


def _within(where: str, old: Any, new: Any) -> Iterator[Difference]:
    """Down to the part that differs, through records and mappings."""
    if old == new:
        return
    if is_dataclass(old) and type(old) is type(new):
        for each in fields(old):
            yield from _within(f"{where}.{each.name}", getattr(old, each.name), getattr(new, each.name))
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _by_name(where, old, new)
    else:
        change = "added" if old in (None, (), {}) else "removed" if new in (None, (), {}) else "changed"
        yield Difference(where, change, _data(old), _data(new))


def _data(value: Any) -> Any:
    if is_dataclass(value):
        named = {each.name: _data(getattr(value, each.name)) for each in fields(value)}
        return {name: part for name, part in named.items() if part not in (None, [], {})}
    if isinstance(value, Mapping):
        return {name: _data(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_data(part) for part in value]
    return value
