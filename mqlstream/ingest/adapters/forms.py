"""Webhooks that are sent as HTML forms (``a[b][c]=d``), as objects. No vendor's names."""

from __future__ import annotations

from binascii import a2b_qp
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import json_value
from mqlstream.ingest.fields import Refused

MAX_PAIRS = 1_000
_MAX_LEVELS = 4
_REMEMBERED = 256  # characters of a name: the same few come with every call


def form_or_json(value: bytes) -> Any:
    """What JSON holds, or the object that a form's pairs make."""
    if value[:1] in (b"{", b"["):
        return json_value(value)
    # All at once is faster than value by value, and the same where no escape is a sign that parts the pairs.
    at_once = b"%26" not in value and b"%3D" not in value and b"%3d" not in value
    pairs = _plain(value).split("&", MAX_PAIRS) if at_once else value.decode(errors="replace").split("&", MAX_PAIRS)
    if len(pairs) > MAX_PAIRS:
        raise Refused(Reason.TOO_LARGE, f"value: got too many fields of a form, expected at most {MAX_PAIRS}")
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, content = pair.partition("=")
        if not equals:
            continue
        if not at_once:
            name, content = _plain(name.encode()), _plain(content.encode())
        path, last = _known(name) if len(name) <= _REMEMBERED else _keys(name)
        level = found
        for key in path:
            below = level.get(key)
            if below is None:
                below = level[key] = {}
            elif type(below) is not dict:
                break
            level = below
        else:
            level[last] = content
    if not found:
        raise Refused(Reason.NOT_AN_OBJECT, "value: got neither JSON nor the fields of a form, expected one of them")
    return found


def _keys(name: str) -> tuple[tuple[str, ...], str]:
    """The keys of the objects around a field, and its own."""
    *path, last = name.replace("]", "").split("[", _MAX_LEVELS)
    return tuple(path), last


_known = lru_cache(maxsize=1_024)(_keys)


def _plain(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        text = _unescaped(text)
    return text.decode(errors="replace")


def _unescaped(text: bytes) -> bytes:
    """Percent escapes undone. Quoted-printable has the same ones with another sign, and a decoder in C; where the length
    shows that something was no escape, or lines could be joined, the slow way."""
    found = a2b_qp(text.replace(b"=", b"=3D").replace(b"%", b"="))
    whole = len(found) == len(text) - 2 * text.count(b"%")
    return found if whole and b"\n" not in text and b"\r" not in text else unquote_to_bytes(text)
