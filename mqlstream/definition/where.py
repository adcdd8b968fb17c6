"""`where` as closures: tests of values, of an event's fields and of a lead's attributes. Nothing is ever evaluated as source."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mqlstream.core.plan import Attributes, Gate, Match, Values
from mqlstream.core.values import lookup
from mqlstream.definition import model

Check = Callable[[Any], bool]
_WORD = re.compile(r"\w+")


def paths(where: model.Where) -> Iterator[str]:
    """Every field path a condition reads."""
    if isinstance(where, model.Test):
        yield where.path
    elif isinstance(where, model.Not):
        yield from paths(where.item)
    else:
        for item in where.items:
            yield from paths(item)


def is_attribute(path: str) -> bool:
    """Whether a rule's path reads the lead as it stands, and not the event or what the event met."""
    return path.startswith("lead.") and path not in ("lead.stage", "lead.cycle")


def split(where: model.Where) -> tuple[model.All, model.All]:
    """A rule's condition as (what reads the event, what reads the lead's attributes)."""
    items = where.items if isinstance(where, model.All) else (where,)
    of_lead = tuple(item for item in items if any(is_attribute(path) for path in paths(item)))
    return model.All(tuple(item for item in items if item not in of_lead)), model.All(of_lead)


def event_match(where: model.Where, places: Mapping[str, int]) -> Match | None:
    """The condition on an event's values; None when it always holds."""
    if isinstance(where, model.All) and not where.items:
        return None
    return _build(where, lambda path: places[path])


def gate(where: model.Where) -> Gate:
    """The condition on a lead's attributes."""
    return _build_gate(where)


def _build(where: model.Where, place: Callable[[str], int]) -> Match:
    if isinstance(where, model.Test):
        return _placed(where, place(where.path))
    if isinstance(where, model.Not):
        inner = _build(where.item, place)
        return lambda values: not inner(values)
    parts = [_build(item, place) for item in where.items]
    return _all(parts) if isinstance(where, model.All) else _any(parts)


def _placed(test: model.Test, place: int) -> Match:
    check = value_check(test.op, test.value)
    return lambda values: check(values[place])


def _build_gate(where: model.Where) -> Gate:
    if isinstance(where, model.Test):
        check, path = value_check(where.op, where.value), where.path.removeprefix("lead.")
        if "." in path:
            return lambda attributes: check(lookup(attributes, path))
        return lambda attributes: check(attributes.get(path))
    if isinstance(where, model.Not):
        inner = _build_gate(where.item)
        return lambda attributes: not inner(attributes)
    parts = [_build_gate(item) for item in where.items]
    return _all(parts) if isinstance(where, model.All) else _any(parts)


def _all(parts: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda subject: first(subject) and second(subject)
    together = tuple(parts)

    def every(subject: Values | Attributes) -> bool:
        for part in together:
            if not part(subject):
                return False
        return True

    return every


def _any(parts: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    together = tuple(parts)

    def some(subject: Values | Attributes) -> bool:
        for part in together:
            if part(subject):
                return True
        return False

    return some


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
