"""`limit`: which matches of a rule are awarded, in order, and how that changes when the oldest match is gone."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from mqlstream.core.plan import LimitPlan
from mqlstream.core.state import Entry


class Chain:
    """The matches of one rule (of one value of its ``by`` field) and which of them are awarded, both in order.

    A match is awarded unless the last ``count`` awards all lie in its window: within ``per_ms`` before it, or in its unit
    of the calendar.
    """

    __slots__ = ("_awards", "_limit", "_marks", "_matches")

    def __init__(self, limit: LimitPlan) -> None:
        self._limit = limit
        self._matches: list[Entry] = []
        self._awards: list[Entry] = []
        self._marks: list[Any] = []  # of each award: its time, or its unit of the calendar

    def __bool__(self) -> bool:
        return bool(self._matches)

    def add(self, entry: Entry) -> bool:
        """Take the next match in order; whether it is awarded."""
        limit = self._limit
        self._matches.append(entry)
        mark = self._mark(entry)
        if len(self._awards) >= limit.count:
            before = self._marks[-limit.count]
            if mark == before if limit.per_ms is None else mark - limit.per_ms < before:
                return False
        self._awards.append(entry)
        self._marks.append(mark)
        return True

    def drop_first(self) -> tuple[list[Entry], list[Entry]]:
        """The oldest match is gone: (entries no longer awarded, entries awarded now)."""
        oldest = self._matches.pop(0)
        if not self._awards or self._awards[0] is not oldest:
            return [], []
        first = self._marks[0]
        if len(self._awards) == len(self._matches) + 1:  # none was ever turned down
            del self._awards[0], self._marks[0]
            return [oldest], []
        if self._limit.per_ms is None:
            del self._awards[0], self._marks[0]
            return [oldest], self._next_in_unit(first)
        before = self._awards
        self._award_again(self._limit.per_ms)
        kept = {id(entry) for entry in self._awards}
        had = {id(entry) for entry in before}
        return [entry for entry in before if id(entry) not in kept], [entry for entry in self._awards if id(entry) not in had]

    def _mark(self, entry: Entry) -> Any:
        if self._limit.per_ms is not None:
            return entry.time
        return self._limit.unit(entry.time) if self._limit.unit else None

    def _next_in_unit(self, unit: Any) -> list[Entry]:
        """In the unit that lost an award, the first match that had been turned down takes its place."""
        place = self._limit.count - 1
        if len(self._matches) <= place or self._mark(self._matches[place]) != unit:
            return []
        entry = self._matches[place]
        self._awards.insert(place, entry)
        self._marks.insert(place, unit)
        return [entry]

    def _award_again(self, per_ms: int) -> None:
        matches, count = self._matches, self._limit.count
        awards: list[Entry] = []
        place = 0
        while place < len(matches):
            if len(awards) >= count:
                place = bisect_left(matches, awards[-count].time + per_ms, lo=place, key=_time)
                if place == len(matches):
                    break
            awards.append(matches[place])
            place += 1
        self._awards = awards
        self._marks = [entry.time for entry in awards]


def _time(entry: Entry) -> int:
    return entry.time
