"""When a task commits, and how many records it takes at once: a whole batch, or fewer where each takes long to compute.

All tasks of a stage commit at the same ticks of the wall clock, and the next stage a part of an interval later: it finds what
all of them have written, instead of taking one task's part and letting the others' wait for another interval.

While a batch is computed the worker answers nobody, heartbeats included. A worker that computes for longer than its
session lasts loses all its tasks, and their next owner would begin the same batch: neither would ever come to its end.
"""

from __future__ import annotations

from mqlstream.engine.interfaces import Stage

_FIRST_RECORDS = 200  # after taking over, when it is not known how long a record takes: at 25 ms each a third of a session
_GROWTH = 32  # of the limit at most, with every batch
_CAUTION = 1.5  # the next batch is to stay this far below the limit, if its records take as long


class Pace:
    """``records`` is the limit for the next batch, between 1 and ``most``; ``compute_s``: seconds that a batch should not exceed."""

    def __init__(self, most: int, compute_s: float) -> None:
        self.records = min(_FIRST_RECORDS, most)
        self._most = most
        self._compute_s = compute_s

    def note(self, records: int, seconds: float) -> None:
        """So many records took so long."""
        if seconds > self._compute_s:
            self.records = max(1, int(records * self._compute_s / seconds))
        elif records >= self.records:
            growth = min(_GROWTH, self._compute_s / (max(seconds, 1e-6) * _CAUTION))
            self.records = min(self._most, max(records, int(records * growth)))


def until_tick_s(wall_ms: int, interval_ms: int, stage: Stage) -> float:
    """Seconds to the stage's next commit: its ticks are ``interval_ms`` apart, its `phase` of an interval after whole ones."""
    interval = max(1, interval_ms)
    return (interval - (wall_ms - float(getattr(stage, "phase", 0.0)) * interval) % interval) / 1000
