"""Two definitions over the same events: who becomes, stops being, or changes the day of MQL, and the sums of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from mqlstream.backtest.answers import Answers
from mqlstream.backtest.reasons import Reason, reasons
from mqlstream.backtest.side import Mql, Side
from mqlstream.config import Settings
from mqlstream.core.event import Event
from mqlstream.core.outputs import Output
from mqlstream.definition.model import Definition

BECOMES = "becomes"
STOPS = "stops"
MOVES = "moves"
STAYS = "stays"
CHANGES = (BECOMES, STOPS, MOVES, STAYS)

Row = dict[str, Any]


class Backtest:
    """Replays events under ``new`` and, if there is one, ``old``; days are those of the new definition's time zone."""

    def __init__(self, new: Definition, old: Definition | None, settings: Settings) -> None:
        self.new = Side(new, settings)
        self.old = Side(old, settings) if old is not None else None
        self.zone = ZoneInfo(new.timezone)
        self.answers = Answers(None if old is None else {new.id, old.id})
        self._reasons: dict[str, list[Reason]] = {}

    def apply(self, event: Event) -> None:
        """Apply the next event in order to both."""
        if event.kind == "feedback":
            event = self.answers.hear(event)
        self.advance(event.time)
        self._take(self.new.replay.apply(event), self.old.replay.apply(event) if self.old is not None else [])

    def advance(self, clock_ms: int) -> None:
        """Let the timers of both fire that are due by then."""
        self._take(self.new.replay.advance(clock_ms), self.old.replay.advance(clock_ms) if self.old is not None else [])

    def finish(self) -> None:
        """All events were applied: timers fire up to the latest."""
        self.advance(self.new.replay.latest)

    def _take(self, new_outputs: list[Output], old_outputs: list[Output]) -> None:
        if not new_outputs and not old_outputs:
            return
        new_first, erased = self.new.note(new_outputs)
        if self.old is None:
            for output in new_first:
                self._reasons[output["lead_id"]] = reasons(output["data"], None, {}, new_qualifies=True)
        else:
            old_first, more = self.old.note(old_outputs)
            erased += more
            self._set_apart(new_first, self.old, new_qualifies=True)
            self._set_apart(old_first, self.new, new_qualifies=False)
        for lead_id in erased:
            self.answers.forget(lead_id)
            self._reasons.pop(lead_id, None)

    def _set_apart(self, first: list[Output], other: Side, *, new_qualifies: bool) -> None:
        """Keep why these leads are MQLs under one definition, where they are none under the ``other`` yet."""
        for output in first:
            lead_id = output["lead_id"]
            if lead_id not in other.mqls:
                threshold = other.replay.program.plans[0].threshold
                standing = other.standing(lead_id, output["time"])
                self._reasons[lead_id] = reasons(output["data"], standing, dict(threshold), new_qualifies=new_qualifies)

    def rows(self) -> list[Row]:
        """One row for each lead that is an MQL under either: by change, then by lead id."""
        old_mqls = self.old.mqls if self.old is not None else {}
        found = [self._row(lead_id, old_mqls.get(lead_id), self.new.mqls.get(lead_id)) for lead_id in {*old_mqls, *self.new.mqls}]
        return sorted(found, key=lambda row: (CHANGES.index(row["change"]), row["lead_id"]))

    def _row(self, lead_id: str, old: list[Mql] | None, new: list[Mql] | None) -> Row:
        days = None if old is None or new is None else (self.day(new[0].qualified_at) - self.day(old[0].qualified_at)).days
        if old is None or new is None:
            change = BECOMES if old is None else STOPS
        else:
            change = MOVES if days else STAYS
        return {
            "lead_id": lead_id,
            "change": change,
            "old": _told(old),
            "new": _told(new),
            "days": days,
            "reasons": [] if change == STAYS else self._reasons.get(lead_id, []),
        }

    def day(self, time_ms: int) -> date:
        """The day on which a moment lies."""
        return datetime.fromtimestamp(time_ms / 1000, self.zone).date()

    def summary(self, rows: list[Row]) -> dict[str, Any]:
        """How many leads change how, days moved (later is positive), and the MQLs of each ISO week, every cycle counted."""
        counts = Counter(row["change"] for row in rows)
        moved = [row["days"] for row in rows if row["change"] == MOVES]
        return {
            **{change: counts[change] for change in CHANGES},
            "median_days_moved": median(moved) if moved else None,
            "mqls": {"old": _count(self.old), "new": _count(self.new)},
            "weeks": list(self._weeks()),
        }

    def _weeks(self) -> Iterator[dict[str, Any]]:
        new, old = self._by_monday(self.new), self._by_monday(self.old)
        mondays = {*new, *old}
        monday, last = min(mondays, default=date.max), max(mondays, default=date.min)
        while monday <= last:
            year, week, _ = monday.isocalendar()
            yield {"week": f"{year}-W{week:02}", "monday": monday.isoformat(), "old": old[monday] if self.old else None, "new": new[monday]}
            monday += timedelta(days=7)

    def _by_monday(self, side: Side | None) -> Counter[date]:
        counts: Counter[date] = Counter()
        for mqls in side.mqls.values() if side is not None else ():
            for mql in mqls:
                day = self.day(mql.qualified_at)
                counts[day - timedelta(days=day.weekday())] += 1
        return counts

    def feedback(self) -> dict[str, Any] | None:
        """Precision and recall of both, and their rules side by side; None when sales answered nothing."""
        if not self.answers:
            return None
        new, new_rules = self.answers.figures(self.new.mqls)
        old, old_rules = self.answers.figures(self.old.mqls) if self.old is not None else (None, [])
        lines = {"old": _by_rule(old_rules), "new": _by_rule(new_rules)}
        rules = dict.fromkeys(line["rule"] for line in (*new_rules, *old_rules))
        return {"old": old, "new": new, "rules": [{"rule": rule, **{side: lines[side].get(rule) for side in lines}} for rule in rules]}


def _told(mqls: list[Mql] | None) -> dict[str, Any] | None:
    """The first of a lead's MQLs, and when it became one again."""
    if mqls is None:
        return None
    first = mqls[0]
    return {
        "qualified_at": first.qualified_at,
        "score": dict(first.score),
        "grade": first.grade,
        "qualified_again_at": [mql.qualified_at for mql in mqls[1:]],
    }


def _count(side: Side | None) -> int | None:
    return None if side is None else sum(map(len, side.mqls.values()))


def _by_rule(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["rule"]: {name: value for name, value in line.items() if name != "rule"} for line in lines}


def head(definition: Definition | None) -> dict[str, Any] | None:
    """A definition as the result names it."""
    return None if definition is None else {"id": definition.id, "version": definition.version, "digest": definition.digest}
