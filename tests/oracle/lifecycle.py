"""Stages: what becomes of leads when the sorted history of their events is read once (section 8).

Nothing is late here, so a moment is looked at once, when its event is read. Besides there are the daily look at leads
whose score can rise by time alone, and the look when a definition's days begin. Sales' feedback, `rearm`, `recycle` and
`sla` are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.conditions import holds, lookup
from tests.oracle.counting import DAY_MS, View, awarded, counted, matches
from tests.oracle.events import Entry, Json, Key, histories
from tests.oracle.oracle import score_of
from tests.oracle.scoring import TOLERANCE

COMPARISONS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True)
class Transition:
    """A lead's change of stage. `qualified_at` is None but for `mql`; `score` is the one at `as_of`."""

    lead: str
    stage: str
    was: str
    cycle: int
    as_of: int
    qualified_at: int | None
    score: Json


@dataclass
class Life:
    """One lead on its way: what was applied, the stages met, and the events applied since the stage last became `lead`."""

    definition: Json
    lead: str
    stage: str = "lead"
    cycle: int = 0
    applied: list[Entry] = field(default_factory=list)
    met: dict[Key, tuple[str, int]] = field(default_factory=dict)
    recent: set[Key] = field(default_factory=set)
    transitions: list[Transition] = field(default_factory=list)
    unsaid: bool = False  # the language does not say whether the lead was looked at when it moved

    def apply(self, entry: Entry) -> None:
        """Read the next event in order, and look at the condition."""
        self.met[entry.key] = (self.stage, self.cycle)
        self.applied.append(entry)
        self.recent.add(entry.key)
        self.look(entry.time)

    def look_without_event(self, as_of: int) -> None:
        """Look at a lead to which only time has happened."""
        before = len(self.transitions)
        self.look(as_of)
        if len(self.transitions) > before and not lifted_by_rules(self.definition, self.applied, as_of):
            self.unsaid = True

    def look(self, as_of: int) -> None:
        """Disqualification first, then whether the lead is an MQL now."""
        if self.stage == "mql" and not self.definition.get("disqualify"):
            return  # sales' answers are not told here
        view = View(self.definition, self.applied, as_of, self.met)
        if any_holds(view, "disqualify"):
            self.move("disqualified", as_of)
        elif self.stage == "disqualified":
            self.move("lead", as_of)
            self.recent.clear()
        may_qualify = self.stage == "lead" and is_active(self.definition, as_of) and not any_holds(view, "freeze")
        if may_qualify and qualifies(view, score_of(self.definition, self.applied, as_of, self.met), self.recent):
            self.move("mql", as_of)

    def move(self, stage: str, as_of: int) -> None:
        """Enter a stage; nothing happens when the lead is in it."""
        if stage == self.stage:
            return
        is_mql = stage == "mql"
        result = score_of(self.definition, self.applied, as_of, self.met)
        self.cycle += is_mql
        self.transitions.append(Transition(self.lead, stage, self.stage, self.cycle, as_of, as_of if is_mql else None, result))
        self.stage = stage


def lives(definition: Json, events: Iterable[Json], until: int | None = None) -> dict[str, Life]:
    """Every lead after all events and looks up to a time (default: the latest in all of the history)."""
    known = [entry for entries in histories(events).values() for entry in entries if until is None or entry.time <= until]
    by_lead = {entry.lead: [each for each in known if each.lead == entry.lead] for entry in known}
    latest = max((entry.time for entry in known), default=0)
    found = {}
    for lead, entries in by_lead.items():
        life = Life(definition, lead)
        for entry, following in zip(entries, [*entries[1:], None], strict=True):
            life.apply(entry)
            end = following.time if following is not None else latest if until is None else until
            for moment in looks(definition, entry.time, end):
                life.look_without_event(moment)
        found[lead] = life
    return found


