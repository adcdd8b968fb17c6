"""From a tally and a lead's attributes to scores, grades and the contributions that explain them. Pure; changes no lead."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mqlstream.core.awards import Awards
from mqlstream.core.lead import Lead
from mqlstream.core.plan import Attributes, Plan, RulePlan
from mqlstream.core.state import NEVER
from mqlstream.core.tally import Tally

EPSILON = 1e-9  # comparisons of scores allow for rounding
DIGITS = 6  # of points in outputs
Grades = Sequence[tuple[str, float | None]]  # (grade, lowest score), highest first; None: all the rest


class Standing(NamedTuple):
    """Points without an event of their own: of a fit entry, tiers, or the value of a `set`."""

    id: str
    label: str
    intent: str | None
    node: int
    points: float


def attributes_at(plan: Plan, lead: Lead, as_of: int) -> Attributes:
    """The lead's attributes as the plan's conditions see them at ``as_of``."""
    attributes = lead.attributes(as_of)
    if plan.reads_age and lead.state.first_seen != NEVER:
        attributes["age"] = as_of - lead.state.first_seen
    return attributes


def settled(plan: Plan, lead: Lead, tally: Tally, attributes: Attributes) -> Tally:
    """The tally for these attributes: another one where they switch a rule with `set` on or off."""
    if not plan.gated_sets:
        return tally
    closed = frozenset(
        rule.index for rule in plan.rules if rule.set is not None and rule.gate is not None and not plan.gates[rule.gate](attributes)
    )
    return tally if closed == tally.closed else Tally.over(plan, lead.ledger, tally.at, closed=closed)


def node_sums(plan: Plan, lead: Lead, tally: Tally, attributes: Attributes) -> list[float]:
    """The clipped sum of every node of the plan, the total last, at the tally's time."""
    return clip(plan, raw_sums(plan, lead, settled(plan, lead, tally, attributes), attributes))


def raw_sums(plan: Plan, lead: Lead, tally: Tally, attributes: Attributes, worths: Sequence[float] | None = None) -> list[float]:
    """What flows into every node from lanes and standing points, before any clipping. ``worths``: other worths of the lanes."""
    sums = [0.0] * len(plan.nodes)
    open_gates = [gate(attributes) for gate in plan.gates]
    for index, lane in enumerate(plan.lanes):
        if lane.gate is None or open_gates[lane.gate]:
            sums[lane.node] += tally.worth_at(index, tally.at) if worths is None else worths[index]
    for standing in standings(plan, lead, tally, attributes, open_gates):
        sums[standing.node] += standing.points
    return sums


class Clip(NamedTuple):
    """A node of the plan whose sum lies outside its bounds, and what counts instead."""

    node: int
    sum: float
    counted: float


def clip(plan: Plan, sums: list[float], clipped: list[Clip] | None = None) -> list[float]:
    """Clip every node and add it to its parent, in place; tell in ``clipped`` where that changed a sum."""
    for index, (_, _, parent, floor, cap) in enumerate(plan.nodes):
        value = sums[index]
        if (cap is not None and value > cap) or (floor is not None and value < floor):
            counted = cap if cap is not None and value > cap else floor
            assert counted is not None
            if clipped is not None:
                clipped.append(Clip(index, value, counted))
            sums[index] = value = counted
        if parent >= 0:
            sums[parent] += value
    return sums


def standings(plan: Plan, lead: Lead, tally: Tally, attributes: Attributes, open_gates: Sequence[bool]) -> Iterator[Standing]:
    """Every standing contribution that holds at the tally's time."""
    for fit in plan.fit:
        points = fit.points(attributes)
        if points is not None:
            yield Standing(fit.id, fit.label, fit.intent, fit.node, points)
    for rule in plan.tiered:
        if rule.gate is None or open_gates[rule.gate]:
            points = _tier_points(rule, tally.tiers.get(rule.index, ()), tally.at)
            if points is not None:
                yield Standing(rule.id, rule.label, rule.intent, rule.node, points)
    for gaps in tally.gaps:
        reset_at = tally.resets[gaps.plan.dimension].entry.time if gaps.plan.dimension in tally.resets else NEVER
        newest = lead.newest_activity(gaps.plan.key, tally.at)
        points = gaps.points(lead.state.first_seen, newest, tally.at, plan.horizon_days, reset_at, attributes)
        if points is not None:
            yield Standing(gaps.plan.id, gaps.plan.label, None, gaps.plan.node, points)
    for dimension, reset in tally.resets.items():
        if reset.rule is not None:
            yield Standing(reset.rule.id, reset.rule.label, reset.rule.intent, dimension, reset.value)
        elif reset.value:
            yield Standing("recycle", "Recycled by sales", None, dimension, reset.value)


