"""What the engine tells, as metrics. The metrics themselves are listed in `mqlstream.metrics`."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Gauge

from mqlstream import metrics
from mqlstream.app import collector
from mqlstream.engine.status import TaskState


class EngineMonitor:
    """Implements `mqlstream.engine.status.Monitor` for all stages of one worker."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, int], TaskState] = {}

    def task_state(self, stage: str, task: int, state: TaskState | None) -> None:
        """Move the task from the gauge of its old state to that of its new one."""
        before = self._states.pop((stage, task), None)
        if before is not None:
            metrics.TASKS.labels(stage, before.value).dec()
        if state is not None:
            self._states[stage, task] = state
            metrics.TASKS.labels(stage, state.value).inc()
        elif before is not None and before is not TaskState.ASSIGNED:
            _forget(metrics.RESTORE_REMAINING, stage, str(task))

    def restoring(self, stage: str, task: int, remaining: int) -> None:
        metrics.RESTORE_REMAINING.labels(stage, str(task)).set(remaining)

    def batch(self, stage: str, task: int, records: Mapping[str, int], process_s: float, total_s: float) -> None:
        for topic, count in records.items():
            metrics.RECORDS.labels(stage, topic).inc(count)
        metrics.STEP_SECONDS.labels(stage).observe(process_s)
        metrics.BATCH_SECONDS.labels(stage).observe(total_s)

    def failure(self, stage: str, task: int) -> None:
        metrics.TASK_FAILURES.labels(stage).inc()
        collector.littered()

    def lag(self, stage: str, topic: str, partition: int, records: int | None) -> None:
        if records is None:
            _forget(metrics.LAG, stage, topic, str(partition))
        else:
            metrics.LAG.labels(stage, topic, str(partition)).set(records)


def _forget(gauge: Gauge, *labels: str) -> None:
    try:
        gauge.remove(*labels)
    except KeyError:
        pass  # it never had this one
