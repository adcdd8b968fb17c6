"""How high scores can get, and where a lead stands of whom nothing is known: bounds for warnings, never for scoring."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mqlstream.definition import model
from mqlstream.definition.logic import Budget, holds_of_nothing, never
from mqlstream.definition.types import DAY_MS, HOUR_MS

# The shortest a calendar unit can be; the clocks go forward in some of them.
_UNIT_MS = {
    "day": DAY_MS - 2 * HOUR_MS,
    "week": 7 * DAY_MS - 2 * HOUR_MS,
    "month": 28 * DAY_MS - 2 * HOUR_MS,
    "year": 365 * DAY_MS - 2 * HOUR_MS,
}
Scores = Mapping[str, float]


def highest(definition: model.Definition, budget: Budget) -> dict[str, float]:
    """The most that each dimension and ``total`` can ever be; never less than what a lead really can have."""
    sums: dict[str, float] = dict.fromkeys(definition.dimensions, 0.0)
    groups: dict[str, float] = dict.fromkeys(definition.groups, 0.0)
    for rule in definition.rules:
        _add(sums, groups, rule.group, rule.dimension, _clip(_most_of_rule(rule, definition, budget), rule.bounds))
    for fit in definition.fit:
        _add(sums, groups, fit.group, fit.dimension, max(0.0, most_of_fit(fit)))
    for entry in definition.inactivity:
        _add(sums, groups, entry.group, entry.dimension, math.inf if entry.points > 0 else 0.0)
    for name, group in definition.groups.items():
        sums[group.dimension] += _clip(groups[name], group.bounds)
    resets = [rule.set for rule in definition.rules if rule.set is not None]
    if definition.qualify.recycle is not None:
        resets.append(definition.qualify.recycle.set)
    for name in sums:
        sums[name] += max((0.0, *(reset.get(name, 0.0) for reset in resets)))
    return _clipped(sums, definition)


def of_blank_lead(definition: model.Definition) -> dict[str, float]:
    """The scores of a lead that has no attributes and did nothing."""
    sums: dict[str, float] = dict.fromkeys(definition.dimensions, 0.0)
    groups: dict[str, float] = dict.fromkeys(definition.groups, 0.0)
    for fit in definition.fit:
        points = next((case.points for case in fit.cases if holds_of_nothing(case.where)), 0.0)
        _add(sums, groups, fit.group, fit.dimension, points * fit.weight)
    for rule in definition.rules:
        points = next((tier.points for tier in rule.tiers if tier.exactly == 0), 0.0)
        _add(sums, groups, rule.group, rule.dimension, _clip(points * rule.weight, rule.bounds))
    for name, group in definition.groups.items():
        sums[group.dimension] += _clip(groups[name], group.bounds)
    return _clipped(sums, definition)


def can_hold(when: model.When, most: Scores) -> bool:
    """Whether the condition could hold of some lead, as far as its lower limits go."""
    match when:
        case model.ScoreIs(score, op, value):
            return op not in {"gte", "gt", "eq"} or most[score] >= value
        case model.WhenAll(items):
            return all(can_hold(item, most) for item in items)
        case model.WhenAny(items):
            return any(can_hold(item, most) for item in items)
    return True


def holds_of_blank_lead(when: model.When, scores: Scores, grades: Mapping[str, tuple[tuple[str, float | None], ...]]) -> bool:
    """Whether the condition holds of a lead that has no attributes and did nothing."""
    match when:
        case model.ScoreIs(score, op, value):
            have = scores[score]
            return {"gte": have >= value, "gt": have > value, "lte": have <= value, "lt": have < value, "eq": have == value}.get(
                op, have != value
            )
        case model.CellIn(cells):
            return _cell(scores, grades) in cells
        case model.LeadIs(where):
            return holds_of_nothing(where)
        case model.WhenAll(items):
            return all(holds_of_blank_lead(item, scores, grades) for item in items)
        case model.WhenAny(items):
            return any(holds_of_blank_lead(item, scores, grades) for item in items)
        case model.WhenNot(item):
            return not holds_of_blank_lead(item, scores, grades)
    return False


def award_of(rule: model.Rule) -> float:
    """The most that one award of a rule, or its best tier, is worth."""
    if rule.points_from is not None:
        return max(rule.points_from.min * rule.weight, rule.points_from.max * rule.weight)
    if rule.tiers:
        return max(tier.points * rule.weight for tier in rule.tiers)
    return (rule.points or 0.0) * rule.weight


def most_of_fit(fit: model.Fit) -> float:
    """The most that a fit entry is worth."""
    points = (fit.points_from.min, fit.points_from.max) if fit.points_from is not None else (case.points for case in fit.cases)
    return max(value * fit.weight for value in points)


def _add(sums: dict[str, float], groups: dict[str, float], group: str | None, dimension: str, points: float) -> None:
    if group is None:
        sums[dimension] += points
    else:
        groups[group] += points


def _clip(value: float, bounds: model.Bounds) -> float:
    low = -math.inf if bounds.floor is None else bounds.floor
    high = math.inf if bounds.cap is None else bounds.cap
    return min(max(value, low), high)


def _clipped(sums: Scores, definition: model.Definition) -> dict[str, float]:
    scores = {name: _clip(value, definition.dimensions[name]) for name, value in sums.items()}
    scores["total"] = _clip(sum(scores.values()), definition.total)
    return scores


def _most_of_rule(rule: model.Rule, definition: model.Definition, budget: Budget) -> float:
    award = award_of(rule)
    if award <= 0 or never(rule.where, budget):
        return 0.0
    return award if rule.tiers else award * _awards(rule, definition)


def _awards(rule: model.Rule, definition: model.Definition) -> float:
    """How many full awards those that can count at one time are worth, at most."""
    most, limit, decay = float(definition.ledger), rule.limit, rule.decay
    if limit is None or limit.by is not None:
        return most
    if limit.calendar == "lifetime":
        return min(most, limit.count)
    lasts = definition.horizon_days * DAY_MS
    # Awards come in turns of `count`: the next one is a whole window older, in calendar units only from the second on.
    unit, extra = (limit.per_ms, 0) if limit.per_ms is not None else (_UNIT_MS[str(limit.calendar)], 1)
    if decay is not None and decay.shape == "half_life":
        left = 2.0 ** (-unit / decay.ms)
        turns = extra + (1 / (1 - left) if left < 1 else math.inf)
    else:
        turns = extra + math.ceil((lasts if decay is None else min(lasts, decay.ms)) / unit)
    return min(most, limit.count * turns)


def _cell(scores: Scores, grades: Mapping[str, tuple[tuple[str, float | None], ...]]) -> str:
    found = (next((grade for grade, lowest in scale if lowest is None or scores[name] >= lowest), "") for name, scale in grades.items())
    return "".join(found)
