"""Why a lead is an MQL under one definition and, at that moment, not under the other: what differs, the largest first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import fsum
from typing import Any

MOST = 3  # rules told of one lead
_DIGITS = 2

Reason = dict[str, Any]  # {"what": "rule" | "threshold" | "stage", "name", "label", "old", "new"}


def reasons(
    qualifying: Mapping[str, Any], other: Mapping[str, Any] | None, threshold: Mapping[str, float], *, new_qualifies: bool
) -> list[Reason]:
    """At most `MOST` rules, and the thresholds and the stage where they differ in favour of the definition that qualifies.

    ``qualifying`` is the data of a handoff, ``other`` the lead's standing under the other definition at that moment, and
    ``threshold`` the other's; without an ``other`` the rules are those that contributed most.
    """
    mine, labels = _points(qualifying["contributions"])
    theirs, more_labels = _points(other["contributions"]) if other is not None else ({}, {})
    labels = {**more_labels, **labels}

    def told(what: str, name: str, own: Any, others: Any) -> Reason:
        old, new = (others, own) if new_qualifies else (own, others)
        return {"what": what, "name": name, "label": labels.get(name, name) if what == "rule" else name, "old": old, "new": new}

    lead = {rule: round(mine.get(rule, 0.0) - theirs.get(rule, 0.0), _DIGITS) for rule in {*mine, *theirs}}
    ahead = [rule for rule, points in lead.items() if points > 0] if other is not None else list(mine)
    ahead.sort(key=lambda rule: (-lead[rule], rule))
    found = [told("rule", rule, mine.get(rule), theirs.get(rule)) for rule in ahead[:MOST]]
    if other is None:
        return found
    if other["stage"] == "disqualified":
        found.insert(0, told("stage", "disqualified", "mql", "disqualified"))
    own = qualifying["threshold"]
    for name in sorted({*own, *threshold}):
        if own.get(name, float("-inf")) < threshold.get(name, float("-inf")):
            found.append(told("threshold", name, own.get(name), threshold.get(name)))
    if not found:  # the conditions differ in another way: what the lead has is told all the same
        top = sorted(mine, key=lambda rule: (-mine[rule], rule))
        found = [told("rule", rule, mine[rule], theirs.get(rule)) for rule in top[:MOST]]
    return found


def in_words(reason: Reason, *, compared: bool, arrow: str = "->") -> str:
    """A reason as people read it, old and new; ``compared`` is False where there is nothing old."""
    if reason["what"] == "stage":
        return f"{reason['old']} {arrow} {reason['new']}"
    none = "0" if reason["what"] == "rule" else "none"
    old, new = (none if value is None else f"{value:g}" for value in (reason["old"], reason["new"]))
    name = f"threshold of {reason['label']}" if reason["what"] == "threshold" else reason["label"]
    return f"{name} {old} {arrow} {new}" if compared else f"{name} {new}"


def _points(contributions: Iterable[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, str]]:
    """The points of each rule, and its label."""
    lines: defaultdict[str, list[float]] = defaultdict(list)
    labels: dict[str, str] = {}
    for line in contributions:
        lines[line["rule"]].append(line["points"])
        labels[line["rule"]] = str(line["label"])
    return {rule: round(fsum(points), _DIGITS) for rule, points in lines.items()}, labels
