"""How one value of a setting is read: from the text of a variable, or from what a YAML file holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mqlstream.config.fields import Field
from mqlstream.errors import UsageError

_YES = ("true", "yes", "1", "on")
_NO = ("false", "no", "0", "off")
_address = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})").fullmatch
_broker = _address
_topic = re.compile(r"[A-Za-z0-9._-]{1,249}").fullmatch
_topic_part = re.compile(r"[A-Za-z0-9._-]{0,150}").fullmatch
_ENTRIES = {"sources": ("adapter", "an adapter's name"), "webhooks": ("verify", "how calls are verified")}


def from_text(field: Field, text: str, where: str) -> Any:
    """The value in a variable's text. Raises `UsageError` naming ``where``, what was got and what was expected."""
    if field.kind == "whole":
        if not re.fullmatch(r"[0-9]{1,9}", text.strip()):
            raise wrong(field, text, where)
        return checked(field, int(text), where)
    if field.kind == "yes_no":
        word = text.strip().lower()
        if word not in _YES + _NO:
            raise wrong(field, text, where)
        return word in _YES
    if field.kind == "texts":
        return checked(field, tuple(part.strip() for part in text.split(",") if part.strip()), where)
    if field.kind in ("map", "secrets", *_ENTRIES):
        pairs = [part.strip() for part in text.split(",") if part.strip()]
        split = [tuple(side.strip() for side in pair.split("=", 1)) for pair in pairs]
        if any(len(pair) != 2 or not all(pair) for pair in split):
            raise wrong(field, text, where)
        if field.kind in _ENTRIES:
            return checked(field, {pair[0]: {_ENTRIES[field.kind][0]: pair[1]} for pair in split}, where)
        return {pair[0]: pair[1] for pair in split}
    return checked(field, text, where)


def from_yaml(field: Field, value: Any, where: str, folder: Path) -> Any:
    """The value of a key in a file in ``folder``. Text is text: a number or a boolean in its place is an error."""
    if field.kind == "whole":
        if type(value) is not int:
            raise wrong(field, value, where)
        return checked(field, value, where)
    if field.kind == "yes_no":
        if type(value) is not bool:
            raise wrong(field, value, where)
        return value
    if field.kind == "texts":
        if isinstance(value, str):
            return from_text(field, value, where)
        if isinstance(value, dict) and list(value) == ["file"] and isinstance(value["file"], str):
            return checked(field, lines_of(folder / value["file"], where), where)
        if not isinstance(value, list) or not all(isinstance(entry, str) and entry.strip() for entry in value):
            raise wrong(field, value, where)
        return checked(field, tuple(value), where)
    if field.kind in ("map", "secrets"):
        if not isinstance(value, dict) or not all(isinstance(side, str) and side for pair in value.items() for side in pair):
            raise wrong(field, value, where)
        return dict(value)
    if field.kind in _ENTRIES:
        if not isinstance(value, dict):
            raise wrong(field, value, where)
        first, _ = _ENTRIES[field.kind]
        return checked(field, {topic: {first: entry} if isinstance(entry, str) else entry for topic, entry in value.items()}, where)
    if not isinstance(value, str):
        raise wrong(field, value, where)
    return checked(field, value, where)


def checked(field: Field, value: Any, where: str) -> Any:
    """The value, if it lies within the setting's bounds."""
    if field.kind == "whole" and not field.low <= value <= field.high:
        raise wrong(field, value, where)
    if field.kind == "one_of":
        word = value.strip().upper()
        if word not in field.choices:
            raise wrong(field, value, where)
        return word
    if field.kind in _ENTRIES:
        _check_entries(value, where, *_ENTRIES[field.kind])
    if field.kind == "address":
        match = _address(value)
        if not match or int(match[2]) > 65_535:
            raise wrong(field, value, where)
    if field.name == "bootstrap_servers":
        for broker in value:
            match = _broker(broker)
            if not match or not 0 < int(match[2]) <= 65_535:
                raise wrong(field, broker, where)
        if not value:
            raise wrong(field, "", where)
    if field.name in ("app_id", "topic_prefix") and (not _topic_part(value) or (field.name == "app_id" and not value)):
        raise wrong(field, value, where)
    return value


def _check_entries(value: Mapping[Any, Any], where: str, first: str, what: str) -> None:
    for topic, entry in value.items():
        if not isinstance(topic, str) or not _topic(topic):
            raise UsageError(f"{where}: got the topic {shown(topic)}, expected 1 to 249 letters, digits, dots, dashes and underscores")
        if not isinstance(entry, dict) or not all(isinstance(name, str) for name in entry):
            raise UsageError(f"{where}: {topic}: got {shown(entry)}, expected {what}, or `{first}: name` and its options")


def expected(field: Field) -> str:
    """What a setting takes, in words: for errors and for the reference."""
    special = {
        "bootstrap_servers": "host:port, several separated by commas",
        "app_id": "1 to 150 letters, digits, dots, dashes and underscores",
        "topic_prefix": "up to 150 letters, digits, dots, dashes and underscores",
    }
    if field.name in special:
        return special[field.name]
    return {
        "text": "text",
        "path": "a path",
        "whole": f"a whole number from {field.low} to {field.high}",
        "yes_no": "true or false",
        "one_of": "one of " + " ".join(field.choices),
        "texts": "a list of texts",
        "map": "pairs of texts: name=value,name=value in a variable, a map in a file",
        "sources": "topic=adapter,topic=adapter in a variable, a map of topic to adapter and its options in a file",
        "webhooks": "topic=scheme,topic=scheme in a variable, a map of topic to scheme and its options in a file",
        "secrets": "topic=secret,topic=secret in a variable, a map of topic to secret in a file",
        "address": "host:port",
    }[field.kind]


def wrong(field: Field, value: Any, where: str) -> UsageError:
    """The error for a value that a setting doesn't take; never shows a secret."""
    got = ("a value that is no text" if field.kind == "text" else "a value of another kind") if field.secret else shown(value)
    return UsageError(f"{where}: got {got}, expected {expected(field)}")


def shown(value: Any) -> str:
    """A value as it stands in an error: short, on one line."""
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = {True: "true", False: "false", None: "null"}[value] if value is None or isinstance(value, bool) else str(value)
    text = " ".join(text.split())
    text = text if len(text) <= 60 else text[:57] + "..."
    return f'"{text}"' if isinstance(value, str) else text


def lines_of(path: Path, where: str) -> tuple[str, ...]:
    """The entries of a list file: one a line, blank lines and what follows a # left out."""
    return tuple(entry for line in text_of(path, where).splitlines() if (entry := line.partition("#")[0].strip()))


def secrets_in(folder: Path, where: str) -> dict[str, str]:
    """The files of a folder by their names, hidden ones left out: so a Secret of Kubernetes is mounted."""
    try:
        files = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except OSError as error:
        raise UsageError(f"{where}: cannot read {folder}: {error.strerror}, expected a folder with one file a topic") from None
    found = {path.name: text_of(path, where).strip() for path in files}
    empty = [name for name, text in found.items() if not text]
    if empty or not found:
        raise UsageError(f"{where}: {folder / empty[0] if empty else folder} is empty, expected a secret")
    return found


def text_of(path: Path, where: str) -> str:
    """A file's text. Raises `UsageError` that says who asked for it and why it could not be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{where}: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where}: cannot read {path}: expected UTF-8 text") from None
