"""What can be told of conditions without any event: that one can never hold, or that one follows from another.

Both are careful: where they don't know they say no. A budget bounds the work on hostile files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mqlstream.definition.model import All, Any_, Not, Test, Where
from mqlstream.definition.where import value_check

_PASS_MISSING = frozenset({"ne", "not_in"})  # and exists: false
_LOWER = frozenset({"gt", "gte"})
_UPPER = frozenset({"lt", "lte"})
_TEXTS = frozenset({"prefix", "suffix", "words_any", "glob"})
_ONE_OF = frozenset({"in", "prefix", "suffix", "contains_any", "words_any"})
_MANY = 1000  # members of a list that are tried one by one


@dataclass(slots=True)
class Budget:
    """So many steps, then every question is answered with no."""

    steps: int = 200_000

    def spend(self, steps: int = 1) -> bool:
        self.steps -= steps
        return self.steps >= 0


def never(where: Where, budget: Budget) -> bool:
    """Whether no event and no lead can pass, for what the tests of one field ask of it together."""
    if isinstance(where, Any_):
        return all(never(item, budget) for item in where.items)
    if isinstance(where, Not):
        return False
    by_path: dict[str, list[Test]] = {}
    choices: list[Any_] = []
    for item in _conjuncts(where):
        if isinstance(item, Test):
            by_path.setdefault(item.path, []).append(item)
        elif isinstance(item, Any_):
            choices.append(item)
    if any(_contradict(tests, budget) for tests in by_path.values()):
        return True
    beside = [test for tests in by_path.values() for test in tests]
    return any(
        budget.spend(len(choice.items) * (1 + len(beside))) and all(never(All((*beside, item)), budget) for item in choice.items)
        for choice in choices
    )


def implies(first: Where, second: Where, budget: Budget) -> bool:
    """Whether all that passes ``first`` passes ``second``."""
    if not budget.spend() or first == second:
        return first == second
    if isinstance(second, All):
        return all(implies(first, item, budget) for item in second.items)
    if isinstance(first, Any_):
        return all(implies(item, second, budget) for item in first.items)
    if isinstance(second, Any_) and any(implies(first, item, budget) for item in second.items):
        return True
    if isinstance(first, All):
        return any(implies(item, second, budget) for item in first.items)
    return isinstance(first, Test) and isinstance(second, Test) and first.path == second.path and _test_implies(first, second, budget)


def holds_of_nothing(where: Where) -> bool:
    """Whether the condition holds where every field is missing."""
    match where:
        case All(items):
            return all(holds_of_nothing(item) for item in items)
        case Any_(items):
            return any(holds_of_nothing(item) for item in items)
        case Not(item):
            return not holds_of_nothing(item)
        case Test():
            return _passes_missing(where)


def _conjuncts(where: Where) -> Iterator[Where]:
    if isinstance(where, All):
        for item in where.items:
            yield from _conjuncts(item)
    else:
        yield where


def _contradict(tests: list[Test], budget: Budget) -> bool:
    present = [test for test in tests if not _passes_missing(test)]
    if present and any(test.op == "exists" and not test.value for test in tests):
        return True
    if any(test.op in _ONE_OF and test.value == () for test in tests):
        return True
    for test in tests:
        values = _values(test)
        if values is not None and budget.spend(len(values) * len(tests) + sum(_size(other) for other in tests)):
            checks = [value_check(other.op, other.value) for other in tests if other is not test]
            if not any(all(check(value) for check in checks) for value in values):
                return True
    ordered = [test for test in tests if test.op in _LOWER | _UPPER]
    if ordered and any(test.op in _TEXTS for test in tests):
        return True  # no value is a number and a text
    return any(_apart(low, high) for low in ordered if low.op in _LOWER for high in ordered if high.op in _UPPER)


def _apart(low: Test, high: Test) -> bool:
    if low.op == "gte" and high.op == "lte":
        return bool(low.value > high.value)
    return bool(low.value >= high.value)


def _size(test: Test) -> int:
    return len(test.value) if isinstance(test.value, tuple) else 1


def _passes_missing(test: Test) -> bool:
    return test.op in _PASS_MISSING or (test.op == "exists" and not test.value)


def _values(test: Test) -> tuple[Any, ...] | None:
    """The only values that pass a test, where they can be listed."""
    if test.op == "eq":
        return (test.value,)
    return test.value if test.op == "in" and len(test.value) <= _MANY else None


def _test_implies(first: Test, second: Test, budget: Budget) -> bool:
    if second.op == "exists":
        return bool(second.value) and not _passes_missing(first)
    values = _values(first)
    if values is not None:
        if not budget.spend(len(values) + _size(second)):
            return False
        check = value_check(second.op, second.value)
        return all(check(value) for value in values)
    if first.op in _LOWER and second.op in _LOWER:
        return bool(first.value > second.value or (first.value == second.value and (second.op == "gte" or first.op == "gt")))
    if first.op in _UPPER and second.op in _UPPER:
        return bool(first.value < second.value or (first.value == second.value and (second.op == "lte" or first.op == "lt")))
    if first.op == second.op and first.op in {"words_any", "contains_any"}:
        return budget.spend(_size(first) + _size(second)) and {text.casefold() for text in first.value} <= {
            text.casefold() for text in second.value
        }
    if first.op == second.op and first.op in {"prefix", "suffix"}:
        check = value_check(second.op, second.value)
        return all(check(text) for text in first.value)
    return False