def looks(definition: Json, after: int, end: int) -> list[int]:
    """The times in ``after < time <= end`` at which leads are looked at without an event."""
    moments = range((after // DAY_MS + 1) * DAY_MS, end + 1, DAY_MS) if can_rise(definition) else range(0)
    first_day = definition.get("active", {}).get("from")
    opening = [midnight_ms(first_day, ZoneInfo(definition.get("timezone", "UTC")))] if first_day else []
    return sorted([*moments, *(moment for moment in opening if after < moment <= end)])


def can_rise(definition: Json) -> bool:
    """Whether a score can rise by time alone: negative points that decay, tiers, ages, inactivity that brings points."""
    if any("tiers" in rule or ("decay" in rule and may_be_negative(rule)) for rule in definition.get("rules", [])):
        return True
    about_age = "age'" in repr([definition.get(part) for part in ("rules", "fit", "disqualify", "freeze", "qualify")])
    return about_age or any(entry["points"] > 0 for entry in definition.get("inactivity", []))


def lifted_by_rules(definition: Json, applied: list[Entry], as_of: int) -> bool:
    """Whether what changed since the last event is due to a rise by time alone, or to the definition's days, and to nothing else.

    The daily look is promised to leads whose score rises so; of the horizon and of conditions that hold because a score fell,
    nothing is said.
    """
    then, now = View(definition, applied, applied[-1].time), View(definition, applied, as_of)
    if counted(then) != counted(now):
        return False
    when = repr(definition.get("qualify", {}).get("when", ""))
    return not any(f"'{word}'" in when for word in ("not", "lt", "lte", "cell"))


def may_be_negative(rule: Json) -> bool:
    """Whether a rule can award less than nothing."""
    if "points_from" in rule:
        return bool(rule["points_from"].get("min", -1) < 0)
    return bool(rule["points"] < 0)


def life(definition: Json, events: Iterable[Json]) -> list[Transition]:
    """All transitions of all leads, by time and lead."""
    found = [each for lead in lives(definition, events).values() for each in lead.transitions]
    return sorted(found, key=lambda each: (each.as_of, each.lead))


def any_holds(view: View, part: str) -> bool:
    """Whether any entry of `disqualify` or `freeze` holds."""
    return any(lead_holds(view, entry["where"]) for entry in view.definition.get(part, []))


def lead_holds(view: View, where: Json) -> bool:
    """Whether a condition on the lead's attributes holds at `as_of`."""
    return holds(where, lambda path: lookup(view.attributes, path), view.lists)


def is_active(definition: Json, as_of: int) -> bool:
    """Whether `as_of` is within the definition's days and it hands off at all."""
    if definition.get("mode", "live") == "shadow":
        return False
    window, zone = definition.get("active", {}), ZoneInfo(definition.get("timezone", "UTC"))
    start, end = (midnight_ms(window[name], zone) if name in window else None for name in ("from", "until"))
    return (start is None or start <= as_of) and (end is None or as_of < end)


def midnight_ms(day: str, zone: ZoneInfo) -> int:
    """The time at which a day begins in a zone."""
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), zone).timestamp() * 1000)


def qualifies(view: View, result: Json, recent: set[Key]) -> bool:
    """Whether the lead qualifies: by its scores, by the general condition or by a rule of the fast track."""
    qualify = view.definition.get("qualify", {})
    score = result["score"]
    if any(fast_tracked(view, rule, recent) for rule in qualify.get("fast_track", [])):
        return True
    if "when" in qualify:
        return when_holds(view, qualify["when"], result, recent)
    threshold = qualify.get("threshold", {})
    return bool(threshold) and all(compare_score(score[name], "gte", bound) for name, bound in threshold.items())


def compare_score(score: float, test: str, bound: float) -> bool:
    """A comparison of a score, which allows 1e-9."""
    above = score >= bound - TOLERANCE
    below = score <= bound + TOLERANCE
    return {"gte": above, "lte": below, "gt": not below, "lt": not above}[test]


def fast_tracked(view: View, rule_id: str, recent: set[Key]) -> bool:
    """Whether a rule was awarded by one of the recent events."""
    rule = next(rule for rule in view.definition["rules"] if rule["id"] == rule_id)
    taken = awarded(view, rule, matches(view, rule, counted(view)))
    return any(entry.key in recent for entry in taken)


def when_holds(view: View, when: Json, result: Json, recent: set[Key]) -> bool:
    """Whether the general condition holds; of several entries in one mapping, all must."""
    clauses = {key: value for key, value in when.items() if key not in COMPARISONS}
    return all(_clause_holds(view, key, value, when, result, recent) for key, value in clauses.items())


def _clause_holds(view: View, key: str, value: Any, when: Json, result: Json, recent: set[Key]) -> bool:
    match key:
        case "all":
            return all(when_holds(view, part, result, recent) for part in value)
        case "any":
            return any(when_holds(view, part, result, recent) for part in value)
        case "not":
            return not when_holds(view, value, result, recent)
        case "where":
            return lead_holds(view, value)
        case "cell":
            return all(result["grade"] in cells if test == "in" else result["grade"] not in cells for test, cells in value.items())
        case "rule":
            return fast_tracked(view, value, recent)
        case _:
            tests = {test: when[test] for test in COMPARISONS if test in when}
            return all(compare_score(result["score"][value], test, bound) for test, bound in tests.items())
