"""Points: what rules, fit and inactivity contribute at `as_of`, and how contributions become scores (sections 3 to 7)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.conditions import Reader, duration_ms, holds, is_number, lookup
from tests.oracle.counting import View, awarded, counted, gates_hold, matches
from tests.oracle.events import SCORED_KINDS, Entry, Json, Order

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Contribution:
    """Points under a rule, fit entry or inactivity entry; without an event of its own, `event` is None."""

    rule: Json
    dimension: str
    awarded: float
    points: float
    time: int
    event: Entry | None = None


@dataclass(frozen=True)
class Restart:
    """What the last `set` (or `reset`) of a dimension says: nothing up to `order` counts, the dimension starts from `value`."""

    order: Order
    value: float
    rule: Json | None


def clip(value: float, bounds: Mapping[str, Any]) -> float:
    """The value within `floor` and `cap`, either of which may be missing."""
    floor, cap = float(bounds.get("floor", -math.inf)), float(bounds.get("cap", math.inf))
    return min(max(value, floor), cap)


def dimensions(definition: Json) -> list[str]:
    """All dimensions, without the total."""
    return list(dict.fromkeys(["engagement", "fit", *definition.get("dimensions", {})]) - {"total": None}.keys())


def dimension_of(definition: Json, part: Json, default: str) -> str:
    """The dimension of a rule or entry: its own, else its group's, else the default."""
    group = definition.get("groups", {}).get(part.get("group"), {})
    return str(part.get("dimension") or group.get("dimension", default))


def decayed(points: float, decay: Json, age_ms: int) -> float:
    """Points at an age."""
    left = 1.0
    if "half_life" in decay:
        left = 2.0 ** (-age_ms / duration_ms(decay["half_life"]))
    if "linear" in decay:
        left = max(0.0, 1 - age_ms / duration_ms(decay["linear"]))
    if "expire_after" in decay:
        left = 1.0 if age_ms < duration_ms(decay["expire_after"]) else 0.0
    return points * left


def points_of(part: Json, values: Mapping[str, Any]) -> float:
    """The points that a rule or entry gives: its own, or the number in a field within `min` and `max`, 0 when there is none."""
    if "points_from" not in part:
        return float(part["points"])
    source = part["points_from"]
    value = lookup(values, source["field"])
    return clip(value, {"floor": source.get("min", -math.inf), "cap": source.get("max", math.inf)}) if is_number(value) else 0.0


def restarts(view: View, events: Sequence[Entry]) -> dict[str, Restart]:
    """The `set` or `reset` that wins in each dimension: the last in order, and of one event's rules the first listed."""
    found: dict[str, Restart] = {}

    def offer(dimension: str, restart: Restart) -> None:
        if dimension not in found or found[dimension].order < restart.order:
            found[dimension] = restart

    for rule in view.definition.get("rules", []):
        if "set" in rule:
            for entry in matches(view, rule, events):
                for dimension, value in rule["set"].items():
                    offer(dimension, Restart(entry.order, value, rule))
    for entry in view.entries:
        if entry.kind == "command" and entry.fields["do"] == "reset" and view.in_horizon(entry.time):
            for dimension in dimensions(view.definition):
                offer(dimension, Restart(entry.order, 0, None))
    return found


def contributions(view: View) -> list[Contribution]:
    """Everything that counts at `as_of`."""
    events = counted(view)
    restarted = restarts(view, events)
    found: list[Contribution] = []
    for rule in view.definition.get("rules", []):
        restart = restarted.get(dimension_of(view.definition, rule, "engagement"))
        found += rule_contributions(view, rule, events, restart)
    for dimension, restart in restarted.items():
        if restart.rule is not None:
            found.append(Contribution(restart.rule, dimension, restart.value, restart.value, view.as_of))
    for entry in view.definition.get("fit", []):
        found += fit_contributions(view, entry)
    for entry in view.definition.get("inactivity", []):
        restart = restarted.get(dimension_of(view.definition, entry, "engagement"))
        found += inactivity_contributions(view, entry, events, restart)
    return found


def rule_contributions(view: View, rule: Json, events: Sequence[Entry], restart: Restart | None) -> Iterator[Contribution]:
    """What one rule gives, but for the value of its `set`."""
    if "set" in rule:
        return
    dimension = dimension_of(view.definition, rule, "engagement")
    matching = matches(view, rule, events)
    if "tiers" in rule:
        if gates_hold(view, rule.get("where", {})):
            for points in tier_points(rule, [entry for entry in matching if counts_after(restart, entry)], view.as_of):
                yield Contribution(rule, dimension, points, points, view.as_of)
        return
    for entry in awarded(view, rule, matching):
        if counts_after(restart, entry):
            points = points_of(rule, entry.fields)
            yield Contribution(rule, dimension, points, decayed(points, rule.get("decay", {}), view.as_of - entry.time), entry.time, entry)


