"""Our side of the comparison: the SCORE stage alone, as workers run it, over prefilled lead-events.

`measure` starts so many processes of `python -m tests.bench.score_stage BOOTSTRAP PREFIX`. Each tells every committed batch in a line
of JSON, until its standard input ends. The time runs from the first batch's beginning to the last commit's end, over all of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

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

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = Path(__file__).with_name("definition.yaml")
LEAD_EVENTS = "bench.lead-events"
_LONGEST_S = 600


def measure(bootstrap: str, prefix: str, events: int, workers: int) -> dict[str, Any]:
    """Let so many workers score all events: events, seconds, signals, task failures, and seconds of CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tests.bench.score_stage", bootstrap, prefix]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
        for _ in range(workers)
    ]
    told: queue.SimpleQueue[dict[str, float] | None] = queue.SimpleQueue()
    for process in processes:
        threading.Thread(target=_listen, args=(process.stdout, told), daemon=True).start()
    began, ended, committed, running = float("inf"), 0.0, 0, workers
    signals = failures = 0
    while running:
        line = told.get(timeout=_LONGEST_S)
        if line is None:
            running -= 1
            if committed < events:
                raise RuntimeError(f"a worker ended after {committed} of {events} events")
        elif "signals" in line:
            signals, failures = signals + int(line["signals"]), failures + int(line["failures"])
        else:
            if line["records"]:  # else only the group's offsets were told
                began, ended, committed = min(began, line["began"]), max(ended, line["ended"]), committed + int(line["records"])
            if committed >= events:
                for process in processes:
                    if process.stdin is not None:
                        process.stdin.close()
    for process in processes:
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "events": committed,
        "seconds": ended - began,
        "signals": signals,
        "task_failures": failures,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def _listen(lines: IO[str] | None, told: queue.SimpleQueue[dict[str, float] | None]) -> None:
    for line in lines or ():
        told.put(json.loads(line))
    told.put(None)


class Reporter(EngineMonitor):
    """Tells of every committed batch, on top of what a worker's monitor does."""

    failures = 0

    def batch(self, stage: str, task: int, records: Mapping[str, int], process_s: float, total_s: float) -> None:
        super().batch(stage, task, records, process_s, total_s)
        ended = time.time()
        print(json.dumps({"records": sum(records.values()), "began": ended - total_s, "ended": ended}), flush=True)

    def failure(self, stage: str, task: int) -> None:
        super().failure(stage, task)
        self.failures += 1


async def work(bootstrap: str, prefix: str) -> None:
    """One worker: run the stage until standard input ends."""
    stage = ScoreStage(Topics(prefix), compile_program([load(DEFINITION)]))
    stage.inputs = (LEAD_EVENTS,)  # shared by all runs; everything that is written is the run's own
    reporter = Reporter()
    runner = StageRunner(stage, broker=KafkaBroker({"bootstrap_servers": bootstrap}), app_id=prefix.rstrip("."), monitor=reporter)
    running = asyncio.create_task(runner.run())
    waiting = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    collector.calm()  # as a worker does
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    await runner.stop()
    await running
    signals = metrics.REGISTRY.get_sample_value("mqlstream_handoffs_total", {"type": BECAME_MQL}) or 0
    print(json.dumps({"signals": signals, "failures": reporter.failures}), flush=True)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2]))
