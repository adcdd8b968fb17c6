"""What the score stage makes of the ingest tasks' frontiers: up to when all events have arrived, while any task catches up.

A task that has not been heard of since the number of tasks is known counts as far behind. One that falls silent, while the
score stage has nothing else to read, is not waited for.
"""

from __future__ import annotations

import logging
from copy import copy

import orjson

from mqlstream.wire import Frontier

log = logging.getLogger(__name__)

CHANGELOG_KEY = b"\x00frontiers"
SILENCE_MS = 60_000  # above the time that a worker's death, or a topic that does not deliver, keeps an ingest task quiet


class Watermark:
    """``before_ms``: every event before it has arrived; None: nobody catches up, and events are looked at as they come."""

    def __init__(self) -> None:
        self.before_ms: int | None = None
        self._tasks = 0  # not known before any has spoken
        self._told: dict[int, int | None] = {}  # by task, as in `Frontier`
        self._quiet_since: dict[int, int] = {}  # wall clock, by task that is waited for
        self._lost: set[int] = set()  # silent for too long

    def restore(self, value: bytes | None) -> None:
        """Take the changelog's record."""
        if value is not None:
            self._tasks, told = orjson.loads(value)
            self._told = {int(task): before_ms for task, before_ms in told.items()}
            self._settle()

    def packed(self) -> bytes:
        """The changelog's record."""
        return orjson.dumps([self._tasks, {str(task): before_ms for task, before_ms in self._told.items()}])

    def hear(self, frontier: Frontier) -> None:
        """An ingest task has spoken."""
        self._tasks = frontier.tasks
        self._told[frontier.task] = frontier.before_ms
        self._quiet_since.pop(frontier.task, None)
        self._lost.discard(frontier.task)
        self._settle()

    def falls_back(self, frontier: Frontier) -> bool:
        """Whether hearing this would take `before_ms` back in time."""
        then = copy(self)
        then._told, then._quiet_since, then._lost = dict(self._told), {}, set(self._lost)
        then.hear(frontier)
        return then.before_ms is not None and (self.before_ms is None or then.before_ms < self.before_ms)

    def wait(self, wall_ms: int) -> None:
        """All that there was has been read: give up tasks that have been silent for too long."""
        for task in self._awaited():
            if wall_ms - self._quiet_since.setdefault(task, wall_ms) >= SILENCE_MS:
                self._lost.add(task)
                log.warning("ingest task %d catches up but has been silent for %d s; going on without it", task, SILENCE_MS // 1000)
        self._settle()

    def due_ms(self) -> int | None:
        """When `wait` may next give up a task; None when none is waited for."""
        return min((self._quiet_since.get(task, 0) + SILENCE_MS for task in self._awaited()), default=None)

    def _awaited(self) -> list[int]:
        return [task for task in range(self._tasks) if self._told.get(task, 0) is not None and task not in self._lost]

    def _settle(self) -> None:
        self.before_ms = min((self._told.get(task) or 0 for task in self._awaited()), default=None)
