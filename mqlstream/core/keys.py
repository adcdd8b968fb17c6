"""The key of a dictionary that is equal to a text."""

from __future__ import annotations


class Same(str):
    """A text that finds the one equal to it among the keys of a dictionary, which has no way to ask for it."""

    found: str

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        equal = str.__eq__(self, other)
        if equal is True and isinstance(other, str):
            self.found = other
        return equal is True
