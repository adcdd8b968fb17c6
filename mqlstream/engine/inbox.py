"""A task's records on their way in: one buffer for each input partition, merged by timestamp where there are several.

A source fills an inbox, its task empties it; both on one event loop, so nothing here locks or waits. Where the records
come from, and when a batch is worth a transaction, is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heapreplace

from mqlstream.engine.interfaces import Partition, Record

log = logging.getLogger(__name__)

_NEVER = -(2**62)  # before any timestamp


class Input:
    """One partition's buffer.

    ``read`` is the offset from which the source goes on, past the buffer and past any gap after it; ``end`` the last
    known end of what can be read (past it are open transactions only), ``highwater`` that of all there is. None: not
    known yet.
    """

    __slots__ = ("buffer", "bytes", "end", "highwater", "loads", "paused", "read", "slow", "timestamp", "where")

    def __init__(self, where: Partition, position: int) -> None:
        self.where = where
        self.buffer: deque[Record] = deque()
        self.bytes = 0  # in the buffer: what of it came together leaves it together
        self.loads: deque[tuple[int, int]] = deque()  # what came together: the offset after it, and its bytes
        self.read = position
        self.end: int | None = None
        self.highwater: int | None = None
        self.timestamp = _NEVER  # of the last record taken
        self.paused = False  # kept by the source: not read now, because the buffer is full
        self.slow = False  # has data, did not deliver it in time, and holds the others back no more

    @property
    def position(self) -> int:
        """The offset of the next record to take."""
        return self.buffer[0].offset if self.buffer else self.read

    def weigh(self) -> None:
        """Records were taken from the buffer."""
        position, loads = self.position, self.loads
        while loads and loads[0][0] <= position:
            self.bytes -= loads.popleft()[1]

    @property
    def behind(self) -> bool:
        """Whether the broker has records that are not in the buffer yet, as far as is known."""
        return self.end is None or self.read < self.end


class Inbox:
    """The inputs of one task. ``arrived`` is set whenever something changed that may let the task go on."""

    def __init__(
        self,
        positions: Mapping[Partition, int],
        *,
        batch_records: int,
        batch_bytes: int = 4 * 2**20,
        max_skew_ms: int = 0,
        hold_ms: int = 30_000,
    ) -> None:
        self.inputs = {where: Input(where, position) for where, position in positions.items()}
        self.arrived = asyncio.Event()
        self.waiting = 0  # records in all buffers
        self.held = False  # the last take found records, but all were held back
        self.on_room: Callable[[Input], None] | None = None  # the source's: a paused input has room again
        self._room = batch_records
        self._room_bytes = batch_bytes // max(1, len(positions))
        self._max_skew_ms = max_skew_ms
        self._hold_ms = hold_ms
        self._held_since_ms: int | None = None
        self._error: Exception | None = None

    def positions(self) -> dict[Partition, int]:
        """The next offset to take, for each partition: what to commit once all that was taken is done."""
        return {where: each.position for where, each in self.inputs.items()}

    def caught_up(self) -> bool:
        """Whether everything that is known to be readable has been taken."""
        return not self.waiting and not any(each.behind for each in self.inputs.values())

    def backlog(self) -> frozenset[str]:
        """The topics that have records to take or to come, as far as is known, but for those that do not deliver them."""
        return frozenset(each.where[0] for each in self.inputs.values() if each.buffer or (each.behind and not each.slow))

    @property
    def failed(self) -> bool:
        """Whether the next `take` raises."""
        return self._error is not None

    def full(self, where: Partition) -> bool:
        """Whether the source should stop reading this partition for now. Two batches: one to take, one to come."""
        each = self.inputs[where]
        return len(each.buffer) >= 2 * self._room or each.bytes >= 2 * self._room_bytes

    def offer(self, where: Partition, records: Iterable[Record], read: int) -> None:
        """From the source: the records from ``input.read`` to before the offset ``read``. What was offered before is ignored."""
        target = self.inputs[where]
        expected = target.read
        new = [record for record in records if record.offset >= expected]
        if new:
            target.buffer.extend(new)
            size = sum([len(record.value or b"") + len(record.key or b"") for record in new])
            target.loads.append((new[-1].offset + 1, size))
            target.bytes += size
            self.waiting += len(new)
            target.slow = False
        if read > expected:
            target.read = read
            self.held = False
            self.arrived.set()

    def know(self, where: Partition, end: int | None, highwater: int | None) -> None:
        """From the source: how far the partition reaches."""
        target = self.inputs[where]
        target.highwater = highwater
        if end != target.end:
            target.end = end
            self.held = False
            self.arrived.set()

    def fail(self, error: Exception) -> None:
        """From the source: this inbox can't be filled any more; the next `take` raises the error."""
        self._error = error
        self.arrived.set()

    def take(self, limit: int, now_ms: int) -> list[Record]:
        """Up to ``limit`` records, in order within a partition, merged by timestamp between them; ``now_ms``: any steady clock.

        While one partition has data that is not here yet, others give no record more than ``max_skew_ms`` newer than the
        last one taken from it; but after ``hold_ms`` without a single record they go on without it.
        """
        if self._error is not None:
            raise self._error
        inputs = list(self.inputs.values())
        if len(inputs) == 1:
            buffer = inputs[0].buffer
            if limit >= len(buffer):
                batch = list(buffer)
                buffer.clear()
            else:
                batch = [buffer.popleft() for _ in range(limit)]
        else:
            batch = self._merge(inputs, limit)
            self._mind_holding(inputs, bool(batch), now_ms)
        self.waiting -= len(batch)
        for each in inputs:
            each.weigh()
            if each.paused and self.on_room is not None and len(each.buffer) < self._room and each.bytes <= self._room_bytes:
                self.on_room(each)
        return batch

    def _merge(self, inputs: list[Input], limit: int) -> list[Record]:
        skew = self._max_skew_ms
        bound = min((each.timestamp + skew for each in inputs if self._holds(each)), default=-_NEVER)
        heap = [(each.buffer[0].timestamp, number) for number, each in enumerate(inputs) if each.buffer]
        heapify(heap)
        batch: list[Record] = []
        while heap and heap[0][0] <= bound and len(batch) < limit:
            number = heap[0][1]
            source, buffer = inputs[number], inputs[number].buffer
            # Take from this one for as long as no other has an older head: one step on the heap for a run of records.
            until = min(bound, min((head for head, _ in heap[1:3]), default=bound))
            while buffer and buffer[0].timestamp <= until and len(batch) < limit:
                batch.append(buffer.popleft())
            source.timestamp = batch[-1].timestamp
            if buffer:
                heapreplace(heap, (buffer[0].timestamp, number))
            else:
                heappop(heap)
                if self._holds(source):
                    bound = min(bound, source.timestamp + skew)
        return batch

    @staticmethod
    def _holds(each: Input) -> bool:
        return not each.buffer and each.behind and not each.slow

    def _mind_holding(self, inputs: list[Input], progress: bool, now_ms: int) -> None:
        self.held = not progress and self.waiting > 0
        if not self.held:
            self._held_since_ms = None
        elif self._held_since_ms is None:
            self._held_since_ms = now_ms
        elif now_ms - self._held_since_ms >= self._hold_ms:
            for each in inputs:
                if self._holds(each):
                    each.slow = True
                    log.warning("%s[%d] has records but delivers none for %d s; going on without it", *each.where, self._hold_ms // 1000)
            self._held_since_ms = None
            self.held = False
            self.arrived.set()
