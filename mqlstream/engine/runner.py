"""A stage's tasks in one worker: `StageRunner` joins the stage's group and keeps a task running for each partition it gets.

    runner = StageRunner(stage, broker=KafkaBroker({"bootstrap_servers": "127.0.0.1:9092"}), app_id="mqlstream",
                         options=Options(url="http://10.0.0.1:8080"), monitor=monitor)
    await runner.check()     # topics exist, counts fit: UsageError, UnreachableError
    await runner.run()       # until stop(); checks too; goes on through broker outages and task failures
    await runner.stop()      # from another coroutine: finish the running batch, leave the group, in bounded time
    runner.status()          # StageStatus: .not_ready is empty once all its tasks run

What a task does lives in `mqlstream.engine.task`, which partitions a worker gets in `mqlstream.engine.assignor`.
"""

from __future__ import annotations

import asyncio

from mqlstream.engine.interfaces import Broker, Stage
from mqlstream.engine.status import Monitor, Options, StageStatus, Unwatched


class StageRunner:
    """Runs one stage of the application ``app_id`` in this worker. One use: `run` once, `stop` once."""

    def __init__(self, stage: Stage, *, broker: Broker, app_id: str, options: Options | None = None, monitor: Monitor | None = None) -> None:
        self.stage = stage
        self.group = f"{app_id}-{stage.name}"
        self._broker = broker
        self._options = options or Options()
        self._monitor = monitor or Unwatched()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()

    async def check(self) -> None:
        """Whether all topics exist with partition counts that fit. Raises `UsageError`, `UnreachableError`."""

    async def run(self) -> None:
        """Work until `stop`. Raises `UsageError` or `UnreachableError` when it cannot begin, or can never go on."""
        await self._stopping.wait()
        self._stopped.set()

    async def stop(self) -> None:
        """Finish the running batches and leave; returns when `run` is done or the time for draining is over."""
        self._stopping.set()
        await self._stopped.wait()

    def status(self) -> StageStatus:
        """How the stage does, now; cheap."""
        return StageStatus(self.stage.name, joined=False, connected=False, refused="", tasks=(), owners={})
