"""`where`: conditions on an event or on a lead's attributes (section 4 of the definition language).

A condition is evaluated against a `Reader`, a function from a field path to the value or None. Where the values come
from is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.oracle.events import Json

Reader = Callable[[str], Any]
UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """Milliseconds of a duration such as `7d`."""
    return int(text[:-1]) * UNIT_MS[text[-1]]


def lookup(values: Any, path: str) -> Any:
    """The value at a path, None when missing. A literal dotted key wins over nesting."""
    if not isinstance(values, Mapping):
        return None
    if path in values:
        return values[path]
    head, dot, rest = path.partition(".")
    return lookup(values.get(head), rest) if dot else None


def reads(where: Json) -> Iterator[str]:
    """All field paths in a condition."""
    for key, value in where.items():
        if key in ("any", "all"):
            for part in value:
                yield from reads(part)
        elif key == "not":
            yield from reads(value)
        else:
            yield key


def is_gate(key: str, value: Any) -> bool:
    """Whether a top-level entry reads the lead's attributes only, and so switches the whole rule on and off."""
    return all(path.startswith("lead.") and path not in ("lead.stage", "lead.cycle") for path in reads({key: value}))


def holds(where: Json, read: Reader, lists: Mapping[str, list[Any]]) -> bool:
    """Whether every entry of the condition holds."""
    for key, value in where.items():
        if key == "any":
            held = any(holds(part, read, lists) for part in value)
        elif key == "all":
            held = all(holds(part, read, lists) for part in value)
        elif key == "not":
            held = not holds(value, read, lists)
        elif isinstance(value, Mapping):
            held = all(passes(test, read(key), operand, lists) for test, operand in value.items())
        elif isinstance(value, list):
            held = passes("in", read(key), value, lists)
        else:
            held = passes("eq", read(key), value, lists)
        if not held:
            return False
    return True


def passes(test: str, value: Any, operand: Any, lists: Mapping[str, list[Any]]) -> bool:
    """Whether a value (None: missing) passes one test."""
    if isinstance(operand, str) and operand.startswith("$") and test in ("in", "not_in", "contains_any", "words_any"):
        operand = lists[operand[1:]]
    if test == "exists":
        return (value is not None) is operand
    if test == "ne":
        return not equal(value, operand)
    if test == "not_in":
        return not any(equal(value, member) for member in operand)
    if value is None:
        return False
    return POSITIVE_TESTS[test](value, operand)


def equal(value: Any, operand: Any) -> bool:
    """Equality of two plain values: of one type, booleans apart from numbers, text folded."""
    if isinstance(value, bool) or isinstance(operand, bool):
        return isinstance(value, bool) and isinstance(operand, bool) and value == operand
    if isinstance(value, int | float) and isinstance(operand, int | float):
        return bool(value == operand)
    return isinstance(value, str) and isinstance(operand, str) and value.casefold() == operand.casefold()


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; a boolean is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _compares(test: str) -> Callable[[Any, Any], bool]:
    def compare(value: Any, operand: Any) -> bool:
        bound = duration_ms(operand) if isinstance(operand, str) else operand
        if not is_number(value):
            return False
        return bool({"gt": value > bound, "gte": value >= bound, "lt": value < bound, "lte": value <= bound}[test])

    return compare


def _prefix(value: Any, operand: Any) -> bool:
    choices = operand if isinstance(operand, list) else [operand]
    return isinstance(value, str) and any(value.casefold().startswith(choice.casefold()) for choice in choices)


def _suffix(value: Any, operand: Any) -> bool:
    choices = operand if isinstance(operand, list) else [operand]
    return isinstance(value, str) and any(value.casefold().endswith(choice.casefold()) for choice in choices)


def _contains(value: Any, operand: Any) -> bool:
    if isinstance(value, list):
        return any(equal(member, operand) for member in value)
    return isinstance(value, str) and operand.casefold() in value.casefold()


def _contains_any(value: Any, operand: Any) -> bool:
    return any(_contains(value, choice) for choice in operand)


def words(text: str) -> list[str]:
    """The runs of word characters of the folded text."""
    return re.findall(r"\w+", text.casefold())


def _words_any(value: Any, operand: Any) -> bool:
    if not isinstance(value, str):
        return False
    found = words(value)
    phrases = [words(phrase) for phrase in operand]
    return any(found[at : at + len(phrase)] == phrase for phrase in phrases for at in range(len(found)))


def _glob(value: Any, operand: Any) -> bool:
    return isinstance(value, str) and glob_matches(operand.casefold(), value.casefold())


def glob_matches(pattern: str, text: str) -> bool:
    """Whether a pattern of `*`, `?` and `[...]` matches the whole text."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob_matches(pattern[1:], text[skip:]) for skip in range(len(text) + 1))
    if not text:
        return False
    if pattern[0] == "[" and "]" in pattern[2:]:
        end = pattern.index("]", 2)
        return _in_class(pattern[1:end], text[0]) and glob_matches(pattern[end + 1 :], text[1:])
    return pattern[0] in ("?", text[0]) and glob_matches(pattern[1:], text[1:])


def _in_class(members: str, char: str) -> bool:
    if members[0] == "!":
        return not _in_class(members[1:], char)
    ranges = re.findall(r"(.)-(.)", members)
    return any(low <= char <= high for low, high in ranges) or char in re.sub(r".-.", "", members)


POSITIVE_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": equal,
    "in": lambda value, operand: any(equal(value, member) for member in operand),
    "gt": _compares("gt"),
    "gte": _compares("gte"),
    "lt": _compares("lt"),
    "lte": _compares("lte"),
    "prefix": _prefix,
    "suffix": _suffix,
    "contains": _contains,
    "contains_any": _contains_any,
    "words_any": _words_any,
    "glob": _glob,
}
