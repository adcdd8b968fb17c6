"""Webhooks that are sent as HTML forms (``a[b][c]=d``), as objects. No vendor's names."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import json_value
from mqlstream.ingest.fields import Refused

MAX_PAIRS = 1_000
_MAX_LEVELS = 4


def form_or_json(value: bytes) -> Any:
    """What JSON holds, or the object that a form's pairs make."""
    if value[:1] in (b"{", b"["):
        return json_value(value)
    pairs = value.decode(errors="replace").split("&", MAX_PAIRS)
    if len(pairs) > MAX_PAIRS:
        raise Refused(Reason.TOO_LARGE, f"value: got too many fields of a form, expected at most {MAX_PAIRS}")
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, content = pair.partition("=")
        if not equals:
            continue
        name, content = _plain(name), _plain(content)
        path = name.replace("]", "").split("[", _MAX_LEVELS)
        level = found
        for key in path[:-1]:
            below = level.setdefault(key, {})
            if type(below) is not dict:
                break
            level = below
        else:
            level[path[-1]] = content
    if not found:
        raise Refused(Reason.NOT_AN_OBJECT, "value: got neither JSON nor the fields of a form, expected one of them")
    return found


def _plain(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text
