"""From text to a `model.Definition`: reads, checks, builds. The public way in: `parse_text` and `load`.

Nothing is compiled or scored here. Findings are collected; only `load` raises.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from mqlstream.definition import checks, model, types
from mqlstream.definition.build import build
from mqlstream.definition.conditions import read_values, read_where
from mqlstream.definition.doubts import Doubts
from mqlstream.definition.fields import CONSTRUCTS, NOT_YET
from mqlstream.definition.findings import WARNING, DefinitionError, Finding, Report
from mqlstream.definition.lists import read_lists
from mqlstream.definition.logic import Budget
from mqlstream.definition.qualifying import read_hours, read_when
from mqlstream.definition.reader import Names, Obj, Reader
from mqlstream.definition.source import MAX_BYTES, Entries, Items, Node, Scalar, decode, plain, read
from mqlstream.errors import UsageError

Versions = Mapping[str, tuple[int, str]]

_SPECIAL: Mapping[type, Callable[..., Any]] = {
    types.Where: read_where,
    types.Values: read_values,
    types.When: read_when,
    types.BusinessHours: read_hours,
    types.Lists: read_lists,
}


def load(path: str | Path, *, warn: Callable[[Finding], None] | None = None, today: date | None = None) -> model.Definition:
    """The definition in a file.

    ``warn`` is called with each warning. Raises `DefinitionError` with all findings, or `UsageError` when the file cannot be
    read.
    """
    definition, findings = parse_file(path, today=today)
    if definition is None:
        raise DefinitionError(findings)
    for finding in findings:
        if warn is not None and finding.severity == WARNING:
            warn(finding)
    return definition


def parse_file(
    path: str | Path, *, today: date | None = None, versions: Versions | None = None
) -> tuple[model.Definition | None, list[Finding]]:
    """As `parse_text`, for a file; raises `UsageError` when it cannot be read."""
    file = Path(path)
    if not file.exists():
        raise UsageError(f"there is no file {file}, expected a definition")
    if file.is_dir():
        raise UsageError(f"{file} is a folder, expected a definition file")
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 4)  # one more than fits, with a byte order mark
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}, expected a definition") from error
    report = Report(str(path))
    text = decode(data, report) if len(data) <= MAX_BYTES else data.decode("utf-8", "replace")
    if text is None:
        return None, report.sorted()
    return parse_text(text, str(path), directory=file.parent, today=today, versions=versions)


def parse_text(
    text: str,
    filename: str,
    *,
    directory: Path | None = None,
    today: date | None = None,
    versions: Versions | None = None,
    not_yet: frozenset[str] = NOT_YET,
) -> tuple[model.Definition | None, list[Finding]]:
    """The definition in a text, or None, and all findings in the order of the file; never raises.

    ``filename`` is only named in findings. ``directory`` is where ``{file: ...}`` lists are looked for (None: nowhere),
    ``today`` what ``review_by`` and ``active`` are compared with (None: not at all), ``versions`` the version and digest known of
    each definition, above which a new content must rise, ``not_yet`` the constructs that are refused as not supported yet.
    """
    report = Report(filename)
    tree = read(text, report)
    if tree is None:
        return None, report.sorted()
    reader = Reader(report, _names(tree), not_yet, _SPECIAL, directory)
    root = reader.object(tree, CONSTRUCTS["definition"], "a definition")
    if not isinstance(root, Obj):
        return None, report.sorted()
    checks.check(root, report)
    definition = None
    if not report.failed:
        definition = build(root, _digest(tree, reader))
        Doubts(definition, root, report, Budget()).all(reader.lists, today, versions or {})
    return definition, report.sorted()


def _digest(tree: Node, reader: Reader) -> str:
    """Hex SHA-256 of the content's canonical JSON, with lists resolved. The order of grades means something, so it counts."""
    content = plain(tree)
    if reader.lists:
        content["lists"] = {name: list(found.members) for name, found in reader.lists.items()}
    if "grades" in content:
        content["grades"] = [[score, list(scale)] for score, scale in content["grades"].items()] + [content["grades"]]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _names(tree: Node) -> Names:
    """What the definition names, however wrong the rest of it is."""
    names = Names()
    names.dimensions |= {name for name in _keys(tree, "dimensions") if name != "total"}
    names.groups |= set(_keys(tree, "groups"))
    names.lists |= set(_keys(tree, "lists"))
    names.rules |= _ids(tree, "rules")
    names.entries |= names.rules | _ids(tree, "fit") | _ids(tree, "inactivity")
    grades = _section(tree, "grades")
    if isinstance(grades, Entries):
        names.grades = [list(scale.entries) for _, scale in grades.entries.values() if isinstance(scale, Entries)]
    return names


def _section(tree: Node, name: str) -> Node | None:
    found = tree.entries.get(name) if isinstance(tree, Entries) else None
    return found[1] if found else None


def _keys(tree: Node, section: str) -> list[str]:
    node = _section(tree, section)
    return list(node.entries) if isinstance(node, Entries) else []


def _ids(tree: Node, section: str) -> set[str]:
    node = _section(tree, section)
    found: set[str] = set()
    for entry in node.items if isinstance(node, Items) else ():
        given = entry.entries.get("id") if isinstance(entry, Entries) else None
        if given and isinstance(given[1], Scalar) and isinstance(given[1].value, str):
            found.add(given[1].value)
    return found
