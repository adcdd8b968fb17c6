"""Reads the condition under which a lead qualifies (``when``), and business hours. What they mean is not known here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, pairwise, product

from mqlstream.definition import types
from mqlstream.definition.findings import show
from mqlstream.definition.model import CellIn, Hours, LeadIs, RuleAwarded, ScoreIs, When, WhenAll, WhenAny, WhenNot
from mqlstream.definition.reader import INVALID, Invalid, Obj, Reader, got
from mqlstream.definition.source import Entries, Items, Node, Scalar, Unread

FORMS = ("any", "all", "not", "score", "cell", "rule", "where")
_OPS = ("gt", "gte", "lt", "lte", "eq", "ne")
_SCORE = types.Number(-types.MAX_SCORE, types.MAX_SCORE)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)\Z")
_DAY_MINUTES = 24 * 60


def read_when(reader: Reader, node: Node, kind: types.When, label: str, beside: Obj | None) -> When | Invalid:
    """One condition and all within it, or INVALID."""
    if not isinstance(node, Entries):
        return reader.wrong(node, kind, label)
    forms = [name for name in node.entries if name in FORMS]
    if len(forms) != 1:
        what = " and ".join(forms) if forms else "none of them"
        reader.report.error(
            node,
            "conflict" if forms else "missing-key",
            f"{label}: got {what}, expected one of {' '.join(FORMS)}",
            "join several with all or any" if forms else "",
        )
        return INVALID
    form = forms[0]
    extra = [name for name in node.entries if name != form and not (form == "score" and name in _OPS)]
    for name in extra:
        valid = _OPS if form == "score" else FORMS
        reader.report.error(
            node.entries[name][0], "unknown-key", f"{form} has no key {show(name)}", reader.report.did_you_mean(name, valid)
        )
    value = node.entries[form][1]
    read = INVALID if isinstance(value, Unread) else _form(reader, form, value, node)
    return INVALID if extra else read


def _form(reader: Reader, form: str, value: Node, node: Entries) -> When | Invalid:
    match form:
        case "any" | "all":
            return _several(reader, form, value)
        case "not":
            inner = read_when(reader, value, types.When(), form, None)
            return INVALID if isinstance(inner, Invalid) else WhenNot(inner)
        case "score":
            return _score(reader, value, node)
        case "cell":
            return _cells(reader, value)
        case "rule":
            rule = reader.read(value, types.Ref("rule"), form)
            return INVALID if isinstance(rule, Invalid) else RuleAwarded(rule)
        case _:
            where = reader.read(value, types.Where("lead"), form)
            return INVALID if isinstance(where, Invalid) else LeadIs(where)


def _several(reader: Reader, form: str, value: Node) -> When | Invalid:
    if not isinstance(value, Items):
        reader.report.error(value, "wrong-type", f"{form}: got {got(value)}, expected a list of conditions")
        return INVALID
    if not value.items:
        return reader.bounds(value, form, "an empty list", "at least one condition")
    read = [read_when(reader, item, types.When(), form, None) for item in value.items]
    sound = tuple(one for one in read if not isinstance(one, Invalid))
    if len(sound) < len(read):
        return INVALID
    return WhenAny(sound) if form == "any" else WhenAll(sound)


def _score(reader: Reader, value: Node, node: Entries) -> When | Invalid:
    score = reader.read(value, types.Ref("score"), "score")
    ops = [name for name in node.entries if name in _OPS]
    if not ops:
        reader.report.error(node, "missing-key", f"score has none of {' '.join(_OPS)}, expected at least one of them")
        return INVALID
    limits = [(op, reader.read(node.entries[op][1], _SCORE, op)) for op in ops]
    if isinstance(score, Invalid) or any(isinstance(limit, Invalid) for _, limit in limits):
        return INVALID
    tests = tuple(ScoreIs(score, op, limit) for op, limit in limits)
    return tests[0] if len(tests) == 1 else WhenAll(tests)


def _cells(reader: Reader, value: Node) -> CellIn | Invalid:
    if isinstance(value, Entries):
        for name, (key, _) in value.entries.items():
            if name != "in":
                reader.report.error(key, "unknown-key", f"cell has no key {show(name)}", "valid: in")
        inner = value.entries.get("in")
        if inner is None or len(value.entries) > 1:
            if not value.entries:
                reader.report.error(value, "missing-key", "cell has no in, expected a list of cells")
            return INVALID
        value = inner[1]
    cells = reader.read(value, types.ListOf(types.Text("a cell like A1", empty=True), least=1, bare=True), "cell")
    if isinstance(cells, Invalid):
        return INVALID
    scales = reader.names.grades
    if not scales:
        reader.report.error(value, "unknown-name", f"cell: got {show(cells[0]) if cells else 'nothing'}, but no grades are given")
        return INVALID
    for cell in cells:
        if not _can_be(cell, scales):
            valid = ["".join(parts) for parts in islice(product(*scales), 1000)]
            reader.report.warn(value, "unknown-value", f"cell is never {show(cell)}", reader.report.did_you_mean(cell, valid))
    return CellIn(tuple(cells))


def _can_be(cell: str, scales: Sequence[Sequence[str]]) -> bool:
    """Whether grades, one or none of each scale in order, make the cell."""
    rests = {cell}
    for scale in scales:
        rests |= {rest[len(grade) :] for rest in rests for grade in scale if rest.startswith(grade)}
    return "" in rests


def read_hours(reader: Reader, node: Node, kind: types.BusinessHours, label: str, beside: Obj | None) -> tuple[Hours, ...] | Invalid:
    """Business hours in the order of the week, or INVALID."""
    if not isinstance(node, Entries):
        return reader.wrong(node, kind, label)
    if not node.entries:
        return reader.bounds(node, label, "an empty mapping", "at least one day")
    hours: list[Hours] = []
    for name, (key, value) in node.entries.items():
        days = _days(name)
        if days is None:
            reader.report.error(
                key, "bad-value", f"{label}: got {show(name)}, expected days like mon, mon-fri or sat,sun", "valid: " + " ".join(_WEEKDAYS)
            )
        for item in value.items if isinstance(value, Items) else [value]:
            span = _span(reader, item, label)
            if span is not None:
                hours += [Hours(day, *span) for day in days or ()]
    hours.sort(key=lambda one: (one.weekday, one.from_minute))
    for first, second in pairwise(hours):
        if first.weekday == second.weekday and second.from_minute < first.until_minute:
            reader.report.error(node, "conflict", f"{label}: hours of {_WEEKDAYS[first.weekday]} overlap")
            return INVALID
    return tuple(hours)


def _days(text: str) -> list[int] | None:
    days: list[int] = []
    for part in text.replace(" ", "").casefold().split(","):
        first, _, last = part.partition("-")
        if first not in _WEEKDAYS or (last or first) not in _WEEKDAYS:
            return None
        start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
        days += [(start + step) % 7 for step in range((end - start) % 7 + 1)]
    return sorted(set(days))


def _span(reader: Reader, node: Node, label: str) -> tuple[int, int] | None:
    found = _SPAN.match(node.value) if isinstance(node, Scalar) and isinstance(node.value, str) else None
    if found is None:
        reader.report.error(node, "wrong-type", f'{label}: got {got(node)}, expected hours like "09:00-17:00"')
        return None
    start = int(found[1]) * 60 + int(found[2])
    end = int(found[3]) * 60 + int(found[4]) if found[3] else _DAY_MINUTES
    if start >= end:
        reader.report.error(node, "bad-value", f"{label}: got {show(found[0])}, expected the end after the beginning")
        return None
    return start, end
