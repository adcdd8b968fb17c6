"""What a stage's tasks tell the world: their states, and the calls the engine makes to whoever counts.

Nothing here acts; the metrics themselves are wired outside the engine, through `Monitor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class TaskState(StrEnum):
    """Where a task is on its way from assigned to running, or why it is not."""

    ASSIGNED = "assigned"
    FENCING = "fencing"  # taking the transactional id away from any older owner
    RESTORING = "restoring"  # reading the changelog
    RUNNING = "running"
    WAITING = "waiting"  # failed; starts afresh after a pause
    STUCK = "stuck"  # failed several times at the same place in the same way; goes on trying


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """``remaining``: changelog offsets still to restore. ``reason``: why it waits or is stuck, else empty.

    ``lag``: per input topic, the offsets between the task's committed position and the end; absent while unknown.
    """

    task: int
    state: TaskState
    remaining: int
    reason: str
    lag: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StageStatus:
    """``refused``: why the group gives this worker no tasks, or empty. ``owners``: every task's worker, by URL."""

    stage: str
    joined: bool
    connected: bool
    refused: str
    tasks: tuple[TaskStatus, ...]
    owners: Mapping[int, str]

    @property
    def not_ready(self) -> tuple[str, ...]:
        """One line for each reason why this stage does not do its share of the work; empty when it does."""
        if not self.joined:
            return (f"{self.stage}: not in its group yet",)
        if not self.connected:
            return (f"{self.stage}: cut off from the broker",)
        if self.refused:
            return (f"{self.stage}: refused: {self.refused}",)
        reasons = []
        for task in self.tasks:
            if task.state is not TaskState.RUNNING:
                more = f", {task.remaining} records to go" if task.remaining else ""
                reasons.append(f"{self.stage} task {task.task} is {task.state}{more}{f': {task.reason}' if task.reason else ''}")
        return tuple(reasons)


class Monitor(Protocol):
    """Called by the engine, on its event loop; must not block and must not raise."""

    def task_state(self, stage: str, task: int, state: TaskState | None) -> None:
        """A task came into a state; None: it is gone from this worker."""

    def restoring(self, stage: str, task: int, remaining: int) -> None:
        """So many changelog offsets are left to restore; 0 at its end."""

    def batch(self, stage: str, task: int, records: Mapping[str, int], process_s: float, total_s: float) -> None:
        """A batch is committed: records by topic, seconds of computing, seconds from its first step to its commit."""

    def failure(self, stage: str, task: int) -> None:
        """A task failed, dropped its memory, and will start afresh."""

    def lag(self, stage: str, topic: str, partition: int, records: int | None) -> None:
        """Offsets between the committed position and the end; None: not this worker's any more."""


class Unwatched:
    """The monitor that does nothing."""

    def task_state(self, stage: str, task: int, state: TaskState | None) -> None:
        """Nothing."""

    def restoring(self, stage: str, task: int, remaining: int) -> None:
        """Nothing."""

    def batch(self, stage: str, task: int, records: Mapping[str, int], process_s: float, total_s: float) -> None:
        """Nothing."""

    def failure(self, stage: str, task: int) -> None:
        """Nothing."""

    def lag(self, stage: str, topic: str, partition: int, records: int | None) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How tasks run. ``partitions``: counts that topics must have; ``url``: where this worker's web server listens."""

    commit_interval_ms: int = 100  # a busy task commits this often, or when a full batch waits; an idle one at once
    batch_records: int = 20_000  # with more at once a lead that has many events is opened and packed once for them
    batch_bytes: int = 4 * 2**20  # a task's buffers hold about twice as much at most, whatever the size of records
    compute_ms: int = 1_000  # a batch that took longer to compute is followed by smaller ones; far below the session timeout
    offsets_interval_ms: int = 1_000  # the group's offsets, which only tools look at, follow the position this often
    answer_timeout_ms: int = 30_000  # a broker that takes longer, over a transaction or anything else, counts as gone
    drain_timeout_ms: int = 10_000  # for the running batch, when a task goes away or the worker stops
    backoff_ms: int = 200  # first pause after a failure; doubles, jittered, up to backoff_max_ms
    backoff_max_ms: int = 10_000
    fenced_backoff_ms: int = 4_000  # above the heartbeat interval: a zombie learns of its eviction before it fences its successor
    stuck_after: int = 3  # failures in the same way at the same place
    hold_ms: int = 30_000  # how long a topic that has data but does not deliver may hold the others of a task back
    partitions: Mapping[str, int] | None = None
    url: str = ""
