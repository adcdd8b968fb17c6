"""What an object weighs: all that can be reached from it but texts, which others hold anyway."""

from __future__ import annotations

import gc
import sys
from array import array
from typing import Any


def weight(of: Any) -> int:
    """Bytes of an object and of all it is made of; what is in it twice counts once."""
    seen: set[int] = set()
    found, left = 0, [of]
    while left:
        each = left.pop()
        if type(each) is str or id(each) in seen:
            continue
        seen.add(id(each))
        found += sys.getsizeof(each)
        if isinstance(each, dict):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            left += [part for part in each if type(part) is not str]
        elif not isinstance(each, int | array):
            left += [*getattr(each, "__dict__", {}).values(), *(getattr(each, name) for name in getattr(each, "__slots__", ()))]
            found += sys.getsizeof(each.__dict__) if hasattr(each, "__dict__") else 0
            if not hasattr(each, "__slots__"):  # machine code has none to show
                left += [part for part in gc.get_referents(each) if not isinstance(part, str | type)]
    return found
