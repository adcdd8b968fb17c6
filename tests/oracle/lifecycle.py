"""Stages: what becomes of leads when the sorted history of their events is read once (section 8).

Nothing is late here, so a moment is looked at once, when its event is read. Sales' feedback, business hours and the
timers other than the daily look are not in it.
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

    def apply(self, entry: Entry) -> None:
        """Read the next event in order, and look at the condition."""
        self.met[entry.key] = (self.stage, self.cycle)
        self.applied.append(entry)
        self.recent.add(entry.key)
        self.look(entry.time)

    def look(self, as_of: int) -> None:
        """Disqualification first, then whether the lead is an MQL now."""
        view = View(self.definition, self.applied, as_of, self.met)
        result = score_of(self.definition, self.applied, as_of, self.met)
        if any_holds(view, "disqualify"):
            self.move("disqualified", as_of, result)
        elif self.stage == "disqualified":
            self.move("lead", as_of, result)
            self.recent.clear()
        may_qualify = self.stage == "lead" and is_active(self.definition, as_of) and not any_holds(view, "freeze")
        if may_qualify and qualifies(view, result, self.recent):
            self.move("mql", as_of, result)

    def move(self, stage: str, as_of: int, result: Json) -> None:
        """Enter a stage; nothing happens when the lead is in it."""
        if stage == self.stage:
            return
        is_mql = stage == "mql"
        self.cycle += is_mql
        self.transitions.append(Transition(self.lead, stage, self.stage, self.cycle, as_of, as_of if is_mql else None, result))
        self.stage = stage


def lives(definition: Json, events: Iterable[Json], daily_look: bool = False) -> dict[str, Life]:
    """Every lead after the whole history. The daily look goes on until the latest time in all of it."""
    by_lead = histories(events)
    until = max((entry.time for entries in by_lead.values() for entry in entries), default=0)
    found = {}
    for lead, entries in by_lead.items():
        life = Life(definition, lead)
        for entry, following in zip(entries, [*entries[1:], None], strict=True):
            life.apply(entry)
            if daily_look:
                end = until if following is None else following.time
                for midnight in range((entry.time // DAY_MS + 1) * DAY_MS, end + 1, DAY_MS):
                    life.look(midnight)
        found[lead] = life
    return found


def life(definition: Json, events: Iterable[Json], daily_look: bool = False) -> list[Transition]:
    """All transitions of all leads, by time and lead."""
    found = [each for lead in lives(definition, events, daily_look).values() for each in lead.transitions]
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
