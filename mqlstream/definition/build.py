"""Turns what was read and found sound into the frozen records of `model`. Fills in defaults; checks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.core.event import KINDS
from mqlstream.definition import model
from mqlstream.definition.reader import Obj
from mqlstream.definition.types import DAY_MS
from mqlstream.definition.zones import midnight_ms


def build(root: Obj, digest: str) -> model.Definition:
    """The definition; ``root`` has no errors."""
    zone = root.get("timezone", "UTC")
    bounds, active = root.get("bounds", Obj(root.node)), root.get("active", Obj(root.node))
    dimensions: Mapping[str, Obj] = root.get("dimensions", Obj(root.node)).values
    groups = {name: model.Group(group.get("dimension"), _bounds(group)) for name, group in _map(root, "groups")}
    return model.Definition(
        id=root.get("definition"),
        version=root.get("version"),
        digest=digest,
        description=root.get("description", ""),
        owners=tuple(root.get("owners", ())),
        review_by=root.get("review_by"),
        timezone=zone,
        horizon_days=root.get("horizon", 400 * DAY_MS) // DAY_MS,
        per_day=bounds.get("per_day", 100),
        ledger=bounds.get("ledger", 1000),
        mode=root.get("mode", "live"),
        active_from_ms=midnight_ms(active.get("from"), zone) if active.get("from") else None,
        active_until_ms=midnight_ms(active.get("until"), zone) if active.get("until") else None,
        dimensions=_dimensions(dimensions),
        total=_bounds(dimensions["total"]) if "total" in dimensions else model.Bounds(),
        groups=groups,
        rules=tuple(_rule(rule, groups) for rule in root.get("rules", ())),
        fit=tuple(_fit(entry, groups) for entry in root.get("fit", ())),
        inactivity=tuple(_inactivity(entry, groups) for entry in root.get("inactivity", ())),
        grades={name: _scale(scale) for name, scale in _map(root, "grades")},
        disqualify=_conditions(root, "disqualify"),
        freeze=_conditions(root, "freeze"),
        qualify=_qualify(root.get("qualify")),
        sla=_sla(root.get("sla")),
        on_activate=root.get("on_activate", Obj(root.node)).get("handoff", "none"),
        accounts=_accounts(root.get("accounts")),
        tests=tuple(_case(case) for case in root.get("tests", ())),
    )


def _map(root: Obj, key: str) -> list[tuple[str, Obj]]:
    return list(root.get(key, Obj(root.node)).values.items())


def _bounds(obj: Obj) -> model.Bounds:
    return model.Bounds(obj.get("floor"), obj.get("cap"))


def _dimensions(given: Mapping[str, Obj]) -> dict[str, model.Bounds]:
    listed = {name: _bounds(one) for name, one in given.items() if name != "total"}
    for name in ("engagement", "fit"):
        listed.setdefault(name, model.Bounds())
    return listed


def _dimension(entry: Obj, groups: Mapping[str, model.Group], default: str) -> str:
    group = groups.get(entry.get("group"))
    dimension: str = entry.get("dimension") or (group.dimension if group else default)
    return dimension


def _rule(rule: Obj, groups: Mapping[str, model.Group]) -> model.Rule:
    limit, decay, count, reset = rule.get("limit"), rule.get("decay"), rule.get("count"), rule.get("set")
    return model.Rule(
        id=rule.get("id"),
        on=tuple(dict.fromkeys(rule.get("on"))),
        label=rule.get("label", rule.get("id")),
        dimension=_dimension(rule, groups, "engagement"),
        where=rule.get("where", model.ALWAYS),
        points=rule.get("points"),
        points_from=_points_from(rule.get("points_from")),
        tiers=tuple(_tier(tier) for tier in rule.get("tiers", ())),
        weight=rule.get("weight", 1.0),
        set=dict(reset.values) if reset else None,
        group=rule.get("group"),
        limit=_limit(limit) if limit else None,
        decay=model.Decay(*next(iter(decay.values.items()))) if decay else None,
        count=model.Count(count.get("at_least"), count.get("within"), count.get("by"), count.get("distinct")) if count else None,
        bounds=_bounds(rule),
        intent=rule.get("intent"),
        machine=rule.get("machine", False),
    )


def _limit(limit: Obj) -> model.Limit:
    per = limit.get("per")
    if isinstance(per, str):
        return model.Limit(limit.get("count"), calendar=per, by=limit.get("by"))
    return model.Limit(limit.get("count"), per_ms=per, by=limit.get("by"))


def _points_from(source: Obj | None) -> model.PointsFrom | None:
    return model.PointsFrom(source.get("field"), source.get("min"), source.get("max")) if source else None


def _tier(tier: Obj) -> model.Tier:
    count = tier.get("count")
    return model.Tier(tier.get("points"), tier.get("within"), count.get("at_least"), count.get("exactly"))


def _fit(entry: Obj, groups: Mapping[str, model.Group]) -> model.Fit:
    where = entry.get("where", model.ALWAYS)
    if "one_of" in entry.values:
        cases = tuple(model.FitCase(case.get("where", model.ALWAYS), case.get("points")) for case in entry.get("one_of"))
    else:
        cases = (model.FitCase(where, entry.get("points")),) if "points" in entry.values else ()
    return model.Fit(
        id=entry.get("id"),
        label=entry.get("label", entry.get("id")),
        cases=cases,
        dimension=_dimension(entry, groups, "fit"),
        group=entry.get("group"),
        weight=entry.get("weight", 1.0),
        points_from=_points_from(entry.get("points_from")),
        where=where if "points_from" in entry.values else model.ALWAYS,
        intent=entry.get("intent"),
    )


def _inactivity(entry: Obj, groups: Mapping[str, model.Group]) -> model.Inactivity:
    return model.Inactivity(
        id=entry.get("id"),
        label=entry.get("label", entry.get("id")),
        after_ms=entry.get("after"),
        points=entry.get("points"),
        every_ms=entry.get("every"),
        dimension=_dimension(entry, groups, "engagement"),
        group=entry.get("group"),
        on=tuple(dict.fromkeys(entry.get("on", ()))),
        where=entry.get("where", model.ALWAYS),
        unless=entry.get("unless"),
    )


def _scale(scale: Obj) -> tuple[tuple[str, float | None], ...]:
    """Highest first; null, all the rest, last."""
    return tuple(sorted(scale.values.items(), key=lambda one: (one[1] is None, -(one[1] or 0))))


def _conditions(root: Obj, section: str) -> tuple[model.Condition, ...]:
    return tuple(model.Condition(entry.get("id"), entry.get("where")) for entry in root.get(section, ()))


def _qualify(qualify: Obj | None) -> model.Qualify:
    if qualify is None:
        return model.Qualify()
    threshold: dict[str, float] = dict(qualify.get("threshold", Obj(qualify.node)).values)
    when: model.When | None = qualify.get("when")
    if threshold:
        when = model.WhenAll(tuple(model.ScoreIs(score, "gte", value) for score, value in threshold.items()))
    recycle = qualify.get("recycle")
    return model.Qualify(
        threshold=threshold,
        when=when,
        fast_track=tuple(dict.fromkeys(qualify.get("fast_track", ()))),
        rearm=_rearm(qualify.get("rearm")),
        recycle=model.Recycle(dict(recycle.get("set", Obj(recycle.node)).values), recycle.get("cooldown", 0)) if recycle else None,
    )


def _rearm(rearm: Obj | None) -> model.Rearm | None:
    return model.Rearm(rearm.get("below"), rearm.get("cooldown", 0)) if rearm else None


def _sla(sla: Obj | None) -> model.Sla | None:
    return model.Sla(sla.get("accept_within"), sla.get("hours", ()), tuple(sla.get("holidays", ()))) if sla else None


def _accounts(accounts: Obj | None) -> model.Accounts | None:
    if accounts is None:
        return None
    people, threshold = accounts.get("people", Obj(accounts.node)), accounts.get("threshold", Obj(accounts.node))
    return model.Accounts(
        people_at_least=people.get("at_least"),
        people_engagement=people.get("engagement"),
        threshold_sum=threshold.get("sum"),
        threshold_best=threshold.get("best"),
        rearm=_rearm(accounts.get("rearm")),
    )


def _case(case: Obj) -> model.Case:
    start: int = case.get("start")
    events = tuple(_event(event, start, number) for number, event in enumerate(case.get("events", ()), 1))
    return model.Case(
        name=case.get("name"),
        start_ms=start,
        lead=dict(case.get("lead", Obj(case.node)).values),
        events=events,
        expect=tuple(_expectation(one, start) for one in case.get("expect")),
        line=case.node.line,
    )


def _event(event: Obj, start_ms: int, number: int) -> tuple[int, dict[str, Any]]:
    """The canonical input object; the lead's id is left to whoever runs the case. Events of one moment keep the file's order."""
    kind = next(kind for kind in KINDS if kind in event.values)
    time = start_ms + event.get("at")
    return time, {"id": f"event-{number:05}", "source": "test", **event.get(kind).values, "kind": kind, "time": time}


def _expectation(one: Obj, start_ms: int) -> tuple[int, dict[str, Any]]:
    wanted = {name: value for name, value in one.values.items() if name != "at"}
    if "contributions" in wanted:
        wanted["contributions"] = dict(wanted["contributions"].values)
    return start_ms + one.get("at"), wanted
