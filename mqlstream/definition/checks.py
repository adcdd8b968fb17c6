"""What several fields mean together: rules of the language that no single field's type can tell.

Works on what `reader` has read, sound or not, so that these findings come together with all others.
"""

from __future__ import annotations

from typing import Any

from mqlstream.definition.conditions import is_lead
from mqlstream.definition.findings import Report, show
from mqlstream.definition.reader import Obj

IDENTIFIED = ("rules", "fit", "inactivity", "disqualify", "freeze")
_IDLE_BESIDE_SET = ("dimension", "group", "floor", "cap", "weight")


def check(root: Obj, report: Report) -> None:
    """Report everything in the definition that does not fit together."""
    _check_ids(root, report)
    _check_active(root, report)
    for section in ("rules", "fit", "inactivity"):
        for entry in root.get(section, ()):
            _check_dimension(entry, root, report)
            _check_points_from(entry, report)
    for rule in root.get("rules", ()):
        _check_rule(rule, report)
    for scale in root.get("grades", Obj(root.node)).values.values():
        _check_scale(scale, report)
    qualify = root.get("qualify")
    if qualify is not None:
        _check_qualify(qualify, report)
    accounts = root.get("accounts")
    if accounts is not None:
        _check_rearm(accounts, "sum", "an account", report)


def entries(root: Obj, section: str) -> list[Obj]:
    """The entries of a section that is a list of mappings."""
    found: list[Obj] = root.get(section, [])
    return found


def _check_ids(root: Obj, report: Report) -> None:
    first: dict[str, Any] = {}
    for section in IDENTIFIED:
        for entry in entries(root, section):
            name = entry.get("id")
            if name is None:
                continue
            at = entry.value_at("id")
            if name in first:
                report.error(
                    at, "duplicate-id", f"the id {show(name)} stands here twice", f"the first is at {first[name].line}:{first[name].column}"
                )
            else:
                first[name] = at


def _check_active(root: Obj, report: Report) -> None:
    active = root.get("active")
    if active is not None and "from" in active.values and "until" in active.values and active.get("from") >= active.get("until"):
        report.error(active.value_at("until"), "bad-value", f"until: got {active.get('until')}, expected a day after {active.get('from')}")


def _check_dimension(entry: Obj, root: Obj, report: Report) -> None:
    group = root.get("groups", Obj(root.node)).get(entry.get("group"))
    if group is None or "dimension" not in entry.values or "dimension" not in group.values:
        return
    if entry.get("dimension") != group.get("dimension"):
        wanted, given = group.get("dimension"), show(entry.get("dimension"))
        message = f"dimension: got {given}, expected {wanted}, the dimension of the group {entry.get('group')}"
        report.error(entry.value_at("dimension"), "conflict", message, "leave it out: the group's is the default")


def _check_points_from(entry: Obj, report: Report) -> None:
    source = entry.get("points_from")
    if source is not None and "min" in source.values and "max" in source.values and source.get("min") > source.get("max"):
        report.error(source.value_at("max"), "bad-value", f"max: got {source.get('max')}, expected at least min, {source.get('min')}")


def _check_rule(rule: Obj, report: Report) -> None:
    for holder, keys in (("limit", ("by",)), ("count", ("by", "distinct")), ("points_from", ("field",))):
        inner = rule.get(holder)
        for key in keys if inner is not None else ():
            path = inner.get(key)
            if path is not None and (is_lead(path) or path.startswith("lead.")):
                report.error(inner.value_at(key), "bad-value", f"{key}: got {show(path)}, expected a field of the event")
    if "set" in rule.values:
        for key in _IDLE_BESIDE_SET:
            if key in rule.node.entries:
                report.warn(rule.at(key), "no-effect", f"{key} has no effect beside set")


def _check_scale(scale: Obj, report: Report) -> None:
    seen: dict[float | None, str] = {}
    for grade, lowest in scale.values.items():
        if lowest in seen:
            what = "null" if lowest is None else show(lowest)
            report.error(scale.value_at(grade), "conflict", f"{grade}: got {what}, which {seen[lowest]} has already")
        seen.setdefault(lowest, grade)


def _check_qualify(qualify: Obj, report: Report) -> None:
    seen: set[str] = set()
    for rule in qualify.get("fast_track", ()):
        if rule in seen:
            report.warn(qualify.at("fast_track"), "no-effect", f"fast_track names {rule} twice")
        seen.add(rule)
    _check_rearm(qualify, "total", "a lead", report)


def _check_rearm(holder: Obj, score: str, who: str, report: Report) -> None:
    rearm, threshold = holder.get("rearm"), holder.get("threshold")
    if rearm is None or threshold is None or "below" not in rearm.values or score not in threshold.values:
        return
    if rearm.get("below") > threshold.get(score):
        message = f"below: got {show(rearm.get('below'))}, which is above the threshold {show(threshold.get(score))}"
        report.warn(rearm.value_at("below"), "rearm-above-threshold", message, f"{who} would cool down as soon as it qualifies")
