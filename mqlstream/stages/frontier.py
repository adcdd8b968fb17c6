"""How far an ingest task has read, and when it tells the score stage. What is made of it there is `mqlstream.stages.watermark`'s.

The frontier is for catching up: an archive, or what piled up while workers were away. A task whose backlog is old says
with each batch that no event before its frontier is to come from it. A task that keeps up says so once, then nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from mqlstream.engine.surroundings import Surroundings
from mqlstream.wire import Frontier

BEHIND_MS = 60_000  # an unread event older than that makes a task one that catches up
_LIVE = 2**62  # later than any event: what a live task may write is as new as the world


class Reading:
    """One ingest task's. ``newest``, by topic: the highest event time read from it; the ingest stage keeps it."""

    def __init__(self, task: int) -> None:
        self.newest: dict[str, int] = {}
        self._task = task
        self._surroundings: Surroundings | None = None
        self._told: int | None = None  # the frontier last told
        self._lagging: frozenset[str] = frozenset()  # topics with a backlog of which something was read, as far as it matters

    def attend(self, surroundings: Surroundings) -> None:
        """Before the first batch."""
        self._surroundings = surroundings

    @property
    def owes_word(self) -> bool:
        """Whether something is to be told even when no record comes."""
        return self._surroundings is not None and self._told != _LIVE

    def speak(self, first: Mapping[str, int]) -> tuple[Frontier | None, Frontier | None]:
        """What to tell before the events of a batch, and after them; ``first``, by topic: the time of the batch's first event.

        `newest` has the batch's events already.
        """
        if self._surroundings is None:
            return None, None
        backlog = self._surroundings.backlog()
        live_ms = self._surroundings.wall_ms() - BEHIND_MS
        # A quiet topic whose next record is on its way is no reason for a task that keeps up to say that it does not.
        self._lagging = backlog if self._told != _LIVE else backlog & {*self._lagging, *first}
        after = min((self.newest.get(topic, 0) for topic in self._lagging), default=_LIVE)
        if after >= live_ms:
            after = _LIVE
            self._lagging = frozenset()
        told, self._told = self._told, after
        if told == after == _LIVE:
            return None, None
        before = min([first.get(topic, self.newest.get(topic, 0)) for topic in {*backlog, *first}], default=_LIVE)
        leads = bool(first) and before < live_ms and (told is None or before < told)
        return self._frontier(before) if leads else None, self._frontier(after)

    def _frontier(self, before_ms: int) -> Frontier:
        assert self._surroundings is not None
        return Frontier(self._task, self._surroundings.tasks, None if before_ms == _LIVE else before_ms)
