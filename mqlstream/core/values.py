"""How a field of an event or a lead is found and compared by identity. Pure helpers, shared by all readers of fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def lookup(record: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None when missing. A literal dotted key wins over nesting, the longest one first."""
    if path in record:
        return record[path]
    cut = path.rfind(".")
    while cut > 0:
        inner = record.get(path[:cut])
        if isinstance(inner, Mapping):
            found = lookup(inner, path[cut + 1 :])
            if found is not None:
                return found
        cut = path.rfind(".", 0, cut)
    return None


def identity(value: Any) -> str:
    """Canonical JSON: what `by` and `distinct` compare. Keys sorted, so that equal objects are equal texts."""
    if type(value) is str:
        return '"' + value  # a text needs no escaping to be told from every other value
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # 1 and 1.0 are one number in JSON
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
