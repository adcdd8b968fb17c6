"""Made-up lives of handoffs: the events that tell of them, and the report that they should give, counted naively from the
lives themselves. Shares no code with what is tested.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

BEGIN_MS = 1_793_500_000_000  # 2026-11-01, within any retention
HOUR_MS = 3_600_000
RULES = ("demo-request", "pricing-visit", "webinar", "seniority", "newsletter")
LIMITS_S = (60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 432000, 864000, 2592000)
STAGES = ("mql", "sal", "sql", "opportunity", "customer")
ENDS = ("recycled", "disqualified", "withdrawn", "cooled")

Json = dict[str, Any]


@dataclass(frozen=True)
class Life:
    """One handoff: when it was opened, and what became of it. ``moves`` are (after the last one, ms; stage)."""

    lead: str
    definition: str
    cycle: int
    opened_ms: int
    rules: tuple[str, ...]
    respond_ms: int | None = None  # after it was opened
    moves: tuple[tuple[int, str], ...] = ()
    breached: bool = False
    end: str | None = None  # withdrawn or cooled
    disqualified: bool = False  # withdrawn because of it


def lives(seed: int, leads: int) -> list[Life]:
    """Handoffs of so many leads; some leads have two, of one or of two definitions."""
    rng = random.Random(seed)
    made = []
    for number in range(leads):
        lead = f"lead-{seed}-{number}@acme.example"
        for definition in rng.choice((("steady",), ("steady",), ("steady", "moody"))):
            for cycle in range(1, rng.choice((1, 1, 1, 2)) + 1):
                made.append(_life(rng, lead, definition, cycle))
    return made


def _life(rng: random.Random, lead: str, definition: str, cycle: int) -> Life:
    opened_ms = BEGIN_MS + (cycle * 40 + rng.randrange(30)) * 24 * HOUR_MS // 8 + rng.randrange(HOUR_MS)
    rules = tuple(rule for rule in RULES if rng.random() < 0.5) or (RULES[0],)
    respond_ms = rng.choice((None, 4 * HOUR_MS))
    wait_ms = rng.choice((20_000, 50 * 60_000, 3 * HOUR_MS, 9 * HOUR_MS, 40 * 24 * HOUR_MS))
    kind = rng.random()
    if kind < 0.15:
        return Life(lead, definition, cycle, opened_ms, rules, respond_ms, breached=respond_ms is not None)
    if kind < 0.3:
        end = rng.choice(("withdrawn", "cooled"))
        return Life(lead, definition, cycle, opened_ms, rules, respond_ms, end=end, disqualified=end == "withdrawn" and rng.random() < 0.5)
    if kind < 0.5:
        moves: tuple[tuple[int, str], ...] = ((wait_ms, rng.choice(("recycled", "disqualified"))),)
    else:
        stages = [stage for stage in STAGES[1 : 1 + rng.randint(1, 4)] if rng.random() < 0.8] or ["sal"]
        moves = tuple((wait_ms + index * HOUR_MS, stage) for index, stage in enumerate(stages))
        if rng.random() < 0.2 and stages[-1] != "customer":
            moves = (*moves, (HOUR_MS, "recycled"))
    return Life(lead, definition, cycle, opened_ms, rules, respond_ms, moves, respond_ms is not None and wait_ms > respond_ms)


def events(life: Life) -> Iterator[Json]:
    """The handoff events of a life, in order, as the core makes them."""
    now_ms = life.opened_ms

    def event(kind: str, time_ms: int, number: int, **more: Any) -> Json:
        name = f"mqlstream.lead.{kind}.v1"
        definition = {"id": life.definition, "version": 1, "digest": "0" * 64}
        data = {"lead_id": life.lead, "definition": definition, "cycle": life.cycle, "as_of": time_ms, **more}
        event_id = f"{kind}-{life.lead}-{life.definition}-{life.cycle}-{number}"
        return {"type": name, "id": event_id, "lead_id": life.lead, "time": time_ms, "data": data}

    lines = [{"rule": rule, "label": rule, "points": 10.0} for rule in (*life.rules, life.rules[0])]
    respond_by = None if life.respond_ms is None else life.opened_ms + life.respond_ms
    yield event("became_mql", now_ms, 0, handoff_id="h", contributions=lines, respond_by=respond_by)
    if life.breached:
        assert respond_by is not None
        yield event("sla_breached", respond_by, 0, handoff_id="h", respond_by=respond_by)
    before = "mql"
    for number, (after_ms, stage) in enumerate(life.moves):
        now_ms += after_ms
        yield event("stage_changed", now_ms, number, **{"from": before, "to": stage, "reason": "sales"})
        before = stage
    if life.end == "withdrawn":
        stage = "disqualified" if life.disqualified else "lead"
        yield event("mql_withdrawn", now_ms + HOUR_MS, 0, handoff_id="h", stage=stage, reason="competitor")
    elif life.end == "cooled":
        yield event("cooled", now_ms + HOUR_MS, 0, handoff_id="h", score={"total": 1.0}, below=50, cooldown_until=now_ms)


def expected(told: Sequence[Life]) -> Json:
    """The report of these lives without bounds of days."""
    definitions = sorted({life.definition for life in told})
    return {
        "since": None,
        "until": None,
        "definitions": [_definition(name, [life for life in told if life.definition == name]) for name in definitions],
    }


def _definition(name: str, told: Sequence[Life]) -> Json:
    decided = [_accepted(life) for life in told if life.moves]
    waits_s = sorted(life.moves[0][0] / 1000 for life in told if life.moves)
    return {
        "definition": name,
        "funnel": {stage: sum(_reached(life, stage) for life in told) for stage in (*STAGES, *ENDS)},
        "days": _days(told),
        "rules": _rules(told, sum(decided) / len(decided) if decided else None),
        "speed_to_lead": {
            "count": len(waits_s),
            "sum_seconds": round(sum(waits_s), 3),
            "mean_seconds": round(sum(waits_s) / len(waits_s), 3) if waits_s else None,
            "p50_seconds": _percentile(waits_s, 50),
            "p90_seconds": _percentile(waits_s, 90),
            "histogram": [{"le_seconds": limit, "count": sum(wait <= limit for wait in waits_s)} for limit in LIMITS_S],
        },
        "sla": {
            "kept": sum(life.respond_ms is not None and bool(life.moves) and not life.breached for life in told),
            "breached": sum(life.breached for life in told),
        },
    }


def _accepted(life: Life) -> bool:
    return bool(life.moves) and life.moves[0][1] in STAGES


def _reached(life: Life, stage: str) -> bool:
    seen = (
        {"mql", *(stage for _, stage in life.moves)}
        | ({life.end} if life.end else set())
        | ({"disqualified"} if life.disqualified else set())
    )
    return any(later in seen for later in STAGES[STAGES.index(stage) :]) if stage in STAGES else stage in seen


def _days(told: Iterable[Life]) -> list[Json]:
    days: dict[str, Counter[str]] = {}

    def entered(time_ms: int, stage: str) -> None:
        days.setdefault(f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d}", Counter())[stage] += 1

    for life in told:
        now_ms = life.opened_ms
        entered(now_ms, "mql")
        for after_ms, stage in life.moves:
            now_ms += after_ms
            entered(now_ms, stage)
        if life.end:
            entered(now_ms + HOUR_MS, life.end)
        if life.disqualified:
            entered(now_ms + HOUR_MS, "disqualified")
    return [{"day": day, **counts} for day, counts in sorted(days.items())]


def _rules(told: Sequence[Life], overall: float | None) -> list[Json]:
    lines = []
    for rule in RULES:
        of_rule = [life for life in told if rule in life.rules]
        answers = [_accepted(life) for life in of_rule if life.moves]
        rate = sum(answers) / len(answers) if answers else None
        lines.append(
            {
                "rule": rule,
                "mqls": len(of_rule),
                "accepted": sum(answers),
                "rejected": len(answers) - sum(answers),
                "customers": sum(_reached(life, "customer") for life in of_rule),
                "acceptance": None if rate is None else round(rate, 4),
                "lift": round(rate / overall, 4) if rate is not None and overall else None,
            }
        )
    return sorted((line for line in lines if line["mqls"]), key=lambda line: (-line["mqls"], line["rule"]))


def _percentile(waits_s: Sequence[float], percent: int) -> int | None:
    """The first limit within which so many percent lie; None beyond the last."""
    if not waits_s:
        return None
    wait = waits_s[-(-len(waits_s) * percent // 100) - 1]
    return next((limit for limit in LIMITS_S if wait <= limit), None)
