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
import logging
import random
from collections.abc import Mapping
from typing import Any

from mqlstream.engine.interfaces import Assignment, Broker, Member, Source, Stage
from mqlstream.engine.questions import Unavailable
from mqlstream.engine.status import Monitor, Options, StageStatus, Unwatched
from mqlstream.engine.task import Task, Work
from mqlstream.errors import MqlstreamError, UsageError

log = logging.getLogger(__name__)

_TURN_S = 1.0  # how often lag is reported when nothing else happens
_LOOKS = 5
_LOOK_AGAIN_S = 0.5


class StageRunner:
    """Runs one stage of the application ``app_id`` in this worker. One use: `run` once, `stop` once."""

    def __init__(
        self, stage: Stage, *, broker: Broker, app_id: str, options: Options | None = None, monitor: Monitor | None = None
    ) -> None:
        self.stage = stage
        self.app_id = app_id
        self.group = f"{app_id}-{stage.name}"
        self._broker = broker
        self._options = options or Options()
        self._monitor = monitor or Unwatched()
        self._tasks: dict[int, Task] = {}
        self._counts: Mapping[str, int] = {}
        self._assignment: Assignment | None = None
        self._source: Source | None = None
        self._refused = ""
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()

    async def check(self) -> None:
        """Whether all topics exist with partition counts that fit. Raises `UsageError`, `UnreachableError`."""
        topics = [*self.stage.inputs, self.stage.changelog]
        for _ in range(_LOOKS):
            counts = await self._broker.partitions(topics)
            missing = [topic for topic in topics if topic not in counts]
            if not missing:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)  # topics just created take a moment to be known everywhere
        else:
            raise UsageError(f"stage {self.stage.name}: no topic {', '.join(missing)} on the broker; create it: mqlstream topics apply")
        self._check_counts(counts)
        self._counts = counts

    async def run(self) -> None:
        """Work until `stop`. Raises `UsageError` or `UnreachableError` when it cannot begin, or can never go on."""
        try:
            await self.check()
            serving = asyncio.create_task(self._serve(), name=f"stage {self.stage.name}")
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                self._stopping.set()
                await self._end(list(self._tasks))  # while still a member: nobody else begins before our batches are done
            finally:
                stopping.cancel()
                serving.cancel()
                await asyncio.wait({serving, stopping})
                self._source = None
                await self._end(list(self._tasks))
            if not serving.cancelled():
                serving.result()
        finally:
            self._stopped.set()

    async def stop(self) -> None:
        """Finish the running batches and leave; returns when `run` is done. Bounded by the time for draining."""
        self._stopping.set()
        await self._stopped.wait()

    async def ask(self, task: int, question: Any) -> Any:
        """A question to one of the tasks that run here, answered from what is committed. Raises `Unavailable`."""
        found = self._tasks.get(task)
        if found is None:
            raise Unavailable(f"task {task} is not with this worker")
        return await found.ask(question)

    def status(self) -> StageStatus:
        """How the stage does, now; cheap."""
        assignment = self._assignment
        return StageStatus(
            stage=self.stage.name,
            joined=assignment is not None,
            connected=self._source is not None and self._source.connected(),
            refused=assignment.refused if assignment else "",
            tasks=tuple(task.status() for _, task in sorted(self._tasks.items())),
            owners=assignment.owners if assignment else {},
        )

    async def _serve(self) -> None:
        """Be a member of the group, again and again: any failure of a membership is answered with a new one."""
        member = Member(self.group, tuple(self.stage.inputs), self.stage.digest, self._options.url)
        failures = 0
        while True:
            source = self._broker.source(member)
            try:
                # Tasks live on through this, as through a rebalance: see _take_over.
                for task in self._tasks.values():
                    task.move(source)
                await source.start()
                self._source = source
                while True:
                    assignment = await source.changed(_TURN_S)
                    if assignment is not None:
                        await self._take_over(assignment, source)
                        failures = 0
                    for task in self._tasks.values():
                        task.report_lag()
            except MqlstreamError:
                raise
            except Exception as error:
                failures += 1
                pause_ms = min(self._options.backoff_max_ms, self._options.backoff_ms * 2 ** min(failures, 16)) * random.uniform(0.5, 1.0)
                reason = f"{type(error).__name__}: {error}"
                log.warning("stage %s is not in its group: %s; joining again in %d ms", self.stage.name, reason, pause_ms)
                self._source = None
                await asyncio.sleep(pause_ms / 1000)
            finally:
                await source.close()

    async def _take_over(self, assignment: Assignment, source: Source) -> None:
        """Let the tasks go that are no longer ours, start those that are new.

        A task that stays, or that went and came back between two looks, keeps its producer, table and position. That is
        sound: had another worker run it meanwhile, that one would have fenced our producer, so our next transaction
        fails, and the task drops everything and restores.
        """
        if self._stopping.is_set():
            return
        self._check_counts({**assignment.partitions, self.stage.changelog: self._counts[self.stage.changelog]})
        self._assignment = assignment
        if assignment.refused != self._refused:
            self._refused = assignment.refused
            if assignment.refused:
                log.error("stage %s gets no tasks: %s", self.stage.name, assignment.refused)
        wanted = {number: tuple((topic, number) for topic in topics) for number, topics in assignment.tasks.items()}
        tasks = max(assignment.partitions.values(), default=1)
        kept = {number: (inputs, tasks) for number, inputs in wanted.items()}
        await self._end([number for number, task in self._tasks.items() if kept.get(number) != (task.work.inputs, task.work.tasks)])
        partitions = self._counts[self.stage.changelog]
        for number, inputs in sorted(wanted.items()):
            if number not in self._tasks and not self._stopping.is_set():
                changelog = (self.stage.changelog, number % partitions)
                work = Work(self.stage, number, inputs, changelog, self.app_id, self.group, tasks)
                self._tasks[number] = task = Task(work, self._broker, source, self._options, self._monitor)
                task.start()

    async def _end(self, numbers: list[int]) -> None:
        await asyncio.gather(*(self._tasks[number].stop() for number in numbers))
        for number in numbers:
            self._tasks.pop(number, None)

    def _check_counts(self, counts: Mapping[str, int]) -> None:
        """Raises `UsageError` when partition counts differ from what was asked for, or would part records from their table."""
        for topic, expected in (self._options.partitions or {}).items():
            if counts.get(topic, expected) != expected:
                raise UsageError(
                    f"topic {topic} has {counts[topic]} partitions, expected {expected}: either the setting or the topic is wrong; "
                    "a topic keyed by lead can't change its count once it holds data"
                )
        inputs, changelog = self.stage.inputs, self.stage.changelog
        if len(inputs) == 1 and counts.get(inputs[0], counts[changelog]) != counts[changelog]:
            raise UsageError(
                f"stage {self.stage.name}: topic {inputs[0]} has {counts[inputs[0]]} partitions, its changelog {changelog} has "
                f"{counts[changelog]}: expected the same, as each partition's table lives in the changelog partition of the same number"
            )
