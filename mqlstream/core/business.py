"""Business time: when a deadline falls due that counts only in business hours. Pure; a calendar is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

_DAYS_MAX = 4000  # without a business day for that long there is no deadline


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """Per weekday (0 is Monday) the open spans in minutes since midnight, half open; empty: always open."""

    zone: tzinfo
    spans: Mapping[int, Sequence[tuple[int, int]]]
    holidays: frozenset[date]

    def after(self, start_ms: int, lasting_ms: int) -> int | None:
        """The moment by which ``lasting_ms`` of business time have passed since ``start_ms``; None: never."""
        if not self.spans and not self.holidays:
            return start_ms + lasting_ms
        left = lasting_ms
        day = datetime.fromtimestamp(start_ms / 1000, self.zone).date()
        for _ in range(_DAYS_MAX):
            for opens, closes in self._open(day):
                begin = max(start_ms, opens)
                if closes > begin:
                    if closes - begin >= left:
                        return begin + left
                    left -= closes - begin
            day += timedelta(days=1)
        return None

    def _open(self, day: date) -> list[tuple[int, int]]:
        """The open spans of a day, in epoch milliseconds."""
        if day in self.holidays:
            return []
        spans = self.spans.get(day.weekday(), ()) if self.spans else ((0, 1440),)
        return [(self._moment(day, begin), self._moment(day, end)) for begin, end in spans]

    def _moment(self, day: date, minute: int) -> int:
        extra, minute = divmod(minute, 1440)
        at = datetime.combine(day + timedelta(days=extra), time(minute // 60, minute % 60), self.zone)
        return int(at.timestamp()) * 1000
