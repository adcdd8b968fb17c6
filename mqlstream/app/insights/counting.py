"""From facts to counts: a function of the set of facts, kept up to date by difference.

Every count is a sum over handoffs, so that the counts of several workers, each with its own leads, add up to the whole.
No Faust, no clock here.

Counts stand by definition, by day (UTC, days since 1970) and by key:

    entered:STAGE                         events of that day: a lead entered the stage
    reached:STAGE                         of the handoffs opened that day: how many came that far, by now
    answer:accepted  answer:rejected      sales' first move; what was withdrawn, has cooled or waits is neither
    rule.mqls:RULE                        handoffs to which the rule contributed
    rule.accepted:RULE  rule.rejected:RULE  rule.customers:RULE       and what became of them
    speed.count  speed.sum_ms  speed.le:SECONDS                       from the handoff to sales' first move
    sla:kept  sla:breached
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mqlstream.app.insights.facts import BREACHED, COOLED_DOWN, GONE, MOVED, MQL, WITHDRAWN, Fact
from mqlstream.handoff.outcomes import EXITS, FUNNEL, accepts, outcome_counts

DAY_MS = 86_400_000
# Sales answers within minutes, or within days.
SPEED_LIMITS_S = (60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 432000, 864000, 2592000)

Counts = dict[int, Counter[str]]  # by day


class Book:
    """All facts of some leads, and their counts by definition."""

    def __init__(self) -> None:
        self._facts: dict[str, Fact] = {}
        self._leads: dict[str, dict[tuple[str, int], dict[str, Fact]]] = {}  # lead -> (definition, cycle) -> id -> fact
        self.days: dict[str, Counts] = {}
        self.totals: dict[str, Counter[str]] = {}  # over all days
        self.changes = 0  # grows with every change

    def __len__(self) -> int:
        return len(self._facts)

    def __contains__(self, event_id: str) -> bool:
        return event_id in self._facts

    def add(self, event_id: str, fact: Fact) -> None:
        """Count a fact; one that is there already changes nothing."""
        if event_id in self._facts:
            return
        self._facts[event_id] = fact
        handoff = self._leads.setdefault(fact.lead, {}).setdefault((fact.definition, fact.cycle), {})
        self._count(fact.definition, handoff.values(), -1)
        handoff[event_id] = fact
        self._count(fact.definition, handoff.values(), 1)

    def remove(self, event_id: str) -> None:
        """Forget a fact; one that is not there changes nothing."""
        fact = self._facts.pop(event_id, None)
        if fact is None:
            return
        handoffs = self._leads[fact.lead]
        handoff = handoffs[fact.definition, fact.cycle]
        self._count(fact.definition, handoff.values(), -1)
        del handoff[event_id]
        self._count(fact.definition, handoff.values(), 1)
        if not handoff:
            del handoffs[fact.definition, fact.cycle]
        if not handoffs:
            del self._leads[fact.lead]

    def covered_by(self, gone: Fact) -> list[str]:
        """The ids of what an erased lead leaves behind: its facts up to the erasure, for a later event starts a new lead."""
        assert gone.kind == GONE
        handoffs = self._leads.get(gone.lead, {}).values()
        return [event_id for handoff in handoffs for event_id, fact in handoff.items() if fact.time <= gone.time]

    def clear(self) -> None:
        """Forget everything."""
        self.changes += 1
        self._facts.clear()
        self._leads.clear()
        self.days.clear()
        self.totals.clear()

    def _count(self, definition: str, handoff: Iterable[Fact], sign: int) -> None:
        self.changes += 1
        days = self.days.setdefault(definition, {})
        totals = self.totals.setdefault(definition, Counter())
        for (day, key), number in counts_of(handoff).items():
            cell = days.setdefault(day, Counter())
            for counter in (cell, totals):
                counter[key] += sign * number
                if not counter[key]:
                    del counter[key]
            if not cell:
                del days[day]


def counts_of(handoff: Iterable[Fact]) -> Counter[tuple[int, str]]:
    """What the facts of one lead under one definition in one cycle add, by (day, key); in whatever order they are given."""
    facts = sorted(handoff, key=lambda fact: (fact.time, fact.kind, fact.before, fact.stage))
    counts: Counter[tuple[int, str]] = Counter()
    for fact in facts:
        for stage in _entered(fact):
            counts[fact.time // DAY_MS, f"entered:{stage}"] += 1
    opened = next((fact for fact in facts if fact.kind == MQL), None)
    if opened is not None:
        for key, number in _outcome(opened, facts).items():
            counts[opened.time // DAY_MS, key] += number
    return counts


def _entered(fact: Fact) -> tuple[str, ...]:
    if fact.kind == WITHDRAWN:
        return (WITHDRAWN, fact.stage) if fact.stage == "disqualified" else (WITHDRAWN,)
    if fact.kind == COOLED_DOWN:
        return (COOLED_DOWN,)
    return () if fact.kind == BREACHED else (fact.stage,)


def _outcome(opened: Fact, facts: list[Fact]) -> Counter[str]:
    """What became of a handoff."""
    stages = {stage for fact in facts for stage in _entered(fact)}
    furthest = max((FUNNEL.index(stage) for stage in stages if stage in FUNNEL), default=0)
    counts = Counter(f"reached:{stage}" for stage in (*FUNNEL[: furthest + 1], *(exit_ for exit_ in EXITS if exit_ in stages)))
    # The first move out of `mql` is sales' answer: whatever else ends an open handoff has an event of its own.
    answer = next((fact for fact in facts if fact.kind == MOVED and fact.before == "mql" and fact.stage in (*FUNNEL, *EXITS)), None)
    counts += outcome_counts(opened.rules, None if answer is None else accepts(answer.stage), furthest == len(FUNNEL) - 1)
    if answer is not None:
        counts += _speed(max(0, answer.time - opened.time))
    if any(fact.kind == BREACHED for fact in facts) or (answer and opened.respond_by is not None and answer.time > opened.respond_by):
        counts["sla:breached"] = 1
    elif answer and opened.respond_by is not None:
        counts["sla:kept"] = 1
    return counts


def _speed(waited_ms: int) -> Counter[str]:
    """One answer: its time, and the histogram's first limit that it keeps; one beyond all limits is in the count alone."""
    counts = Counter({"speed.count": 1, "speed.sum_ms": waited_ms})
    limit = next((limit_s for limit_s in SPEED_LIMITS_S if waited_ms <= limit_s * 1000), None)
    if limit is not None:
        counts[f"speed.le:{limit}"] = 1
    return counts
