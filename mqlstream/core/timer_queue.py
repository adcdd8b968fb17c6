"""Which lead is due when: the timers of a table, in little memory. What a timer does is `mqlstream.core.timers`'.

A timer is a reference to the lead's id and four bytes of time, in one of many **runs**: short pieces of a long sorted list.
A heap of tuples takes ten times as much, and keeps the places that a timer has moved away from.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from mqlstream.core.state import NEVER

_LONGEST = 1_024  # timers in a run; a longer one is parted
_SHORTEST = 256  # a shorter one is joined to its neighbour
_SLACK = 32  # timers that may have left a run before it gives their memory back
_MOVES = 1_024  # noted before they are sorted in, which takes some milliseconds
_OFFSETS = "i"  # 4 bytes: 24 days to either side of a run's base
_TIMES = "q"  # 8 bytes, for the few runs that span more
_LAST = 2**63  # after any time


class _Run:
    """Timers in order of (due, lead id). ``dues`` count from ``base``, in milliseconds."""

    __slots__ = ("base", "dues", "ids")

    base: int
    dues: array[int]

    def __init__(self, times: list[int], ids: list[str]) -> None:
        self.ids = ids
        self._hold(times)

    def times(self) -> list[int]:
        """When each is due, in epoch milliseconds."""
        base = self.base
        return [base + offset for offset in self.dues]

    def find(self, due: int, lead_id: str) -> tuple[int, bool]:
        """Where a timer stands, or would; and whether it does."""
        dues, offset = self.dues, due - self.base
        place = bisect_left(dues, offset)
        if place == len(dues) or dues[place] != offset:
            return place, False
        after = bisect_right(dues, offset, place)
        place = bisect_left(self.ids, lead_id, place, after)
        return place, place < after and self.ids[place] == lead_id

    def insert(self, place: int, due: int, lead_id: str) -> None:
        try:
            self.dues.insert(place, due - self.base)
        except OverflowError:
            times = self.times()
            times.insert(place, due)
            self._hold(times)
        self.ids.insert(place, lead_id)

    def remove(self, place: int) -> None:
        del self.dues[place], self.ids[place]
        if not len(self.ids) % _SLACK:  # by itself a list gives nothing back before half of it is free
            self.ids, self.dues = self.ids[:], self.dues[:]

    def _hold(self, times: list[int]) -> None:
        self.base = (times[0] + times[-1]) // 2 if times else 0
        try:
            self.dues = array(_OFFSETS, [time - self.base for time in times])
        except OverflowError:
            self.base, self.dues = 0, array(_TIMES, times)


class TimerQueue:
    """Timers in order of (due, lead id), at most one a lead. Times are epoch milliseconds, `NEVER` is no timer.

    A move is noted, and sorted in with some thousand others or as soon as it bears on what is next. So a timer that moves
    with every event costs little, and no call takes longer than that, however many timers there are at one moment.
    """

    def __init__(self) -> None:
        self._runs = [_Run([], [])]
        # No timer of a run comes after its end, none of the next one before. An end need not stand in its run.
        self._end_dues = [_LAST]
        self._end_ids = [""]
        self._before: dict[str, int] = {}  # lead id -> where the runs still have a timer that has moved
        self._after: dict[str, int] = {}  # and where it belongs
        self._earliest = _LAST  # no move leads to before

    def move(self, lead_id: str, before: int, due: int) -> None:
        """A lead is due at another time than before. Only the caller knows what was before; when it was nothing, nothing is taken away."""
        self._before.setdefault(lead_id, before)
        self._after[lead_id] = due
        if NEVER != due < self._earliest:
            self._earliest = due
        if len(self._after) >= _MOVES:
            self._settle()

    def next_due(self) -> int | None:
        """When the next timer is due; None when there is none."""
        first = self._runs[0]
        if self._after and (not first.ids or self._earliest <= first.base + first.dues[0] or first.ids[0] in self._after):
            self._settle()
            first = self._runs[0]
        return first.base + first.dues[0] if first.ids else None

    def pop(self) -> str:
        """Take the next timer off; the lead whose it is. `IndexError` when there is none."""
        self.next_due()
        lead_id = self._runs[0].ids[0]
        self._remove(0, 0)
        return lead_id

    def __iter__(self) -> Iterator[tuple[int, str]]:
        """All timers, in order: (due, lead id)."""
        self._settle()
        for run in self._runs:
            yield from zip(run.times(), run.ids, strict=True)

    def __len__(self) -> int:
        self._settle()
        return sum([len(run.ids) for run in self._runs])

    def _settle(self) -> None:
        """Sort the moves in. In order, so that neighbours are touched one after the other."""
        before, after = self._before, self._after
        self._before, self._after, self._earliest = {}, {}, _LAST
        for due, lead_id in sorted([(due, lead_id) for lead_id, due in before.items() if due != NEVER]):
            at = self._run_of(due, lead_id)
            place, there = self._runs[at].find(due, lead_id)
            if there:
                self._remove(at, place)
        for due, lead_id in sorted([(due, lead_id) for lead_id, due in after.items() if due != NEVER]):
            at = self._run_of(due, lead_id)
            run = self._runs[at]
            place, there = run.find(due, lead_id)
            if not there:
                run.insert(place, due, lead_id)
                if len(run.ids) > _LONGEST:
                    self._replace(at, at + 1, run.times(), run.ids)

    def _run_of(self, due: int, lead_id: str) -> int:
        """The run in which a timer stands, or would."""
        dues = self._end_dues
        at = bisect_left(dues, due)
        return bisect_left(self._end_ids, lead_id, at, bisect_right(dues, due, at)) if dues[at] == due else at

    def _remove(self, at: int, place: int) -> None:
        run = self._runs[at]
        run.remove(place)
        if len(run.ids) < _SHORTEST and at + 1 < len(self._runs) and (at or not run.ids):
            after = self._runs[at + 1]
            self._replace(at, at + 2, run.times() + after.times(), run.ids + after.ids)

    def _replace(self, start: int, stop: int, times: list[int], ids: list[str]) -> None:
        """Put timers in place of runs next to each other: as one run, or as two."""
        middle = len(ids) // 2 if len(ids) > _LONGEST else 0
        runs = [_Run(times[middle:], ids[middle:])]
        end_dues, end_ids = [self._end_dues[stop - 1]], [self._end_ids[stop - 1]]
        if middle:
            runs.insert(0, _Run(times[:middle], ids[:middle]))
            end_dues.insert(0, times[middle - 1])
            end_ids.insert(0, ids[middle - 1])
        self._runs[start:stop] = runs
        self._end_dues[start:stop], self._end_ids[start:stop] = end_dues, end_ids
