"""`where` as closures: tests of values, of an event's fields and of a lead's attributes. Nothing is ever evaluated as source."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mqlstream.core.plan import Gate, Match
from mqlstream.core.values import lookup
from mqlstream.definition import model

Check = Callable[[Any], bool]
_SHOWN = 20  # members of a list
_WORD = re.compile(r"\w+")


def paths(where: model.Where) -> Iterator[str]:
    """Every field path a condition reads."""
    return (test.path for test in tests(where))


def tests(where: model.Where) -> Iterator[model.Test]:
    """Every test in a condition."""
    if isinstance(where, model.Test):
        yield where
    elif isinstance(where, model.Not):
        yield from tests(where.item)
    else:
        for item in where.items:
            yield from tests(item)


def is_attribute(path: str) -> bool:
    """Whether a rule's path reads the lead as it stands, and not the event or what the event met."""
    return path.startswith("lead.") and path not in ("lead.stage", "lead.cycle")


def split(where: model.Where) -> tuple[model.All, model.All]:
    """A rule's condition as (what reads the event, what reads the lead's attributes)."""
    items = where.items if isinstance(where, model.All) else (where,)
    of_lead = tuple(item for item in items if any(is_attribute(path) for path in paths(item)))
    return model.All(tuple(item for item in items if item not in of_lead)), model.All(of_lead)


def by_field(where: model.All) -> tuple[list[tuple[str, Check]], model.All]:
    """A rule's condition on the event as (checks of single fields, what spans several fields)."""
    single: list[tuple[str, Check]] = []
    rest = []
    for item in where.items:
        read = set(paths(item))
        if len(read) == 1:
            single.append((read.pop(), _build(item, _of_value)))
        else:
            rest.append(item)
    return single, model.All(tuple(rest))


def event_match(where: model.Where, places: Mapping[str, int]) -> Match | None:
    """The condition on an event's values; None when it always holds."""
    if isinstance(where, model.All) and not where.items:
        return None
    return _build(where, _of_event(places))


def gate(where: model.Where) -> Gate:
    """The condition on a lead's attributes."""
    return _build(where, _of_lead)


def as_written(where: model.Where) -> dict[str, Any]:
    """The condition as it may be written in a definition, its lists resolved, durations in milliseconds. Long lists are cut."""
    if isinstance(where, model.Test):
        value = list(where.value[:_SHOWN]) if isinstance(where.value, tuple) else where.value
        if isinstance(where.value, tuple) and len(where.value) > _SHOWN:
            value.append(f"and {len(where.value) - _SHOWN} more")
        return {where.path: {where.op: value}}
    if isinstance(where, model.Not):
        return {"not": as_written(where.item)}
    inside = [as_written(item) for item in where.items]
    if isinstance(where, model.Any_):
        return {"any": inside}
    merged = {name: test for part in inside for name, test in part.items()}
    return merged if len(merged) == sum(map(len, inside)) else {"all": inside}


def _build(where: model.Where, leaf: Callable[[model.Test], Check]) -> Check:
    if isinstance(where, model.Test):
        return leaf(where)
    if isinstance(where, model.Not):
        inner = _build(where.item, leaf)
        return lambda subject: not inner(subject)
    parts = [_build(item, leaf) for item in where.items]
    return _all(parts) if isinstance(where, model.All) else _any(parts)


def _of_value(test: model.Test) -> Check:
    return value_check(test.op, test.value)


def _of_event(places: Mapping[str, int]) -> Callable[[model.Test], Check]:
    def leaf(test: model.Test) -> Check:
        check, place = value_check(test.op, test.value), places[test.path]
        return lambda values: check(values[place])

    return leaf


def _of_lead(test: model.Test) -> Check:
    check, path = value_check(test.op, test.value), test.path.removeprefix("lead.")
    if "." in path:
        return lambda attributes: check(lookup(attributes, path))
    return lambda attributes: check(attributes.get(path))


