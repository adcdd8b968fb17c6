"""From counts to the answer: what `/v1/insights` returns. Nothing here counts or asks anybody.

A worker's own part of the counts travels as JSON between workers: `part_of` writes it, `merged` adds such parts up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from mqlstream.app.insights.counting import SPEED_LIMITS_S, Counts
from mqlstream.errors import UsageError
from mqlstream.handoff.outcomes import EXITS, FUNNEL, named, rule_lines

_EPOCH = date(1970, 1, 1)


class Window:
    """A half-open interval of days, in UTC, and the definition asked for; None: no bound, all definitions."""

    def __init__(self, definition: str | None = None, since: str | None = None, until: str | None = None) -> None:
        self.definition = definition
        self.since = _day(since, "since")
        self.until = _day(until, "until")

    def __contains__(self, day: int) -> bool:
        return (self.since is None or day >= self.since) and (self.until is None or day < self.until)


def part_of(days: Mapping[str, Counts]) -> dict[str, Any]:
    """Counts as JSON: {definition: {day: {key: number}}}."""
    return {definition: {str(day): dict(cell) for day, cell in counts.items()} for definition, counts in days.items()}


def merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """The sum of parts."""
    total: dict[str, Counts] = {}
    for part in parts:
        for definition, days in part.items():
            for day, cell in days.items():
                total.setdefault(definition, {}).setdefault(int(day), Counter()).update(cell)
    return total


def report(days: Mapping[str, Counts], window: Window) -> dict[str, Any]:
    """The answer: {"since", "until", "definitions": [...]}, one entry for each definition asked for that has counts."""
    wanted = sorted(definition for definition in days if window.definition in (None, definition))
    definitions = [_definition(definition, {day: cell for day, cell in days[definition].items() if day in window}) for definition in wanted]
    return {"since": _text(window.since), "until": _text(window.until), "definitions": definitions}


def _definition(definition: str, days: Counts) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for cell in days.values():
        total.update(cell)
    stages = named(total, "reached")
    return {
        "definition": definition,
        "funnel": {stage: stages[stage] for stage in (*FUNNEL, *EXITS)},
        "days": [{"day": _text(day), **dict(sorted(named(days[day], "entered").items()))} for day in sorted(days) if _entered(days[day])],
        "rules": rule_lines(total),
        "speed_to_lead": speed(total),
        "sla": {name: total[f"sla:{name}"] for name in ("kept", "breached")},
    }


def speed(total: Mapping[str, int]) -> dict[str, Any]:
    """From handoff to sales' first move. The percentiles are the limits of the histogram within which so many answers came."""
    count = total.get("speed.count", 0)
    within, histogram = 0, []
    for limit in SPEED_LIMITS_S:
        within += total.get(f"speed.le:{limit}", 0)
        histogram.append({"le_seconds": limit, "count": within})
    return {
        "count": count,
        "sum_seconds": round(total.get("speed.sum_ms", 0) / 1000, 3),
        "mean_seconds": round(total.get("speed.sum_ms", 0) / count / 1000, 3) if count else None,
        "p50_seconds": _percentile(histogram, count, 50),
        "p90_seconds": _percentile(histogram, count, 90),
        "histogram": histogram,
    }


def _percentile(histogram: list[dict[str, int]], count: int, percent: int) -> int | None:
    """The smallest limit that so many percent keep; None when there is nothing, or too many are beyond the last."""
    return next((step["le_seconds"] for step in histogram if count and step["count"] * 100 >= count * percent), None)


def _entered(cell: Mapping[str, int]) -> bool:
    return any(key.startswith("entered:") for key in cell)


def _day(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    try:
        return (date.fromisoformat(text) - _EPOCH).days
    except ValueError:
        raise UsageError(f"{name} is {text[:40]!r}, expected a day such as 2026-11-02") from None


def _text(day: int | None) -> str | None:
    return None if day is None else (_EPOCH + timedelta(days=day)).isoformat()
