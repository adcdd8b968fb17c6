"""From definitions to the program that the core executes: names become places, conditions become closures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from mqlstream.core.business import BusinessHours
from mqlstream.core.email_kinds import SHIPPED, EmailLists
from mqlstream.core.event import ACTIVITY_KINDS, KINDS, PASSIVE_ACTIONS
from mqlstream.core.inactivity import InactivityPlan
from mqlstream.core.matching import FieldTests, Matcher
from mqlstream.core.plan import (
    AccountsPlan,
    Attributes,
    Candidate,
    ConditionPlan,
    CountPlan,
    FitPlan,
    HandoffShape,
    Lane,
    LimitPlan,
    Match,
    Node,
    Plan,
    PointsFrom,
    Program,
    RearmPlan,
    RecyclePlan,
    RulePlan,
    SlaPlan,
    TierPlan,
    Values,
)
from mqlstream.core.scoring import EPSILON
from mqlstream.core.values import lookup
from mqlstream.definition import model
from mqlstream.definition.layout import KIND, MET, WITH_ACTION, lay_out, reader
from mqlstream.definition.when import compile_when, rules_in, wheres_in
from mqlstream.definition.where import by_field, event_match, gate, paths, split, tests

_AGE = "age"
_QUICK = ("none", "half_life")  # lanes to which an award of now is simply added
Places = Mapping[str, int]


def compile_program(
    definitions: Sequence[model.Definition],
    shape: HandoffShape | None = None,
    email_lists: EmailLists = SHIPPED,
    prepared: Sequence[model.Definition] = (),
) -> Program:
    """All definitions in force as one program, in the order given. Raises nothing on definitions that parsed.

    ``prepared`` are not in force; ledgers keep what they read all the same.
    """
    layout, event_fields = lay_out((*definitions, *prepared))
    per_day = max((definition.per_day for definition in definitions), default=100)
    places = [{path: index for index, path in enumerate(kind_paths)} for kind_paths in layout.paths]
    plans = tuple(_Compiler(definition, places).plan() for definition in definitions)
    return Program(
        plans=plans,
        layout=layout,
        extract=tuple(reader(kind_paths) for kind_paths in layout.paths),
        event_fields=event_fields,
        per_day=per_day,
        horizon_days=max((definition.horizon_days for definition in definitions), default=400),
        own_flood=tuple(definition.per_day < per_day for definition in definitions),
        has_timers=any(plan.rearm or plan.recycle or plan.sla or plan.active_from or plan.rises for plan in plans),
        watches_gaps=any(definition.inactivity for definition in definitions),
        shape=shape or HandoffShape(),
        email_lists=email_lists,
        prepared=tuple(prepared),
        definitions=tuple(definitions),
    )


class _Compiler:
    """Compiles one definition; holds the tables that its parts are numbered in."""

    def __init__(self, definition: model.Definition, places: Sequence[Places]) -> None:
        self.definition = definition
        self.places = [self._own_places(kind_places) for kind_places in places]
        self.nodes: list[Node] = []
        self.node_of: dict[tuple[str, str], int] = {}
        self.lanes: dict[Lane, int] = {}
        self.gates: dict[model.Where, int] = {}
        self.rule_index = {rule.id: index for index, rule in enumerate(definition.rules)}
        when = definition.qualify.when
        self.fast = set(definition.qualify.fast_track) | (set(rules_in(when)) if when else set())
        self._add_nodes()

    def _own_places(self, kind_places: Places) -> Places:
        suffix = f"@{self.definition.id}"
        return {path.removesuffix(suffix) if path.partition("@")[0] in MET else path: place for path, place in kind_places.items()}

    def plan(self) -> Plan:
        definition = self.definition
        rules = tuple(self._rule(index, rule) for index, rule in enumerate(definition.rules))
        qualify = definition.qualify
        dimensions = {name: self.node_of["dimension", name] for name in definition.dimensions}
        condition = compile_when(qualify, dimensions, len(self.nodes) - 1, definition.grades, self.rule_index)
        return Plan(
            id=definition.id,
            version=definition.version,
            digest=definition.digest,
            horizon_days=definition.horizon_days,
            per_day=definition.per_day,
            ledger=definition.ledger,
            live=definition.mode == "live",
            active_from=definition.active_from_ms,
            active_until=definition.active_until_ms,
            nodes=tuple(self.nodes),
            dimensions=dimensions,
            lanes=tuple(self.lanes),
            rules=rules,
            tiered=tuple(rule for rule in rules if rule.tiers),
            candidates=self._matchers(rules, machine=False),
            machine_candidates=self._matchers(rules, machine=True),
            gates=tuple(gate(where) for where in self.gates),
            fit=tuple(self._fit(fit) for fit in definition.fit),
            inactivity=tuple(self._inactivity(entry) for entry in definition.inactivity),
            disqualify=tuple(ConditionPlan(c.id, gate(c.where)) for c in definition.disqualify),
            freeze=tuple(ConditionPlan(c.id, gate(c.where)) for c in definition.freeze),
            qualifies=condition.holds if condition is not None else None,
            condition=condition,
            threshold=dict(qualify.threshold),
            fast_track=tuple(self.rule_index[rule] for rule in qualify.fast_track),
            rearm=RearmPlan(qualify.rearm.below, qualify.rearm.cooldown_ms) if qualify.rearm else None,
            recycle=RecyclePlan(dict(qualify.recycle.set), qualify.recycle.cooldown_ms) if qualify.recycle else None,
            sla=_sla(definition),
            reads_age=self._reads_age(),
            plain=all(rule.plain for rule in rules)
            and all(lane.shape in _QUICK for lane in self.lanes)
            and not definition.inactivity
            and qualify.recycle is None,
            ages=self._ages(),
            rises=self._rises(rules),
            gated_sets=any(rule.set is not None and rule.gate is not None for rule in rules),
            needs=self._needs(),
            needs_total=self._needs_total(),
            tiers_span=self._tiers_at_most(1) + self._tiers_at_most(-1),
            halving=tuple((index, lane.ms) for lane, index in self.lanes.items() if lane.shape == "half_life"),
            fading=self._fading(),
            grades=definition.grades,
            accounts=self._accounts(),
        )

    def _add_nodes(self) -> None:
        definition = self.definition
        capped = [rule for rule in definition.rules if rule.bounds != model.Bounds()]
        names = [("rule", rule.id) for rule in capped]
        names += [("group", name) for name in definition.groups]
        names += [("dimension", name) for name in definition.dimensions]
        names.append(("total", "total"))
        self.node_of = {name: index for index, name in enumerate(names)}
        for rule in capped:
            self._add_node("rule", rule.id, self._home(rule.group, rule.dimension), rule.bounds)
        for name, group in definition.groups.items():
            self._add_node("group", name, self.node_of["dimension", group.dimension], group.bounds)
        for name, bounds in definition.dimensions.items():
            self._add_node("dimension", name, self.node_of["total", "total"], bounds)
        self._add_node("total", "total", -1, definition.total)

    def _add_node(self, scope: str, name: str, parent: int, bounds: model.Bounds) -> None:
        self.nodes.append(Node(name, scope, parent, bounds.floor, bounds.cap))

    def _home(self, group: str | None, dimension: str) -> int:
        """The node that points of a group, or of a dimension without one, flow into."""
        return self.node_of["group", group] if group is not None else self.node_of["dimension", dimension]

    def _rule(self, index: int, rule: model.Rule) -> RulePlan:
        node = self.node_of.get(("rule", rule.id), -1)
        node = node if node >= 0 else self._home(rule.group, rule.dimension)
        dimension = self.node_of["dimension", rule.dimension]
        of_lead = split(rule.where)[1]
        gate_index = self.gates.setdefault(of_lead, len(self.gates)) if of_lead.items else None
        decay = rule.decay or model.Decay("none", 1)
        points = float(rule.points or 0.0) * rule.weight
        lane = Lane(node, dimension, decay.shape, decay.ms, gate_index, points < 0)
        negative = Lane(node, dimension, decay.shape, decay.ms, gate_index, True) if rule.points_from else lane
        limit, count = rule.limit, rule.count
        return RulePlan(
            index=index,
            id=rule.id,
            label=rule.label,
            intent=rule.intent,
            points=points,
            lane=self.lanes.setdefault(lane, len(self.lanes)),
            dimension=dimension,
            gate=gate_index,
            fast=rule.id in self.fast,
            limit=LimitPlan(limit.count, limit.per_ms, _unit(limit.calendar, self.definition.timezone)) if limit else None,
            limit_by=self._field(rule, limit.by) if limit else None,
            count=CountPlan(count.at_least, count.within_ms) if count else None,
            count_by=self._field(rule, count.by) if count else None,
            distinct=self._field(rule, count.distinct) if count else None,
            points_from=PointsFrom(rule.points_from.min, rule.points_from.max) if rule.points_from else None,
            points_field=self._field(rule, rule.points_from.field) if rule.points_from else None,
            weight=rule.weight,
            negative_lane=self.lanes.setdefault(negative, len(self.lanes)),
            tiers=tuple(TierPlan(tier.points, tier.within_ms, tier.at_least, tier.exactly) for tier in rule.tiers),
            node=node,
            set={self.node_of["dimension", name]: float(value) for name, value in rule.set.items()} if rule.set is not None else None,
        )

    def _field(self, rule: model.Rule, path: str | None) -> Places_by_kind | None:
        return None if path is None else {KIND[kind]: self.places[KIND[kind]][path] for kind in rule.on}

    def _matchers(self, rules: Sequence[RulePlan], machine: bool) -> tuple[Matcher, ...]:
        chosen = [pair for pair in zip(self.definition.rules, rules, strict=True) if pair[0].machine is machine]
        return tuple(self._matcher(kind, [pair for pair in chosen if KINDS[kind] in pair[0].on]) for kind in range(len(KINDS)))

    def _matcher(self, kind: int, rules: Sequence[tuple[model.Rule, RulePlan]]) -> Matcher:
        places = self.places[kind]
        lanes = tuple(self.lanes)
        candidates: list[Candidate] = []
        tests: dict[int, list[tuple[int, Callable[[Any], bool]]]] = {}
        for bit, (rule, plan) in enumerate(rules):
            on_event = split(rule.where)[0]
            of_one_field, of_several = by_field(on_event)
            for path, check in of_one_field:
                tests.setdefault(places[path], []).append((bit, check))
            quick = plan.plain and lanes[plan.lane].shape in _QUICK
            candidates.append(Candidate(event_match(of_several, places), quick, plan.lane, plan.points, plan))
        return Matcher(candidates, [FieldTests(place, checks, len(rules)) for place, checks in tests.items()])

    def _fit(self, fit: model.Fit) -> FitPlan:
        points: Callable[[Attributes], float | None]
        if fit.points_from is not None:
            points = _points_of_attribute(fit, fit.points_from)
        else:
            cases = tuple((gate(case.where), case.points * fit.weight) for case in fit.cases)

            def points(attributes: Attributes) -> float | None:
                for holds, value in cases:
                    if holds(attributes):
                        return value
                return None

        return FitPlan(fit.id, fit.label, fit.intent, self._home(fit.group, fit.dimension), points)

    def _inactivity(self, entry: model.Inactivity) -> InactivityPlan:
        on_event = split(entry.where)[0]
        ends_gap = {
            KIND[kind]: _ends_gap(event_match(on_event, places), places["action"] if kind in WITH_ACTION else None)
            for kind, places in ((kind, self.places[KIND[kind]]) for kind in entry.on or ACTIVITY_KINDS)
        }
        return InactivityPlan(
            key=f"{self.definition.id}/{entry.id}",
            id=entry.id,
            label=entry.label,
            node=self._home(entry.group, entry.dimension),
            dimension=self.node_of["dimension", entry.dimension],
            after_ms=entry.after_ms,
            every_ms=entry.every_ms,
            points=entry.points,
            ends_gap=ends_gap,
            unless=gate(entry.unless) if entry.unless is not None else None,
            by_age=entry.unless is not None and _AGE in {path.removeprefix("lead.") for path in paths(entry.unless)},
        )

    def _accounts(self) -> AccountsPlan | None:
        accounts = self.definition.accounts
        if accounts is None:
            return None
        engagement = self.node_of["dimension", "engagement"]
        kept = [index for index, node in enumerate(self.nodes) if node.parent < 0 or index == engagement or node[3:] != (None, None)]
        place_of = [-1] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):  # parents stand after their children
            place_of[index] = kept.index(index) if index in kept else place_of[self.nodes[index].parent]
        clips = [(place_of[node.parent] if node.parent >= 0 else -1, node.floor, node.cap) for node in map(self.nodes.__getitem__, kept)]
        rearm = RearmPlan(accounts.rearm.below, accounts.rearm.cooldown_ms) if accounts.rearm else None
        wanted = (accounts.people_at_least, accounts.people_engagement, accounts.threshold_sum, accounts.threshold_best)
        return AccountsPlan(*wanted, rearm, tuple(clips), tuple(place_of), place_of[engagement])

    def _rises(self, rules: Sequence[RulePlan]) -> bool:
        return bool(self._fading() or self._ages()) or any(rule.tiers for rule in rules) or self._idling_pays()

    def _fading(self) -> tuple[int, ...]:
        return tuple(index for lane, index in self.lanes.items() if lane.negative and lane.shape != "none")

    def _idling_pays(self) -> bool:
        return any(entry.points > 0 for entry in self.definition.inactivity)

    def _ages(self) -> tuple[int, ...]:
        read = [test.value for where in self._wheres() for test in tests(where) if test.path.removeprefix("lead.") == _AGE]
        values = [value for given in read for value in (given if isinstance(given, tuple) else (given,))]
        return tuple(sorted({math.floor(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)}))

    def _reads_age(self) -> bool:
        return any(path.removeprefix("lead.") == _AGE for where in self._wheres() for path in paths(where))

    def _wheres(self) -> list[model.Where]:
        """All conditions on the lead's attributes as they stand at the score's time."""
        definition = self.definition
        wheres: list[model.Where] = [split(rule.where)[1] for rule in definition.rules]
        wheres += [case.where for fit in definition.fit for case in fit.cases] + [fit.where for fit in definition.fit]
        wheres += [condition.where for condition in (*definition.disqualify, *definition.freeze)]
        return wheres + (wheres_in(definition.qualify.when) if definition.qualify.when else [])

    def _needs_total(self) -> float:
        """The total below which no lead qualifies but by a fast track; minus infinity when nothing is known."""
        when = self.definition.qualify.when
        wanted = [item for item in (when.items if isinstance(when, model.WhenAll) else (when,)) if isinstance(item, model.ScoreIs)]
        totals = [item.value for item in wanted if item.score == "total" and item.op == "gte"]
        if when is None and self.definition.qualify.fast_track:
            totals = [math.inf]  # a fast track makes the potential infinite
        return max(totals, default=-math.inf) - 2 * EPSILON

    def _needs(self) -> float:
        """What points must add up to before there is anything to review; minus infinity when nothing is known."""
        definition = self.definition
        if self._idling_pays() or (definition.disqualify and self._reads_age()):
            return -math.inf
        return self._needs_total() - sum(max(0.0, _most(fit)) for fit in definition.fit) - self._tiers_at_most(1)

    def _tiers_at_most(self, sign: int) -> float:
        """The most points that tiers can give (``sign`` 1) or take away (-1)."""
        return sum(max(0.0, *(sign * tier.points * rule.weight for tier in rule.tiers)) for rule in self.definition.rules if rule.tiers)


def _sla(definition: model.Definition) -> SlaPlan | None:
    sla = definition.sla
    if sla is None:
        return None
    spans: dict[int, list[tuple[int, int]]] = {}
    for hours in sla.hours:
        spans.setdefault(hours.weekday, []).append((hours.from_minute, hours.until_minute))
    holidays = frozenset(date.fromisoformat(day) for day in sla.holidays)
    return SlaPlan(sla.accept_within_ms, BusinessHours(_zone(definition.timezone), spans, holidays))


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _ends_gap(match: Match | None, action: int | None) -> Match:
    """Whether an event is an activity: what the entry asks for, and not something that merely happened to the lead."""

    def ends_gap(values: Values) -> bool:
        if action is not None and values[action] in PASSIVE_ACTIONS:
            return False
        return match is None or match(values)

    return ends_gap


Places_by_kind = Mapping[int, int]


def _most(fit: model.Fit) -> float:
    """The most that an entry can give; a negative weight turns the least points into it."""
    points = (fit.points_from.min, fit.points_from.max) if fit.points_from is not None else (case.points for case in fit.cases)
    return max((value * fit.weight for value in points), default=0.0)


def _points_of_attribute(fit: model.Fit, source: model.PointsFrom) -> Callable[[Attributes], float | None]:
    holds = gate(fit.where)

    def points(attributes: Attributes) -> float | None:
        value = lookup(attributes, source.field)
        if not holds(attributes) or value is None:
            return None
        given = isinstance(value, int | float) and not isinstance(value, bool)
        return min(max(float(value), source.min), source.max) * fit.weight if given else 0.0

    return points


def _unit(calendar: str | None, timezone: str) -> Callable[[int], Any] | None:
    """The key of the calendar unit that a time in epoch milliseconds falls into, in a time zone."""
    if calendar is None or calendar == "lifetime":
        return None
    zone = _zone(timezone)
    read: Callable[[datetime], Any] = _UNITS[calendar]
    return lambda time: read(datetime.fromtimestamp(time // 1000, zone))


_UNITS: dict[str, Callable[[datetime], Any]] = {
    "day": lambda at: at.date(),
    "week": lambda at: at.isocalendar()[:2],
    "month": lambda at: (at.year, at.month),
    "year": lambda at: at.year,
}
