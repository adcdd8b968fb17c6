"""A worker process of the counting stage: ``python -m tests.kafka.engine_worker BOOTSTRAP PREFIX [DIGEST]``; SIGTERM stops it.

Prints a line whenever its status changes.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

from mqlstream.engine.kafka import KafkaBroker
from mqlstream.engine.runner import StageRunner
from mqlstream.engine.status import Options
from mqlstream.errors import MqlstreamError
from tests.engine.counting import Counting


async def main(bootstrap: str, prefix: str, digest: str = "one") -> int:
    stage = Counting(prefix=prefix, digest=digest)
    options = Options(batch_records=200, commit_interval_ms=20, drain_timeout_ms=5_000, stuck_after=2)
    runner = StageRunner(stage, broker=KafkaBroker({"bootstrap_servers": bootstrap}), app_id=prefix + "app", options=options)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(runner.stop()))
    job = asyncio.create_task(runner.run())
    said = ""
    while not job.done():
        status = runner.status()
        tasks = " ".join(f"{task.task}:{task.state}" for task in status.tasks)
        line = f"joined={status.joined} refused={status.refused!r} tasks={tasks}"
        if line != said:
            said = line
            print(line, flush=True)
        await asyncio.wait({job}, timeout=0.05)
    try:
        job.result()
    except MqlstreamError as error:
        print(f"error: {error}", flush=True)
        return error.exit_code
    print("stopped", flush=True)
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
    sys.exit(asyncio.run(main(*sys.argv[1:])))
