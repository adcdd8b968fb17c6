"""What the engine tells arrives in the metrics."""

from __future__ import annotations

from mqlstream.app.monitor import EngineMonitor
from mqlstream.engine.status import TaskState
from mqlstream.metrics import REGISTRY


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"stage": "monitored", **labels})


def test_a_task_is_counted_in_the_one_state_it_is_in() -> None:
    monitor = EngineMonitor()
    monitor.task_state("monitored", 0, TaskState.RESTORING)
    monitor.task_state("monitored", 1, TaskState.RESTORING)
    monitor.task_state("monitored", 0, TaskState.RUNNING)
    assert value("mqlstream_task_state", state="restoring") == 1
    assert value("mqlstream_task_state", state="running") == 1
    monitor.task_state("monitored", 0, None)
    monitor.task_state("monitored", 1, None)
    assert value("mqlstream_task_state", state="restoring") == 0
    assert value("mqlstream_task_state", state="running") == 0


def test_what_belongs_to_a_task_goes_with_it() -> None:
    monitor = EngineMonitor()
    monitor.task_state("monitored", 3, TaskState.RESTORING)
    monitor.restoring("monitored", 3, 700)
    monitor.lag("monitored", "in", 3, 12)
    assert value("mqlstream_restore_remaining_records", partition="3") == 700
    assert value("mqlstream_lag_records", topic="in", partition="3") == 12
    monitor.lag("monitored", "in", 3, None)
    monitor.lag("monitored", "in", 3, None)
    monitor.task_state("monitored", 3, None)
    assert value("mqlstream_restore_remaining_records", partition="3") is None
    assert value("mqlstream_lag_records", topic="in", partition="3") is None


def test_batches_and_failures_are_counted() -> None:
    monitor = EngineMonitor()
    monitor.batch("monitored", 0, {"a": 3, "b": 4}, process_s=0.01, total_s=0.03)
    monitor.batch("monitored", 0, {"a": 1}, process_s=0.02, total_s=0.04)
    monitor.failure("monitored", 0)
    assert value("mqlstream_records_total", topic="a") == 4
    assert value("mqlstream_records_total", topic="b") == 4
    assert value("mqlstream_batch_seconds_count") == 2
    assert value("mqlstream_step_seconds_sum") == 0.03
    assert value("mqlstream_task_failures_total") == 1