def _tier_points(rule: RulePlan, times: Sequence[int], as_of: int) -> float | None:
    for tier in rule.tiers:
        matches = len(times) - bisect_right(times, as_of - tier.within_ms)
        if (tier.at_least is not None and matches >= tier.at_least) or (tier.exactly is not None and matches == tier.exactly):
            return tier.points * rule.weight
    return None


def score_of(plan: Plan, sums: Sequence[float]) -> dict[str, float]:
    """The score as outputs tell it: the total first, then each dimension in the file's order."""
    score = {"total": rounded(sums[plan.total])}
    score.update({name: rounded(sums[node]) for name, node in plan.dimensions.items()})
    return score


def grade_of(plan: Plan, sums: Sequence[float]) -> str:
    """The lead's cell under the plan."""
    return cell(plan.grades, plan.dimensions, plan.total, sums)


def cell(grades: Mapping[str, Grades], dimensions: Mapping[str, int], total: int, sums: Sequence[float]) -> str:
    """The grade of each graded score, joined in the file's order; empty text where a score has none."""
    found = ""
    for name, steps in grades.items():
        value = sums[total if name == "total" else dimensions[name]]
        for grade, lowest in steps:
            if lowest is None or value >= lowest - EPSILON:
                found += grade
                break
    return found


class Explained(NamedTuple):
    """A score and all that makes it up. ``contributions`` and ``clipped`` are as the handoff carries them."""

    sums: list[float]
    contributions: list[dict[str, Any]]
    clipped: list[dict[str, Any]]


def recounted(plan: Plan, lead: Lead, as_of: int) -> tuple[Tally, Awards, Attributes]:
    """The tally at ``as_of`` from scratch, in order, with every award; and the attributes that switch its rules."""
    attributes = attributes_at(plan, lead, as_of)
    awards = Awards()
    tally = Tally.over(plan, lead.ledger, as_of, awards)
    right = settled(plan, lead, tally, attributes)
    if right is not tally:
        awards = Awards()
        tally = Tally.over(plan, lead.ledger, as_of, awards, right.closed)
    return tally, awards, attributes


def explain(plan: Plan, lead: Lead, as_of: int) -> Explained:
    """The score at ``as_of`` from scratch, in order: the same for the same set of events, to the last bit."""
    tally, awards, attributes = recounted(plan, lead, as_of)
    open_gates = [gate(attributes) for gate in plan.gates]
    found = []
    sources = lead.state.sources
    for award in awards.counting:
        lane = plan.lanes[award.rule.lane]
        if lane.gate is not None and not open_gates[lane.gate]:
            continue
        age = as_of - award.entry.time
        if lane.shape in ("linear", "expire_after") and age >= lane.ms:
            continue
        entry = award.entry
        worth = lane.worth(award.points, age)
        found.append(_contribution(award.rule, worth, award.points, entry.time, entry.id, sources[entry.source]))
    for standing in standings(plan, lead, tally, attributes, open_gates):
        found.append(_contribution(standing, standing.points, standing.points, as_of, None, None))
    found.sort(key=lambda c: (-c["points"], -c["time"], c["rule"], c["source"] or "", c["event_id"] or ""))
    clips: list[Clip] = []
    sums = clip(plan, raw_sums(plan, lead, tally, attributes), clips)
    return Explained(sums, found, [clip_told(plan, each) for each in clips])


def clip_told(plan: Plan, clipped: Clip) -> dict[str, Any]:
    """A clip as outputs tell it."""
    node = plan.nodes[clipped.node]
    return {"scope": node.scope, "name": node.name, "sum": rounded(clipped.sum), "counted": rounded(clipped.counted)}


def _contribution(
    origin: RulePlan | Standing, points: float, awarded: float, time: int, event_id: str | None, source: str | None
) -> dict[str, Any]:
    return {
        "rule": origin.id,
        "label": origin.label,
        "points": rounded(points),
        "awarded": rounded(awarded),
        "time": time,
        "event_id": event_id,
        "source": source,
        "intent": origin.intent,
    }


def rounded(points: float) -> float:
    """Points as outputs tell them."""
    return round(points, DIGITS) + 0.0  # no negative zero
