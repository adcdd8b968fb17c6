"""Our side of the comparison: the SCORE stage alone, as a worker runs it, over prefilled lead-events.

`python -m tests.bench.score_stage BOOTSTRAP PREFIX EVENTS` prints one JSON line once that many events are committed.
The time runs from the first batch's beginning to the last commit's end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from mqlstream import metrics
from mqlstream.app import collector
from mqlstream.app.monitor import EngineMonitor
from mqlstream.definition import load
from mqlstream.definition.compile import compile_program
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.engine.runner import StageRunner
from mqlstream.handoff.contract import BECAME_MQL
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import Topics

DEFINITION = Path(__file__).with_name("definition.yaml")
LEAD_EVENTS = "bench.lead-events"


class Stopwatch(EngineMonitor):
    """Counts committed records on top of what a worker's monitor does, and says when all are there."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected = expected
        self.committed = 0
        self.began_s = 0.0
        self.ended_s = 0.0
        self.failures = 0
        self.done = asyncio.Event()

    def batch(self, stage: str, task: int, records: Mapping[str, int], process_s: float, total_s: float) -> None:
        super().batch(stage, task, records, process_s, total_s)
        self.ended_s = time.perf_counter()
        if not self.began_s:
            self.began_s = self.ended_s - total_s
        self.committed += sum(records.values())
        if self.committed >= self.expected:
            self.done.set()

    def failure(self, stage: str, task: int) -> None:
        super().failure(stage, task)
        self.failures += 1


async def measure(bootstrap: str, prefix: str, events: int) -> dict[str, float]:
    """Run the stage until all events are committed."""
    stage = ScoreStage(Topics(prefix), compile_program([load(DEFINITION)]))
    stage.inputs = (LEAD_EVENTS,)  # shared by all runs; everything that is written is the run's own
    watch = Stopwatch(events)
    runner = StageRunner(stage, broker=KafkaBroker({"bootstrap_servers": bootstrap}), app_id=prefix.rstrip("."), monitor=watch)
    running = asyncio.create_task(runner.run())
    waiting = asyncio.create_task(watch.done.wait())
    collector.calm()  # as a worker does
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    await runner.stop()
    await running
    signals = metrics.REGISTRY.get_sample_value("mqlstream_handoffs_total", {"type": BECAME_MQL}) or 0
    return {
        "events": watch.committed,
        "seconds": round(watch.ended_s - watch.began_s, 3),
        "signals": int(signals),
        "task_failures": watch.failures,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))), flush=True)
