"""Gaps between activities, and the points they cost. A gap ends with the lead's next activity, or is still open.

What a plan's inactivity entries look at: `InactivityPlan`; the activities of one lead as one entry sees them: `Gaps`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mqlstream.core.event import DAY_MS
from mqlstream.core.state import Entry


@dataclass(frozen=True, slots=True)
class InactivityPlan:
    """One entry of `inactivity`. ``ends_gap`` holds, by kind index, the test of an activity's values; absent kinds end none.

    ``unless`` takes attributes with ``age`` as it was at the moment; ``by_age``: whether it reads that.
    """

    key: str  # names the entry in the lead's state
    id: str
    label: str
    node: int
    dimension: int
    after_ms: int
    every_ms: int | None
    points: float
    ends_gap: Mapping[int, Callable[[Any], bool]]
    unless: Callable[[Mapping[str, Any]], bool] | None
    by_age: bool


class Gaps:
    """The times of one lead's activities as one entry sees them, in order, and the gaps among them that cost points."""

    __slots__ = ("_long", "_times", "plan")

    def __init__(self, plan: InactivityPlan) -> None:
        self.plan = plan
        self._times: deque[int] = deque()
        self._long: deque[tuple[int, int]] = deque()

    def add(self, time: int) -> None:
        """The next activity in order."""
        if self._times and time - self._times[-1] >= self.plan.after_ms:
            self._long.append((self._times[-1], time))
        self._times.append(time)

    def drop_first(self) -> None:
        """The oldest activity counts no more."""
        first = self._times.popleft()
        if self._long and self._long[0][0] == first:
            self._long.popleft()

    def points(
        self, first_seen: int, newest: int, as_of: int, horizon_days: int, after: int, attributes: Mapping[str, Any]
    ) -> float | None:
        """All that the gaps cost by ``as_of``, None when none does.

        ``newest`` is the time of the newest activity, which never ages out, or less than 0. What fell due up to ``after`` (a
        `set` of the dimension) counts no more.
        """
        plan = self.plan
        if plan.unless is not None and not plan.by_age and plan.unless(attributes):
            return None
        due = 0
        for start, end in self._gaps(first_seen, newest, as_of, horizon_days):
            for moment in _moments(start, end, plan.after_ms, plan.every_ms):
                if moment > after and not (
                    plan.by_age and plan.unless is not None and plan.unless({**attributes, "age": moment - first_seen})
                ):
                    due += 1
        return plan.points * due if due else None

    def next_due(self, first_seen: int, newest: int, after: int) -> int:
        """When the open gap next costs points, after a moment; far away when it never does again."""
        start = max(self._times[-1] if self._times else -1, newest)
        first = (start if start >= 0 else first_seen) + self.plan.after_ms
        if after < first:
            return first
        if self.plan.every_ms is None:
            return 2**62
        return first + ((after - first) // self.plan.every_ms + 1) * self.plan.every_ms

    def _gaps(self, first_seen: int, newest: int, as_of: int, horizon_days: int) -> Iterator[tuple[int, int]]:
        times = self._times
        if times:
            if as_of // DAY_MS - first_seen // DAY_MS < horizon_days:
                yield first_seen, times[0]
            yield from self._long
        last = times[-1] if times else -1
        if newest > last:
            if last >= 0:
                yield last, newest
            elif as_of // DAY_MS - first_seen // DAY_MS < horizon_days:
                yield first_seen, newest
            last = newest
        yield (last if last >= 0 else first_seen), as_of


def _moments(start: int, end: int, after_ms: int, every_ms: int | None) -> range:
    """When points fall due in the gap from ``start`` to ``end``: once it is ``after_ms`` long, then every ``every_ms``."""
    first = start + after_ms
    if first > end:
        return range(0)
    return range(first, end + 1, every_ms) if every_ms else range(first, first + 1)


def ends_gap(entry_plan: InactivityPlan, entry: Entry) -> bool:
    """Whether an event is an activity as an inactivity entry sees it."""
    test = None if entry.flags else entry_plan.ends_gap.get(entry.kind)
    return test is not None and test(entry.values)
