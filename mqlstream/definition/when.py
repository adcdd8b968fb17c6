"""`qualify` as closures over a moment: scores, cells, rules awarded in this cycle, the lead's attributes.

Each part carries what it asks for and what a moment has of it, so that what decides and what explains are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mqlstream.core.plan import Moment, Part
from mqlstream.core.scoring import EPSILON, cell, rounded
from mqlstream.core.values import lookup
from mqlstream.definition import model
from mqlstream.definition.where import as_written, gate, paths

Condition = Callable[[Moment], bool]
Grades = Mapping[str, tuple[tuple[str, float | None], ...]]


def compile_when(
    qualify: model.Qualify, dimensions: Mapping[str, int], total: int, grades: Grades, rule_index: Mapping[str, int]
) -> Part | None:
    """The whole condition, fast tracks included; None when nothing ever qualifies."""
    parts = [_awarded(rule, rule_index[rule]) for rule in qualify.fast_track]
    if qualify.when is not None:
        parts.insert(0, _Compiler(dimensions, total, grades, rule_index).build(qualify.when))
    return (parts[0] if len(parts) == 1 else _any(parts)) if parts else None


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

    def build(self, when: model.When) -> Part:
        if isinstance(when, model.ScoreIs):
            node = self.total if when.score == "total" else self.dimensions[when.score]
            needs = {"score": when.score, when.op: when.value}
            return Part("score", _score_is(node, when.op, when.value), needs, lambda moment: rounded(moment.scores[node]))
        if isinstance(when, model.CellIn):
            return self._cell_in(when)
        if isinstance(when, model.RuleAwarded):
            return _awarded(when.rule, self.rule_index[when.rule])
        if isinstance(when, model.LeadIs):
            return _lead_is(when.where)
        if isinstance(when, model.WhenNot):
            inner = self.build(when.item)
            return Part("not", lambda moment: not inner.holds(moment), parts=(inner,))
        parts = [self.build(item) for item in when.items]
        if isinstance(when, model.WhenAll):
            conditions = [part.holds for part in parts]
            return Part("all", lambda moment: all(holds(moment) for holds in conditions), parts=tuple(parts))
        return _any(parts)

    def _cell_in(self, when: model.CellIn) -> Part:
        cells, grades, dimensions, total = frozenset(when.cells), self.grades, self.dimensions, self.total

        def now(moment: Moment) -> str:
            return cell(grades, dimensions, total, moment.scores)

        return Part("cell", lambda moment: now(moment) in cells, {"cell": {"in": list(when.cells)}}, now)


def _any(parts: list[Part]) -> Part:
    conditions = [part.holds for part in parts]
    holds = conditions[0] if len(parts) == 1 else lambda moment: any(holds(moment) for holds in conditions)
    return Part("any", holds, parts=tuple(parts))


def _awarded(name: str, rule: int) -> Part:
    def awarded(moment: Moment) -> bool:
        return moment.awarded(rule)

    return Part("rule", awarded, {"rule": name}, awarded)


def _lead_is(where: model.Where) -> Part:
    holds = gate(where)
    read = sorted({path.removeprefix("lead.") for path in paths(where)})
    return Part(
        "where",
        lambda moment: holds(moment.attributes),
        {"where": as_written(where)},
        lambda moment: {path: lookup(moment.attributes, path) for path in read},
    )


def _score_is(node: int, op: str, value: float) -> Condition:
    return {
        "gte": lambda moment: moment.scores[node] >= value - EPSILON,
        "gt": lambda moment: moment.scores[node] > value + EPSILON,
        "lte": lambda moment: moment.scores[node] <= value + EPSILON,
        "lt": lambda moment: moment.scores[node] < value - EPSILON,
        "eq": lambda moment: abs(moment.scores[node] - value) <= EPSILON,
        "ne": lambda moment: abs(moment.scores[node] - value) > EPSILON,
    }[op]
