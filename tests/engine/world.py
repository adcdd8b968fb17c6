"""Workers on a simulated cluster: starting, killing, freezing them, and what must be true when the dust has settled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from mqlstream.engine.interfaces import Record
from mqlstream.engine.memory import MemoryCluster
from mqlstream.engine.runner import StageRunner
from mqlstream.engine.status import Options
from tests.engine.counting import Counting, expected

POSITION = b"\x00position/"


async def until(condition: Callable[[], bool], every_s: float = 0.0005) -> None:
    """Look again and again."""
    while not condition():  # noqa: ASYNC110  # what is waited for is the state of a whole simulation, not one event
        await asyncio.sleep(every_s)


class Worker:
    """A stage's runner in a process of its own, as it were."""

    def __init__(self, cluster: MemoryCluster, stage: Counting, options: Options | None = None) -> None:
        self.broker = cluster.connect()
        self.runner = StageRunner(stage, broker=self.broker, app_id="app", options=options)
        self.job = asyncio.create_task(self.runner.run())

    async def settled(self, within_s: float = 300.0) -> None:
        """Until everything is read and committed."""
        async with asyncio.timeout(within_s):
            await until(self._idle, 0.05)

    def _idle(self) -> bool:
        if self.job.done():
            self.job.result()
        status = self.runner.status()
        return status.joined and not status.not_ready and all(task.lag and not any(task.lag.values()) for task in status.tasks)

    def kill(self) -> None:
        """At once, in the middle of whatever it does."""
        self.broker.kill()
        self.job.cancel()

    async def stop(self) -> None:
        await self.runner.stop()
        await self.job


def position(cluster: MemoryCluster, stage: Counting, task: int) -> dict[str, int]:
    """What the changelog says, for a table's stage."""
    log = cluster.logs[stage.changelog, task % cluster.topics[stage.changelog]]
    values = [record.value for record in log.committed() if record.key == POSITION + f"{stage.name}/{task}".encode()]
    return dict(json.loads(values[-1] or b"{}")) if values else {}


def check(cluster: MemoryCluster, stage: Counting) -> None:
    """Tables, outputs and positions are those of an oracle that saw each committed record once, in order."""
    outputs: list[tuple[bytes | None, bytes | None]] = []
    (topic,) = stage.inputs
    for partition in range(cluster.topics[topic]):
        records: list[Record] = list(cluster.logs[topic, partition].committed())
        rows, out = expected(stage, records)
        outputs += out
        table = stage.processor(0)
        for record in cluster.logs[stage.changelog, partition].committed():
            if record.key is not None and not record.key.startswith(POSITION):
                table.restore(record.key, record.value)
        assert table.rows == rows, f"table of partition {partition}"
        assert position(cluster, stage, partition).get(topic, 0) <= cluster.logs[topic, partition].end
    written = [(record.key, record.value) for name in (stage.outputs, stage.dead_letters) for record in cluster.committed(name)]
    assert sorted(written, key=str) == sorted(outputs, key=str)
