"""One task: partition i of a stage's inputs, from taking it over to letting it go.

Taking over: start the transactional producer, which fences any older owner; restore the changelog; only then look at
the position in it, and read on from there. Then one transaction for each batch: table, outputs, position, offsets.
After any error the task drops producer and memory, pauses, and takes over afresh: it never goes on inside a transaction
whose result is unknown. Which tasks a worker has is the runner's business.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from mqlstream.engine.failures import Failures, failed
from mqlstream.engine.inbox import Inbox
from mqlstream.engine.interfaces import (
    Broker,
    Commit,
    Effects,
    Partition,
    Processor,
    Record,
    Source,
    Stage,
    TooLate,
    Writer,
)
from mqlstream.engine.pace import Pace, until_tick_s
from mqlstream.engine.questions import Questions
from mqlstream.engine.status import Monitor, Options, TaskState, TaskStatus
from mqlstream.engine.surroundings import Surroundings, show

log = logging.getLogger(__name__)

_POSITION_PREFIX = b"\x00position/"  # keys of the engine's own in a changelog; other keys belong to the processor
_HELD_POLL_S = 1.0
_LAST_TELL_S = 2.0


@dataclass(frozen=True, slots=True)
class Work:
    """Which task this is, and where its things are."""

    stage: Stage
    task: int
    inputs: Sequence[Partition]
    changelog: Partition
    app_id: str
    group: str
    tasks: int = 1  # of the stage, in all workers

    @property
    def name(self) -> str:
        """``score[3]``, for logs."""
        return f"{self.stage.name}[{self.task}]"

    @property
    def transactional_id(self) -> str:
        """One for each task: a successor fences by it."""
        return f"{self.app_id}-{self.stage.name}-{self.task}"

    @property
    def position_key(self) -> bytes:
        """Of the record that keeps the position."""
        return _POSITION_PREFIX + f"{self.stage.name}/{self.task}".encode()


class Task:
    """Runs until `stop`; what goes wrong meanwhile is logged, shown in `status`, and tried again."""

    def __init__(self, work: Work, broker: Broker, source: Source, options: Options, monitor: Monitor) -> None:
        self.work = work
        self._broker = broker
        self._source = source
        self._options = options
        self._monitor = monitor
        self._inbox: Inbox | None = None
        self._stopping = False
        self._wake = asyncio.Event()
        self._questions = Questions()
        self._run: asyncio.Task[None] | None = None
        self._phase = self._state = TaskState.ASSIGNED
        self._reason = ""
        self._remaining = 0
        self._committed: dict[Partition, int] = {}
        self._next_commit_s = 0.0
        self._told: dict[Partition, int] = {}  # the group's offsets
        self._told_s = float("-inf")
        self._failures = Failures(work.name, options)
        self._pace = Pace(options.batch_records, options.compute_ms / 1000)
        self._enter(TaskState.ASSIGNED)

    def start(self) -> None:
        """Begin, in the background."""
        self._run = asyncio.create_task(self._attempts(), name=f"task {self.work.name}")

    def move(self, source: Source) -> None:
        """The worker has a new membership: read on from there. Producer, table and position stay as they are."""
        self._source = source
        if self._inbox is not None:
            source.attach(self._inbox)

    async def stop(self) -> None:
        """Finish and commit the running batch, close the producer. Not longer than the time for draining, then by force."""
        self._stopping = True
        self._wake.set()
        if self._inbox is not None:
            self._inbox.arrived.set()
        if self._run is None:
            return
        if self._phase is not TaskState.RUNNING:
            self._run.cancel()
        _, late = await asyncio.wait([self._run], timeout=self._options.drain_timeout_ms / 1000)
        if late:
            log.warning("%s: its batch did not end within %d ms; given up", self.work.name, self._options.drain_timeout_ms)
            self._run.cancel()
            await asyncio.wait([self._run], timeout=self._options.drain_timeout_ms / 1000)
        self._monitor.task_state(self.work.stage.name, self.work.task, None)
        for topic, partition in self.work.inputs:
            self._monitor.lag(self.work.stage.name, topic, partition, None)

    async def ask(self, question: Any) -> Any:
        """The processor's answer, from what is committed (see `mqlstream.engine.questions`); raises `Unavailable`."""
        return await self._questions.ask(question, f"task {self.work.task} is {self._state}")

    def status(self) -> TaskStatus:
        """How it does, now."""
        return TaskStatus(self.work.task, self._state, self._remaining, self._reason, {t: lag for (t, _), lag in self._lag().items()})

    def report_lag(self) -> None:
        """Tell the monitor."""
        for (topic, partition), lag in self._lag().items():
            self._monitor.lag(self.work.stage.name, topic, partition, lag)

    def _lag(self) -> dict[Partition, int]:
        if self._inbox is None:
            return {}
        known = ((each.where, each.highwater) for each in self._inbox.inputs.values())
        return {where: max(0, end - self._committed.get(where, 0)) for where, end in known if end is not None}

    def _patience(self) -> asyncio.Timeout:
        return asyncio.timeout(self._options.answer_timeout_ms / 1000)

    def _enter(self, phase: TaskState) -> None:
        self._phase = phase
        if not self._failures.stuck_at_work:  # else it stays stuck until it gets past that place
            self._show(phase)

    def _show(self, state: TaskState, reason: str = "") -> None:
        self._state, self._reason = state, reason
        self._monitor.task_state(self.work.stage.name, self.work.task, state)

    async def _attempts(self) -> None:
        while not self._stopping:
            try:
                await self._attempt()
            except Exception as error:
                self._monitor.failure(self.work.stage.name, self.work.task)
                state, reason, pause_s = self._failures.note(error, self._committed, self._phase)
                self._phase = TaskState.WAITING
                self._show(state, reason)
                self._wake.clear()
                if not self._stopping:
                    await _wait(self._wake, pause_s)

    async def _attempt(self) -> None:
        self._pace = Pace(self._options.batch_records, self._options.compute_ms / 1000)
        self._enter(TaskState.FENCING)
        async with self._patience():
            writer = await self._broker.writer(self.work.transactional_id, self.work.group)
        try:
            self._enter(TaskState.RESTORING)
            processor = self.work.stage.processor(self.work.task)
            stored = await self._restore(processor)
            inbox = await self._open(stored)
            show(processor, Surroundings(self.work.tasks, inbox.backlog, self._broker.wall_ms))
            self._inbox = inbox
            self._source.attach(inbox)
            try:
                self._enter(TaskState.RUNNING)
                self._questions.open(inbox.arrived)
                await self._work(processor, inbox, writer)
            finally:
                self._inbox = None
                self._questions.close()
                self._source.detach(inbox)
        finally:
            self._remaining = 0
            await writer.close()

    async def _restore(self, processor: Processor) -> dict[str, int]:
        stage, task, own = self.work.stage.name, self.work.task, self.work.position_key
        position: bytes | None = None
        async with aclosing(self._broker.restore(self.work.changelog)) as chunks:
            while True:
                async with self._patience():
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                try:
                    for key, value in chunk.records:
                        if not key.startswith(_POSITION_PREFIX):
                            processor.restore(key, value)
                        elif key == own:  # a changelog partition may serve several tasks
                            position = value
                except Exception as error:
                    raise failed(error, f"restoring {self.work.changelog[0]}[{self.work.changelog[1]}]") from error
                self._remaining = chunk.remaining
                self._monitor.restoring(stage, task, chunk.remaining)
        self._monitor.restoring(stage, task, 0)
        return dict(json.loads(position)) if position else {}

    async def _open(self, stored: dict[str, int]) -> Inbox:
        """An inbox at the stored position; a partition without one begins at its first record.

        The group's offsets are not looked at: they can expire or be reset by hand, and state and position must not part.
        """
        async with self._patience():
            bounds = await self._source.bounds(self.work.inputs)
        positions = {}
        for where in self.work.inputs:
            (first, end), position = bounds[where], stored.get(where[0])
            if position is None:
                position = first
            elif position > end:
                raise TooLate(
                    f"{where[0]}[{where[1]}] ends at offset {end}, but the position in {self.work.changelog[0]} is {position}: "
                    "expected the topic that was read before; was it deleted and created again?"
                )
            elif position < first:
                log.error("%s: %s[%d] begins at offset %d, %d offsets deleted unread", self.work.name, *where, first, first - position)
                position = first
            positions[where] = position
        self._committed = dict(positions)
        self._told = {} if stored else self._committed  # whoever wrote them may have been killed before it told them
        options = self._options
        skew_ms = int(getattr(self.work.stage, "max_skew_ms", 0))
        return Inbox(
            positions,
            batch_records=options.batch_records,
            batch_bytes=options.batch_bytes,
            max_skew_ms=skew_ms,
            hold_ms=options.hold_ms,
        )

    async def _work(self, processor: Processor, inbox: Inbox, writer: Writer) -> None:
        now = asyncio.get_running_loop().time
        while await self._until_due(processor, inbox):
            began_s = now()
            batch = inbox.take(self._pace.records, int(began_s * 1000))
            wall_ms = self._broker.wall_ms() if inbox.caught_up() else None
            positions, asked = inbox.positions(), self._questions.take()
            telling = positions != self._told and began_s >= self._told_s + self._options.offsets_interval_ms / 1000
            # Without a record, too: the position moved over a gap, or it is committed to see that the task is still ours.
            if not (batch or asked or telling or (wall_ms is not None and _due(processor, wall_ms))):
                continue  # records that are held back
            effects = self._process(processor, batch, wall_ms)
            processed_s = now()
            self._pace.note(len(batch), processed_s - began_s)
            if asked or telling or effects.changelog or effects.outputs or positions != self._committed:
                self._next_commit_s = processed_s + until_tick_s(self._broker.wall_ms(), self._options.commit_interval_ms, self.work.stage)
                await self._commit(writer, effects, positions, telling)
            processor.committed(effects)
            self._questions.answer(processor)
            self._failures.forget()
            if self._state is not TaskState.RUNNING:
                self._show(TaskState.RUNNING)
            counts = Counter(record.topic for record in batch) if len(inbox.inputs) > 1 else {self.work.inputs[0][0]: len(batch)}
            self._monitor.batch(self.work.stage.name, self.work.task, counts, processed_s - began_s, now() - began_s)
        if self._told != self._committed:
            with suppress(Exception):  # tools are not worth a failure, nor waiting for a broker that is away
                async with asyncio.timeout(_LAST_TELL_S):
                    await self._commit(writer, Effects(), self._committed, telling=True)

    async def _commit(self, writer: Writer, effects: Effects, positions: dict[Partition, int], telling: bool) -> None:
        """One transaction. ``telling``: with the group's offsets, which are a third of its requests."""
        async with self._patience():
            await writer.commit(self._transaction(effects, positions, telling))
        self._committed = positions
        if telling:
            self._told, self._told_s = positions, asyncio.get_running_loop().time()

    async def _until_due(self, processor: Processor, inbox: Inbox) -> bool:
        """Wait until there is something to do and the time has come for it; False: stop.

        A task that was idle commits at once; a busy one once an interval, or when a full batch waits: so quiet
        streams have low latency, and busy ones large transactions.
        """
        now = asyncio.get_running_loop().time
        while not self._stopping:
            inbox.arrived.clear()
            wait_s: float | None
            if inbox.failed:
                return True  # taking from it raises the reason
            if inbox.held:
                wait_s = _HELD_POLL_S
            elif inbox.waiting or self._questions:
                wait_s = 0.0 if inbox.waiting >= self._pace.records else self._next_commit_s - now()
            else:
                wait_s = self._idle_s(processor, inbox, now())
            if wait_s is not None and wait_s <= 0:
                return True
            if not await _wait(inbox.arrived, wait_s) and inbox.held:
                return True
        return False

    def _idle_s(self, processor: Processor, inbox: Inbox, now_s: float) -> float | None:
        """Seconds until something must be done if no record comes: a timer, or the group's offsets that are behind."""
        waits = []
        if inbox.positions() != self._told:
            waits.append(self._told_s + self._options.offsets_interval_ms / 1000 - now_s)
        due_ms = processor.due_ms() if inbox.caught_up() else None
        if due_ms is not None:
            waits.append(max((due_ms - self._broker.wall_ms()) / 1000, self._next_commit_s - now_s))
        return min(waits, default=None)

    def _process(self, processor: Processor, batch: Sequence[Record], wall_ms: int | None) -> Effects:
        try:
            return processor.process(batch, wall_ms)
        except Exception as error:
            what = f"{len(batch)} records, the first {batch[0].topic}[{batch[0].partition}] offset {batch[0].offset}" if batch else "timers"
            raise failed(error, f"processing {what}") from error

    def _transaction(self, effects: Effects, positions: dict[Partition, int], telling: bool) -> Commit:
        position = json.dumps({topic: offset for (topic, _), offset in positions.items()}, separators=(",", ":")).encode()
        return Commit(
            self.work.changelog, [*effects.changelog, (self.work.position_key, position)], effects.outputs, positions if telling else {}
        )


def _due(processor: Processor, wall_ms: int) -> bool:
    due_ms = processor.due_ms()
    return due_ms is not None and due_ms <= wall_ms


async def _wait(event: asyncio.Event, timeout_s: float | None) -> bool:
    """Whether the event was set before the timeout (None: no timeout)."""
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
