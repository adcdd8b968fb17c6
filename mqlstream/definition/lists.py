"""Reads the named lists: inline, or from a text file beside the definition, one member a line."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from mqlstream.definition import types
from mqlstream.definition.fields import LIST_NAME
from mqlstream.definition.findings import Placed, Report, show
from mqlstream.definition.model import Scalar as Plain
from mqlstream.definition.reader import Invalid, Members, Obj, Reader
from mqlstream.definition.source import Entries, Items, Node, Scalar

MAX_LISTS = 200
MAX_INLINE = 20_000
MAX_MEMBERS = 200_000
MAX_FILE_BYTES = 8 << 20
MAX_MEMBER = 1000


def read_lists(reader: Reader, node: Node, kind: types.Lists, label: str, beside: Obj | None) -> dict[str, tuple[Plain, ...]] | Invalid:
    """All named lists, resolved to their members; also left in ``reader.lists`` for the conditions that name them."""
    if not isinstance(node, Entries):
        return reader.wrong(node, kind, label)
    if len(node.entries) > MAX_LISTS:
        reader.bounds(node, label, f"{len(node.entries)} entries", f"at most {MAX_LISTS}")
    for name, (key, value) in list(node.entries.items())[:MAX_LISTS]:
        if isinstance(reader.read(Scalar(key.line, key.column, name, name), LIST_NAME, label), Invalid):
            continue
        members = _members(reader, value, name)
        if members is None:
            continue
        if not members:
            reader.report.warn(key, "empty-list", f"the list {name} has no members")
        reader.lists[name] = Members(tuple(members), key, next((one for one in members if not isinstance(one, str)), None))
    return {name: found.members for name, found in reader.lists.items()}


def _members(reader: Reader, node: Node, name: str) -> list[Plain] | None:
    if isinstance(node, Entries):
        return _from_file(reader, node, name)
    if not isinstance(node, Items):
        reader.wrong(node, types.ListOf(types.Value()), name)
        return None
    if len(node.items) > MAX_INLINE:
        reader.bounds(node, name, f"{len(node.items)} members", f"at most {MAX_INLINE}")
        return None
    read = [reader.read(item, types.Value(), name) for item in node.items]
    return None if any(isinstance(one, Invalid) for one in read) else read


def _from_file(reader: Reader, node: Entries, name: str) -> list[Plain] | None:
    for key, (place, _) in node.entries.items():
        if key != "file":
            reader.report.error(place, "unknown-key", f"{name} has no key {show(key)}", reader.report.did_you_mean(key, ["file"]))
    if "file" not in node.entries:
        reader.report.error(node, "missing-key", f"{name}: got a mapping without file, expected a list or file: name")
        return None
    value = node.entries["file"][1]
    file = reader.read(value, types.Text("the name of a file"), "file")
    if isinstance(file, Invalid):
        return None
    parts = PurePosixPath(file).parts
    if PurePosixPath(file).is_absolute() or ".." in parts or "\\" in file:
        reader.report.error(value, "bad-value", f"file: got {show(file)}, expected a file in the definition's own folder or below")
        return None
    if reader.directory is None:
        reader.report.error(value, "bad-value", f"file: got {show(file)}, but this definition has no folder", "write the list inline")
        return None
    return members_of_file(reader.report, value, reader.directory / file, file)


def members_of_file(report: Report, at: Placed, path: Path, file: str) -> list[Plain] | None:
    """The members in a file beside the definition; None when it cannot be used, which is then reported."""
    try:
        if not path.is_file():
            report.error(at, "file", f"file: there is no file {show(file)} beside the definition")
            return None
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        report.error(at, "file", f"file: {show(file)} cannot be read: {error.strerror}")
        return None
    except ValueError:
        report.error(at, "file", f"file: {show(file)} is not UTF-8 text")
        return None
    members: list[Plain] = [member for line in text.splitlines() if (member := _member(line))]
    if len(data) > MAX_FILE_BYTES or len(members) > MAX_MEMBERS or any(len(str(member)) > MAX_MEMBER for member in members):
        limits = f"at most {MAX_FILE_BYTES} bytes, {MAX_MEMBERS} members and {MAX_MEMBER} characters a member"
        report.error(at, "too-large", f"file: {show(file)} is too large, expected {limits}")
        return None
    return members


def _member(line: str) -> str:
    """A line without its comment: from a ``#`` at its beginning or after a blank."""
    for index, char in enumerate(line):
        if char == "#" and (index == 0 or line[index - 1].isspace()):
            return line[:index].strip()
    return line.strip()
