"""Which rules an event matches, found field by field: the time hardly grows with the number of rules.

Every rule is a bit. For each field that rules test, the rules that a value leaves in the running are worked out once per
value and remembered; what an event matches is the intersection over its fields. Conditions that span several fields are
left to the candidate's own `match`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mqlstream.core.plan import Candidate, Values

_REMEMBERED = 4096  # values per field, and sets of rules per matcher; forgotten all at once beyond
_LONGEST = 256  # characters of a text that is remembered


class FieldTests:
    """The tests on one field: per rule (by bit), whether a value leaves it in the running. ``known`` remembers masks."""

    __slots__ = ("_tests", "_untested", "known", "place")

    def __init__(self, place: int, tests: Sequence[tuple[int, Callable[[Any], bool]]], rules: int) -> None:
        self.place = place
        self._tests = tuple(tests)
        self._untested = (1 << rules) - 1
        for bit, _ in tests:
            self._untested &= ~(1 << bit)
        self.known: dict[Any, int] = {}

    def mask(self, value: Any) -> int:
        """The rules that the value leaves in the running, as bits."""
        kind = type(value)
        if kind is str or kind is int or value is None:  # not booleans and floats: they equal integers as keys
            found = self.known.get(value)
            if found is None:
                found = self._compute(value)
                if kind is not str or len(value) <= _LONGEST:
                    if len(self.known) >= _REMEMBERED:
                        self.known.clear()
                    self.known[value] = found
            return found
        return self._compute(value)

    def _compute(self, value: Any) -> int:
        mask = self._untested
        failed = 0
        for bit, test in self._tests:
            if test(value):
                mask |= 1 << bit
            else:
                failed |= 1 << bit
        return mask & ~failed  # of several tests of one rule on the field all must hold


class Matcher:
    """Finds the candidates of one kind of event."""

    __slots__ = ("_all", "_by_mask", "_candidates", "_fields")

    def __init__(self, candidates: Sequence[Candidate], fields: Sequence[FieldTests]) -> None:
        self._candidates = tuple(candidates)
        self._fields = tuple((field.place, field.known, field) for field in fields)
        self._all = (1 << len(self._candidates)) - 1
        self._by_mask: dict[int, tuple[Candidate, ...]] = {0: ()}

    def __call__(self, values: Values) -> tuple[Candidate, ...]:
        """The candidates whose tests of single fields all hold, in the file's order."""
        mask = self._all
        for place, known, field in self._fields:
            value = values[place]
            kind = value.__class__
            found_mask = known.get(value) if kind is str or kind is int else None
            mask &= field.mask(value) if found_mask is None else found_mask
            if not mask:
                return ()
        found = self._by_mask.get(mask)
        if found is None:
            found = tuple(candidate for bit, candidate in enumerate(self._candidates) if mask >> bit & 1)
            if len(self._by_mask) >= _REMEMBERED:
                self._by_mask.clear()
            self._by_mask[mask] = found
        return found
