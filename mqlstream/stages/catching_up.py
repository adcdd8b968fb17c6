"""Reviews that wait while ingest tasks catch up: up to when they can be made, and of which leads.

How a lead is reviewed is `mqlstream.core.deferral`'s. What happens is a function of the log alone, however it is cut into
batches: a lead's waiting moments are reviewed up to where the log was when its next event stands there, or earlier.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from weakref import WeakSet

from mqlstream import metrics, wire
from mqlstream.core.deferral import catch_up
from mqlstream.core.lead import Lead
from mqlstream.core.outputs import Output
from mqlstream.core.packing import unreviewed_of
from mqlstream.core.state import NEVER
from mqlstream.core.table import LeadTable
from mqlstream.engine.interfaces import Record
from mqlstream.stages.watermark import CHANGELOG_KEY, Watermark

_END = 2**62  # after any event


class Held:
    """What the tasks of a stage put off, as metrics tell it."""

    def __init__(self) -> None:
        self._tasks: WeakSet[CatchingUp] = WeakSet()
        metrics.WAITING_REVIEWS.set_function(lambda: sum(task.waiting for task in self._tasks))
        metrics.WATERMARK_AGE.set_function(lambda: self.age_ms(time.time_ns() // 1_000_000) / 1000)

    def add(self, task: CatchingUp) -> None:
        """Tell of this one, for as long as it lives."""
        self._tasks.add(task)

    def age_ms(self, now_ms: int) -> int:
        """How old the lowest watermark is, without those of which nothing is known yet."""
        known = [before_ms for task in self._tasks if (before_ms := task.before_ms) is not None and before_ms > 0]
        return max(0, now_ms - min(known, default=now_ms))


class CatchingUp:
    """What one score task puts off. ``idle``: in this batch nothing is, every event is reviewed as it comes."""

    def __init__(self, table: LeadTable, held: Held) -> None:
        held.add(self)
        self._table = table
        self._watermark = Watermark()
        self._packed = self._watermark.packed()  # as the changelog has it
        self._waiting: dict[str, int] = {}  # lead id -> its earliest unreviewed moment
        self._heap: list[tuple[int, str]] = []  # the same by moment; what is no longer so is passed over
        self.idle = True
        self._course: list[tuple[int, int | None]] = []  # in the batch: (offset, `Watermark.before_ms` from there on)

    def restore(self, value: bytes | None) -> None:
        """Take the changelog's record of the frontiers."""
        self._watermark.restore(value)
        self._packed = self._watermark.packed()

    def load(self, lead_id: str, record: bytes | None) -> None:
        """Take a lead's record, from the changelog or as it was renewed."""
        self._note(lead_id, NEVER if record is None else unreviewed_of(record))

    def begin(self, broadcasts: Sequence[Record], offset: int, reject: Callable[[Record, str], None]) -> int | None:
        """Hear the broadcasts of a batch that begins at an offset.

        Returns the offset of one that takes the watermark back in time: there the batch has to be cut, so that what was known
        before is made use of. It is not heard, nor what follows.
        """
        cut = self._hear(broadcasts, offset, reject)
        self.idle = not self._waiting and all(before_ms is None for _, before_ms in self._course)
        return cut

    def _hear(self, broadcasts: Sequence[Record], offset: int, reject: Callable[[Record, str], None]) -> int | None:
        self._course = [(-1, self._watermark.before_ms)]
        for record in broadcasts:
            try:
                frontier = wire.heard(record.key, record.value)
            except wire.WireError as error:
                reject(record, str(error))
                continue
            if not isinstance(frontier, wire.Frontier):
                continue
            if record.offset > offset and self._watermark.falls_back(frontier):
                return record.offset
            self._watermark.hear(frontier)
            if record.offset == offset:
                self._course.clear()
            self._course.append((record.offset, self._watermark.before_ms))
        return None

    def changes(self) -> list[tuple[bytes, bytes | None]]:
        """The changelog's records of what was heard since the last call."""
        packed = self._watermark.packed()
        if packed == self._packed:
            return []
        self._packed = packed
        return [(CHANGELOG_KEY, packed)]

    def arrive(self, lead: Lead, offset: int) -> tuple[int | None, list[Output]]:
        """Before the event at an offset is applied: up to when all were there (see `step`), and what is made up for by then."""
        before_ms = self._course[bisect_right(self._course, offset, key=_offset) - 1][1]
        return before_ms, catch_up(self._table.program, lead, _END if before_ms is None else before_ms)

    def settle(self, lead: Lead) -> list[Output]:
        """After the batch's events of a lead: review it as far as can be, and remember what is left."""
        outputs = catch_up(self._table.program, lead, self.until_ms)
        self._note(lead.id, lead.state.unreviewed)
        return outputs

    def ready(self, most: int) -> Iterator[Lead]:
        """Leads to `settle` without an event, those that wait longest first."""
        for _ in range(most):
            first = self._first()
            if first is None or first >= self.until_ms:
                return
            yield self._table.open(heappop(self._heap)[1])

    @property
    def waiting(self) -> int:
        """How many leads' reviews wait."""
        return len(self._waiting)

    @property
    def before_ms(self) -> int | None:
        """Up to when all events have arrived, as `step` wants it: None when nobody catches up."""
        return self._watermark.before_ms

    @property
    def until_ms(self) -> int:
        """Up to when leads can be reviewed, and timers fire."""
        return _END if self._watermark.before_ms is None else self._watermark.before_ms

    def wait(self, wall_ms: int) -> None:
        """All has been read: do not wait for ever for tasks that are silent."""
        self._watermark.wait(wall_ms)

    def due_ms(self, timer_ms: int | None) -> int | None:
        """When there is something to do without a record; ``timer_ms`` is the next timer of a lead."""
        first = self._first()
        if first is not None and first < self.until_ms:
            return 0
        moments = [timer_ms if timer_ms is not None and timer_ms < self.until_ms else None, self._watermark.due_ms()]
        return min((moment for moment in moments if moment is not None), default=None)

    def _first(self) -> int | None:
        heap, waiting = self._heap, self._waiting
        while heap and waiting.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def _note(self, lead_id: str, moment: int) -> None:
        if moment == NEVER:
            self._waiting.pop(lead_id, None)
        elif self._waiting.get(lead_id) != moment:
            self._waiting[lead_id] = moment
            heappush(self._heap, (moment, lead_id))


def _offset(at: tuple[int, int | None]) -> int:
    return at[0]
