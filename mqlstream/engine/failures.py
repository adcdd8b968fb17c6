"""What a task makes of its failures: how long it pauses, and what is said of it where. Taking over afresh is `mqlstream.engine.task`'s."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback

from mqlstream.engine.interfaces import Fenced, Partition, Refused, TooLate, TryAgain, Unable
from mqlstream.engine.status import Options, TaskState

log = logging.getLogger(__name__)

_STUCK_LOG_S = 60.0


class ProcessorFailed(Exception):
    """An exception came out of a processor. The text names type and place, never the data it was about."""


class Failures:
    """Counts a task's failures in a row, decides how long it pauses, and logs: each once, a stuck task once a minute."""

    def __init__(self, task: str, options: Options) -> None:
        self.stuck_at_work = False  # until a batch goes through; fencing and restoring again are no progress
        self._task = task
        self._options = options
        self._last: tuple[object, ...] = ()
        self._same = 0
        self._row = 0
        self._logged_s = -_STUCK_LOG_S

    def forget(self) -> None:
        """A batch went through."""
        self._last, self._same, self._row, self.stuck_at_work = (), 0, 0, False

    def note(self, error: Exception, positions: dict[Partition, int], phase: TaskState) -> tuple[TaskState, str, float]:
        """The state the task is in now, the reason in one line, and the pause in seconds."""
        options, at_work = self._options, phase is TaskState.RUNNING
        kind = (type(error), phase, *sorted(positions.items()))
        self._same = self._same + 1 if kind == self._last else 1
        self._last = kind
        self._row += 1
        local = isinstance(error, Refused | TooLate | TryAgain | Unable | ProcessorFailed)
        reason = self._reason(error, phase)
        pause_s = min(options.backoff_max_ms, options.backoff_ms * 2 ** min(self._row - 1, 16)) / 1000 * random.uniform(0.5, 1.0)
        if at_work and not local:
            # A commit failed for a reason that lies outside: perhaps this worker was away, and its eviction from the group
            # is on its way to it. It must not fence its successor: pause for longer than a heartbeat takes.
            pause_s = max(pause_s, options.fenced_backoff_ms / 1000 * random.uniform(1.0, 1.5))
        if isinstance(error, Fenced) or not (isinstance(error, Refused | TooLate | Unable) or self._same >= options.stuck_after):
            log.warning("%s: %s; starting afresh in %.1f s", self._task, reason, pause_s)
            return TaskState.WAITING, reason, pause_s
        self.stuck_at_work = at_work
        now_s = asyncio.get_running_loop().time()
        if now_s - self._logged_s >= _STUCK_LOG_S:
            self._logged_s = now_s
            log.error("%s is stuck at the same place: %s; trying again until it goes", self._task, reason)
        return TaskState.STUCK, reason, pause_s

    def _reason(self, error: Exception, phase: TaskState) -> str:
        doing = "committing" if phase is TaskState.RUNNING else str(phase)
        if isinstance(error, Fenced):
            return f"another worker took the task over ({error})"
        if isinstance(error, TimeoutError):
            return f"no answer from the broker within {self._options.answer_timeout_ms} ms while {doing}"
        if isinstance(error, Refused | TooLate | TryAgain | Unable | ProcessorFailed):
            return str(error)
        return f"{type(error).__name__}: {error} while {doing}"


def failed(error: Exception, doing: str) -> Exception:
    """What to raise for an exception that came out of a processor."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} at {frame.filename}:{frame.lineno} in {frame.name}, {doing}"
    return error if isinstance(error, Unable) else ProcessorFailed(place)
