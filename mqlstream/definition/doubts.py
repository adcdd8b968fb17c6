"""Warnings about a sound definition: what it says is allowed, and probably not meant.

Doubts that one test alone raises are in `conditions`; what conditions and scores come to in `logic` and `reach`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from mqlstream.definition import model, reach
from mqlstream.definition.findings import Placed, Report
from mqlstream.definition.logic import Budget, holds_of_nothing, implies, never
from mqlstream.definition.reader import Members, Obj

_STANDARD = frozenset({"engagement", "fit"})


@dataclass(frozen=True, slots=True)
class Doubts:
    """Looks over one definition; ``root`` has the places, entry by entry in the definition's order."""

    definition: model.Definition
    root: Obj
    report: Report
    budget: Budget

    def all(self, lists: Mapping[str, Members], today: date | None, versions: Mapping[str, tuple[int, str]]) -> None:
        self._version(versions)
        if today is not None:
            self._dates(today)
        self._impossible()
        self._cases()
        self._tiers()
        self._same_rules()
        self._conditions("disqualify", self.definition.disqualify)
        self._conditions("freeze", self.definition.freeze)
        self._caps()
        self._unused(lists)
        self._qualify()
        self._accounts()

    def _entries(self, section: str) -> list[Obj]:
        found: list[Obj] = self.root.get(section, [])
        return found

    def _version(self, versions: Mapping[str, tuple[int, str]]) -> None:
        known = versions.get(self.definition.id)
        if known is None or known[1] == self.definition.digest or self.definition.version > known[0]:
            return
        message = f"version: got {self.definition.version}, but version {known[0]} of {self.definition.id} has another content"
        self.report.warn(self.root.value_at("version"), "version-not-risen", message, f"expected at least {known[0] + 1}")

    def _dates(self, today: date) -> None:
        review = self.definition.review_by
        if review is not None and date.fromisoformat(review) < today:
            self.report.warn(
                self.root.value_at("review_by"), "review-passed", f"review_by: {review} has passed", "review it and set the next day"
            )
        active = self.root.get("active")
        until = active.get("until") if active else None
        if until is not None and date.fromisoformat(until) <= today:
            self.report.warn(active.value_at("until"), "not-active", f"until: {until} has passed, nobody is handed off any more")

    def _impossible(self) -> None:
        for section in ("rules", "inactivity", "disqualify", "freeze"):
            for entry in self._entries(section):
                if never(entry.get("where", model.ALWAYS), self.budget):
                    self._never(entry, entry.get("id"))
        for entry in self._entries("fit"):
            for part in (entry, *entry.get("one_of", ())):
                if never(part.get("where", model.ALWAYS), self.budget):
                    self._never(part, entry.get("id"))
        for rule, entry in zip(self.definition.rules, self._entries("rules"), strict=True):
            if rule.count is not None and rule.count.at_least > self.definition.ledger:
                message = f"{rule.id}: at_least is {rule.count.at_least}, and no more than {self.definition.ledger} events of a lead count"
                self.report.warn(entry.at("count"), "never-fires", message)

    def _never(self, entry: Obj, name: str) -> None:
        self.report.warn(entry.at("where"), "never-fires", f"{name}: no value passes all tests of this where")

    def _cases(self) -> None:
        for fit, entry in zip(self.definition.fit, self._entries("fit"), strict=True):
            for number, case in enumerate(fit.cases):
                first = self._first_implied(case.where, [earlier.where for earlier in fit.cases[:number]])
                if first is not None:
                    at = entry.get("one_of")[number].node
                    message = f"{fit.id}: case {number + 1} is never looked at, case {first + 1} holds whenever it does"
                    self.report.warn(at, "shadowed", message, "put the narrower case first")

    def _first_implied(self, where: model.Where, earlier: Sequence[model.Where]) -> int | None:
        return next((number for number, one in enumerate(earlier) if implies(where, one, self.budget)), None)

    def _tiers(self) -> None:
        for rule, entry in zip(self.definition.rules, self._entries("rules"), strict=True):
            for number, tier in enumerate(rule.tiers):
                first = next((at for at, earlier in enumerate(rule.tiers[:number]) if _tier_implies(tier, earlier)), None)
                if first is not None:
                    message = f"{rule.id}: tier {number + 1} is never looked at, tier {first + 1} holds whenever it does"
                    self.report.warn(entry.get("tiers")[number].node, "shadowed", message, "put the higher or shorter tier first")

    def _same_rules(self) -> None:
        seen: dict[object, model.Rule] = {}
        resets: list[model.Rule] = []
        for rule, entry in zip(self.definition.rules, self._entries("rules"), strict=True):
            if rule.set is not None:
                first = next((one for one in resets if set(rule.on) <= set(one.on) and implies(rule.where, one.where, self.budget)), None)
                if first is not None and first.machine == rule.machine:
                    message = f"{rule.id}: its set never happens, {first.id} comes first and matches whenever it does"
                    self.report.warn(entry.at("id"), "shadowed", message, "put the narrower rule first")
                resets.append(rule)
                continue
            looks = (rule.machine, frozenset(rule.on), rule.where, rule.limit, rule.decay, rule.count, bool(rule.tiers), rule.dimension)
            same = seen.setdefault(looks, rule)
            if same is not rule:
                message = f"{rule.id}: awards for the same events as {same.id}, in the same way"
                self.report.warn(entry.at("id"), "shadowed", message, "join them, or tell them apart with where")

    def _conditions(self, section: str, conditions: Sequence[model.Condition]) -> None:
        for number, (condition, entry) in enumerate(zip(conditions, self._entries(section), strict=True)):
            first = self._first_implied(condition.where, [one.where for one in conditions[:number]])
            if first is not None:
                message = f"{condition.id}: changes nothing, {conditions[first].id} holds whenever it does"
                self.report.warn(entry.at("id"), "shadowed", message)
            elif holds_of_nothing(condition.where):
                message = f"{condition.id}: holds of leads of whom nothing is known yet"
                self.report.warn(entry.at("where"), "holds-of-everyone", message, "add a test that needs the attribute, like exists: true")

    def _caps(self) -> None:
        for rule, entry in zip(self.definition.rules, self._entries("rules"), strict=True):
            key = "tiers" if rule.tiers else "points_from" if rule.points_from else "points"
            self._cap(entry.at(key), rule.id, reach.award_of(rule), rule.group, rule.dimension, rule.bounds)
        for fit, entry in zip(self.definition.fit, self._entries("fit"), strict=True):
            self._cap(entry.at("id"), fit.id, reach.most_of_fit(fit), fit.group, fit.dimension, model.Bounds())

    def _cap(self, at: Placed, name: str, award: float, group: str | None, dimension: str, own: model.Bounds) -> None:
        caps = [
            ("its own cap", own),
            (f"the dimension {dimension}", self.definition.dimensions[dimension]),
            ("total", self.definition.total),
        ]
        if group is not None:
            caps.insert(1, (f"the group {group}", self.definition.groups[group].bounds))
        for what, bounds in caps:
            if bounds.cap is not None and award > bounds.cap:
                message = f"{name}: one award of {award:g} is more than {what} lets count, {bounds.cap:g}"
                self.report.warn(at, "cap-below-award", message, "raise the cap or lower the points")
                return

    def _unused(self, lists: Mapping[str, Members]) -> None:
        for name, members in lists.items():
            if not members.used:
                self.report.warn(members.at, "unused", f"the list {name} is used nowhere")
        parts: tuple[model.Rule | model.Fit | model.Inactivity, ...]
        parts = (*self.definition.rules, *self.definition.fit, *self.definition.inactivity)
        groups = {part.group for part in parts}
        for name in self.definition.groups:
            if name not in groups:
                self.report.warn(self.root.get("groups").at(name), "unused", f"the group {name} is used nowhere")
        used = {part.dimension for part in parts} | {name for rule in self.definition.rules for name in rule.set or ()} | _STANDARD
        for name in self.definition.dimensions:
            if name not in used:
                self.report.warn(self.root.get("dimensions").at(name), "unused", f"no points go to the dimension {name}")

    def _qualify(self) -> None:
        qualify, place = self.definition.qualify, self.root.get("qualify")
        if place is None:
            if self.definition.accounts is not None:
                return
            self.report.warn(
                self.root.node,
                "never-qualifies",
                "nothing makes an MQL: there is no qualify",
                "for example qualify: {threshold: {total: 100}}",
            )
            return
        most = reach.highest(self.definition, self.budget)
        threshold = place.get("threshold")
        for score, wanted in qualify.threshold.items():
            if most[score] < wanted:
                message = f"{score}: no lead can reach {wanted:g}, the most is {most[score]:g}"
                self.report.warn(threshold.value_at(score), "unreachable", message)
        if qualify.when is None:
            return
        if threshold is None and not reach.can_hold(qualify.when, most):
            self.report.warn(place.at("when"), "unreachable", "when: no lead can have such scores")
        if reach.holds_of_blank_lead(qualify.when, reach.of_blank_lead(self.definition), self.definition.grades):
            message = "a lead that did nothing and of whom nothing is known qualifies at once"
            self.report.warn(place.at("when" if threshold is None else "threshold"), "everyone-qualifies", message)

    def _accounts(self) -> None:
        accounts, place = self.definition.accounts, self.root.get("accounts")
        if accounts is None:
            return
        most = reach.highest(self.definition, self.budget)
        for holder, key, score, wanted in (
            ("people", "engagement", "engagement", accounts.people_engagement),
            ("threshold", "best", "total", accounts.threshold_best),
        ):
            if wanted is not None and most[score] < wanted:
                message = f"{key}: no lead can reach {wanted:g}, the most is {most[score]:g}"
                self.report.warn(place.get(holder).value_at(key), "unreachable", message)
        if accounts.threshold_sum is not None and most["total"] <= 0 < accounts.threshold_sum:
            message = f"sum: no leads can reach {accounts.threshold_sum:g}, none has more than {most['total']:g}"
            self.report.warn(place.get("threshold").value_at("sum"), "unreachable", message)


def _tier_implies(tier: model.Tier, earlier: model.Tier) -> bool:
    """Whether the earlier tier holds whenever this one does."""
    if earlier.exactly is not None:
        return (tier.exactly, tier.within_ms) == (earlier.exactly, earlier.within_ms)
    matches = tier.at_least if tier.at_least is not None else tier.exactly
    return (matches or 0) >= (earlier.at_least or 0) and tier.within_ms <= earlier.within_ms