def counts_after(restart: Restart | None, entry: Entry) -> bool:
    """Whether an event comes after the dimension's restart."""
    return restart is None or entry.order > restart.order


def tier_points(rule: Json, matching: Sequence[Entry], as_of: int) -> Iterator[float]:
    """The weighted points of the first tier that holds, if any does."""
    for tier in rule["tiers"]:
        within = sum(as_of - duration_ms(tier["within"]) < entry.time <= as_of for entry in matching)
        count = tier["count"]
        if within == count["exactly"] if "exactly" in count else within >= count["at_least"]:
            yield tier["points"] * rule.get("weight", 1)
            return


def fit_contributions(view: View, entry: Json) -> Iterator[Contribution]:
    """What one fit entry gives: the first of its choices that holds."""
    who = view.attributes
    for choice in entry.get("one_of", [entry]):
        if holds(choice.get("where", {}), lambda path: lookup(who, path), view.lists):
            points = points_of(choice, who) * entry.get("weight", 1)
            yield Contribution(entry, dimension_of(view.definition, entry, "fit"), points, points, view.as_of)
            return


def inactivity_contributions(view: View, entry: Json, events: Sequence[Entry], restart: Restart | None) -> Iterator[Contribution]:
    """One contribution for every moment at which the lead had been idle for long enough."""
    dimension = dimension_of(view.definition, entry, "engagement")
    for moment in idle_moments(view, entry, events):
        if restart is not None and moment <= restart.order[0]:
            continue
        if "unless" in entry and holds(entry["unless"], reader_at(view, moment), view.lists):
            continue
        yield Contribution(entry, dimension, entry["points"], entry["points"], view.as_of)


def reader_at(view: View, moment: int) -> Reader:
    """Reads the attributes as at `as_of`, but the lead's age at an earlier moment."""
    then = view.attributes | {"age": moment - view.attributes["first_seen"]}
    return lambda path: lookup(then, path.removeprefix("lead."))


def idle_moments(view: View, entry: Json, events: Sequence[Entry]) -> Iterator[int]:
    """The times at which the entry's points fell due."""
    looked_at = {"on": list(SCORED_KINDS)} | {key: entry[key] for key in ("on", "where") if key in entry}
    standing = [event for event in view.entries if event.is_activity and event.key not in view.retracted]
    newest = matches(view, looked_at, standing)[-1:]
    active = matches(view, looked_at, [event for event in events if event.is_activity])
    times = sorted({event.time for event in [*active, *newest]})
    first_seen = min(event.time for event in view.entries)
    starts = [first_seen, *times]
    ends = [*times, view.as_of]
    after_ms = duration_ms(entry["after"])
    for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
        is_last = at == len(ends) - 1
        if end - start < after_ms or not (is_last or view.in_horizon(start)):
            continue
        yield start + after_ms
        if "every" in entry:
            every_ms = duration_ms(entry["every"])
            yield from range(start + after_ms + every_ms, end + 1, every_ms)


def scores(definition: Json, found: Sequence[Contribution]) -> dict[str, float]:
    """Sums by rule, group and dimension, each clipped, and the total."""
    limits = definition.get("dimensions", {})
    by_rule: dict[str, tuple[Json, str, list[float]]] = {}
    for each in found:
        # The value of a `set` is the dimension's start, not an award of the rule: it is summed by itself.
        is_start = "set" in each.rule
        name = f"{each.rule['id']}/{each.dimension}" if is_start else each.rule["id"]
        by_rule.setdefault(name, (each.rule, each.dimension, []))[2].append(each.points)
    sums: dict[str, list[float]] = {dimension: [] for dimension in dimensions(definition)}
    groups: dict[str, list[float]] = {group: [] for group in definition.get("groups", {})}
    for part, dimension, points in by_rule.values():
        target = groups[part["group"]] if "group" in part else sums[dimension]
        target.append(clip(math.fsum(points), part))
    for group, points in groups.items():
        bounds = definition["groups"][group]
        sums[bounds.get("dimension", "engagement")].append(clip(math.fsum(points), bounds))
    result = {dimension: clip(math.fsum(points), limits.get(dimension, {})) for dimension, points in sums.items()}
    return {"total": clip(math.fsum(result.values()), limits.get("total", {}))} | result


def grade(definition: Json, score: Mapping[str, float]) -> str:
    """The lead's cell, such as `A1`."""
    cell = ""
    for dimension, bounds in definition.get("grades", {}).items():
        lowest = {name: -math.inf if bound is None else bound for name, bound in bounds.items()}
        reached = [name for name, bound in lowest.items() if score[dimension] >= bound - TOLERANCE]
        cell += max(reached, key=lambda name: lowest[name], default="")
    return cell
