"""Webhooks that are sent as HTML forms (``a[b][c]=d``), as objects. No vendor's names."""

from __future__ import annotations

import re
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
# Escapes are undone for the whole form at once, which is faster than value by value. So that no escape becomes a separator, separators
# become two control characters first, which no text needs: those in it are dropped.
_PAIR, _EQUALS = "\x1e", "\x1f"
_separators = bytes.maketrans(b"&=+", b"\x1e\x1f ")
_controls = re.compile(rb"%1[EeFf]|[\x1e\x1f]")


def form_or_json(value: bytes) -> Any:
    """What JSON holds, or the object that a form's pairs make."""
    if value[:1] in (b"{", b"["):
        return json_value(value)
    pairs = _plain(value).split(_PAIR, MAX_PAIRS)
    if len(pairs) > MAX_PAIRS:
        raise Refused(Reason.TOO_LARGE, f"value: got too many fields of a form, expected at most {MAX_PAIRS}")
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, content = pair.partition(_EQUALS)
        if not equals:
            continue
        if _EQUALS in content:
            content = content.replace(_EQUALS, "=")
        if "[" not in name:
            found[name] = content
            continue
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


def _plain(form: bytes) -> str:
    """The text of a form, its escapes undone, with control characters for its separators."""
    if b"%1" in form or b"\x1e" in form or b"\x1f" in form:
        form = _controls.sub(b"", form)
    text = form.translate(_separators)
    return (_unescaped(text) if b"%" in text else text).decode(errors="replace")


def _unescaped(text: bytes) -> bytes:
    """Percent escapes undone. Quoted-printable has the same ones with another sign, and a decoder in C.

    Where the length shows that something was no escape, or lines could be joined, the slow way.
    """
    found = a2b_qp(text.replace(b"%", b"="))
    whole = len(found) == len(text) - 2 * text.count(b"%")
    return found if whole and b"\n" not in text and b"\r" not in text else unquote_to_bytes(text)
