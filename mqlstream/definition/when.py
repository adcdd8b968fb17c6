"""`qualify` as one closure over a moment: scores, cells, rules awarded in this cycle, the lead's attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mqlstream.core.plan import Moment
from mqlstream.core.scoring import EPSILON, cell
from mqlstream.definition import model
from mqlstream.definition.where import gate

Condition = Callable[[Moment], bool]
Grades = Mapping[str, tuple[tuple[str, float | None], ...]]


def compile_when(
    qualify: model.Qualify, dimensions: Mapping[str, int], total: int, grades: Grades, rule_index: Mapping[str, int]
) -> Condition | None:
    """The whole condition, fast tracks included; None when nothing ever qualifies."""
    conditions: list[Condition] = [_awarded(rule_index[rule]) for rule in qualify.fast_track]
    if qualify.when is not None:
        conditions.insert(0, _Compiler(dimensions, total, grades, rule_index).build(qualify.when))
    return _any(conditions) if conditions else None


def rules_in(when: model.When) -> Iterator[str]:
    """The ids of the rules a condition names."""
    if isinstance(when, model.RuleAwarded):
        yield when.rule
    for inner in _inside(when):
        yield from rules_in(inner)


def wheres_in(when: model.When) -> list[model.Where]:
    """The conditions on attributes inside a condition."""
    found: list[model.Where] = [when.where] if isinstance(when, model.LeadIs) else []
    for inner in _inside(when):
        found += wheres_in(inner)
    return found


def _inside(when: model.When) -> tuple[model.When, ...]:
    if isinstance(when, model.WhenAll | model.WhenAny):
        return when.items
    return (when.item,) if isinstance(when, model.WhenNot) else ()


class _Compiler:
    def __init__(self, dimensions: Mapping[str, int], total: int, grades: Grades, rule_index: Mapping[str, int]) -> None:
        self.dimensions = dimensions
        self.total = total
        self.grades = grades
        self.rule_index = rule_index

    def build(self, when: model.When) -> Condition:
        if isinstance(when, model.ScoreIs):
            node = self.total if when.score == "total" else self.dimensions[when.score]
            return _score_is(node, when.op, when.value)
        if isinstance(when, model.CellIn):
            cells, grades, dimensions, total = frozenset(when.cells), self.grades, self.dimensions, self.total
            return lambda moment: cell(grades, dimensions, total, moment.scores) in cells
        if isinstance(when, model.RuleAwarded):
            return _awarded(self.rule_index[when.rule])
        if isinstance(when, model.LeadIs):
            holds = gate(when.where)
            return lambda moment: holds(moment.attributes)
        if isinstance(when, model.WhenNot):
            inner = self.build(when.item)
            return lambda moment: not inner(moment)
        parts = [self.build(item) for item in when.items]
        if isinstance(when, model.WhenAll):
            return lambda moment: all(part(moment) for part in parts)
        return _any(parts)


def _any(parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else lambda moment: any(part(moment) for part in parts)


def _awarded(rule: int) -> Condition:
    return lambda moment: moment.awarded(rule)


def _score_is(node: int, op: str, value: float) -> Condition:
    return {
        "gte": lambda moment: moment.scores[node] >= value - EPSILON,
        "gt": lambda moment: moment.scores[node] > value + EPSILON,
        "lte": lambda moment: moment.scores[node] <= value + EPSILON,
        "lt": lambda moment: moment.scores[node] < value - EPSILON,
        "eq": lambda moment: abs(moment.scores[node] - value) <= EPSILON,
        "ne": lambda moment: abs(moment.scores[node] - value) > EPSILON,
    }[op]