def _all(parts: list[Check]) -> Check:
    return parts[0] if len(parts) == 1 else lambda subject: all(part(subject) for part in parts)


def _any(parts: list[Check]) -> Check:
    return parts[0] if len(parts) == 1 else lambda subject: any(part(subject) for part in parts)


def value_check(op: str, wanted: Any) -> Check:
    """One test of one value, None being a missing one: it fails all but ``exists: false``, ``ne`` and ``not_in``."""
    return _MAKERS[op](wanted)


def _eq(wanted: Any) -> Check:
    if isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, str):
        folded = wanted.casefold()
        return lambda value: isinstance(value, str) and value.casefold() == folded
    return lambda value: _is_number(value) and value == wanted


def _ne(wanted: Any) -> Check:
    equal = _eq(wanted)
    return lambda value: not equal(value)


def _in(wanted: Any) -> Check:
    members = {_folded(member) for member in wanted}
    return lambda value: _is_scalar(value) and _folded(value) in members


def _not_in(wanted: Any) -> Check:
    inside = _in(wanted)
    return lambda value: not inside(value)


def _contains(wanted: str) -> Check:
    return _contains_any((wanted,))


def _contains_any(wanted: Any) -> Check:
    members = {_folded(member) for member in wanted}
    needles = [member.casefold() for member in wanted if isinstance(member, str)]

    def contains(value: Any) -> bool:
        if isinstance(value, str):
            text = value.casefold()
            return any(needle in text for needle in needles)
        if isinstance(value, list | tuple):
            return any(_is_scalar(member) and _folded(member) in members for member in value)
        return False

    return contains


def _words_any(wanted: Any) -> Check:
    phrases = [words for words in (_WORD.findall(str(phrase).casefold()) for phrase in wanted) if words]
    single = {words[0] for words in phrases if len(words) == 1}
    longer = [words for words in phrases if len(words) > 1]

    def has_words(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        words = _WORD.findall(value.casefold())
        if not single.isdisjoint(words):
            return True
        return any(words[at : at + len(phrase)] == phrase for phrase in longer for at in range(len(words) - len(phrase) + 1))

    return has_words


def _glob(wanted: str) -> Check:
    matches = re.compile(fnmatch.translate(wanted.casefold())).match
    return lambda value: isinstance(value, str) and matches(value.casefold()) is not None


def _prefix(wanted: Any) -> Check:
    starts = _texts(wanted)
    return lambda value: isinstance(value, str) and value.casefold().startswith(starts)


def _suffix(wanted: Any) -> Check:
    ends = _texts(wanted)
    return lambda value: isinstance(value, str) and value.casefold().endswith(ends)


def _exists(wanted: bool) -> Check:
    return (lambda value: value is not None) if wanted else (lambda value: value is None)


_MAKERS: dict[str, Callable[[Any], Check]] = {
    "eq": _eq,
    "ne": _ne,
    "in": _in,
    "not_in": _not_in,
    "gt": lambda wanted: lambda value: _is_number(value) and value > wanted,
    "gte": lambda wanted: lambda value: _is_number(value) and value >= wanted,
    "lt": lambda wanted: lambda value: _is_number(value) and value < wanted,
    "lte": lambda wanted: lambda value: _is_number(value) and value <= wanted,
    "prefix": _prefix,
    "suffix": _suffix,
    "contains": _contains,
    "contains_any": _contains_any,
    "words_any": _words_any,
    "glob": _glob,
    "exists": _exists,
}


def _texts(wanted: Any) -> tuple[str, ...]:
    return tuple(text.casefold() for text in ([wanted] if isinstance(wanted, str) else wanted))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _folded(value: Any) -> Any:
    """A value as it is compared for membership: texts folded, booleans equal to booleans only."""
    if isinstance(value, bool):
        return ("boolean", value)
    return value.casefold() if isinstance(value, str) else value
