"""One worker's membership in a stage's group on Kafka, and the records of its tasks' partitions.

One aiokafka consumer serves all tasks. A single loop empties the consumer's buffers into the tasks' inboxes, for the
consumer asks a broker for more only when no partition of that broker has anything left in them: tasks that took their
own records each in its own time would starve each other. A partition whose inbox is full, or that no task has opened
yet, is paused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from mqlstream.engine.assignor import Claim, Decision, assignor_for
from mqlstream.engine.inbox import Inbox, Input
from mqlstream.engine.interfaces import Assignment, Member, Partition, TooLate
from mqlstream.engine.light_records import lighten
from mqlstream.engine.unpacking import guard

log = logging.getLogger(__name__)

_SLICE_RECORDS = 20_000  # decoded at a time, some 50 ms: then others get their turn
_POLL_MS = 100
_SURVEY_S = 0.1
_PING_S = 3.0
_LOST_S = 10.0  # without any answer for so long, the worker counts as cut off
_CLOSE_S = 5.0


class KafkaSource:
    """Implements `mqlstream.engine.interfaces.Source`. One use: `start` once, `close` once."""

    def __init__(self, kafka: Mapping[str, Any], member: Member, fetch_bytes: int) -> None:
        self._member = member
        self._inboxes: dict[Partition, Inbox] = {}
        self._assignment: Assignment | None = None
        self._round = 0
        self._news = asyncio.Event()
        self._jobs: list[asyncio.Task[None]] = []
        self._answered_s = float("-inf")
        self._surveyed_s = float("-inf")
        self._polled_ms = 0
        guard()
        lighten()
        self._consumer = AIOKafkaConsumer(
            **kafka,
            group_id=member.group,
            partition_assignment_strategy=[assignor_for(self._claim, self._assigned)],
            isolation_level="read_committed",
            enable_auto_commit=False,
            # A position outside its partition is for the task to notice, not to be silently moved away from.
            auto_offset_reset="none",
            session_timeout_ms=15_000,
            heartbeat_interval_ms=3_000,
            max_poll_interval_ms=2**31 - 1,
            # How long a partition that wants records may have to wait for a request that asks for others only.
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=fetch_bytes,
        )

    async def start(self) -> None:
        """Join the group. Raises when the broker cannot be reached."""
        self._consumer.subscribe(list(self._member.topics))
        await self._consumer.start()
        self._answered_s = asyncio.get_running_loop().time()
        for job in (self._pump(), self._ping()):
            task = asyncio.create_task(job)
            task.add_done_callback(lambda _: self._news.set())
            self._jobs.append(task)

    async def changed(self, timeout: float) -> Assignment | None:
        """The newest assignment, as soon as it differs from the one last returned; None after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return None
        for job in self._jobs:
            if job.done():
                job.result()
        self._news.clear()
        return self._assignment

    async def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """First offset and end offset of each partition."""
        wanted = [TopicPartition(*where) for where in partitions]
        first = await self._consumer.beginning_offsets(wanted)
        end = await self._consumer.end_offsets(wanted)
        return {where: (first[where], end[where]) for where in wanted}

    def attach(self, inbox: Inbox) -> None:
        """Fill this inbox from now on."""
        inbox.on_room = self._resume
        for where, each in inbox.inputs.items():
            self._inboxes[where] = inbox
            self._begin(TopicPartition(*where), each)

    def detach(self, inbox: Inbox) -> None:
        """Stop filling it."""
        inbox.on_room = None
        for where in inbox.inputs:
            if self._inboxes.get(where) is inbox:
                del self._inboxes[where]
                if where in self._consumer.assignment():
                    self._consumer.pause(TopicPartition(*where))

    def connected(self) -> bool:
        """Whether the broker answered lately."""
        return asyncio.get_running_loop().time() - self._answered_s < _LOST_S

    async def close(self) -> None:
        """Leave the group, in bounded time."""
        for job in self._jobs:
            job.cancel()
        if self._jobs:
            await asyncio.wait(self._jobs)
        await close_consumer(self._consumer)

    def _claim(self) -> Claim:
        tasks = sorted(self._assignment.tasks) if self._assignment else ()
        return Claim(self._member.digest, self._member.url, tasks, self._round)

    def _assigned(self, tasks: Mapping[int, Sequence[str]], decision: Decision) -> None:
        """Called in the instant in which the consumer has new partitions; they forgot their positions and pauses."""
        for where in self._consumer.assignment():
            inbox = self._inboxes.get(where)
            if inbox is not None:
                self._begin(where, inbox.inputs[where])
            else:
                self._consumer.seek(where, 0)  # or it would look for the group's offset
                self._consumer.pause(where)
        counts = {topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._member.topics}
        counts = {topic: count for topic, count in counts.items() if count}
        generation = (self._assignment.generation if self._assignment else 0) + 1
        self._round = decision.round
        self._assignment = Assignment(generation, tasks, decision.refused, decision.owners, counts)
        self._news.set()

    def _begin(self, where: TopicPartition, each: Input) -> None:
        each.paused = False
        if where in self._consumer.assignment():
            self._consumer.seek(where, each.read)
            self._consumer.resume(where)

    def _resume(self, each: Input) -> None:
        each.paused = False
        if each.where in self._consumer.assignment():
            self._consumer.resume(TopicPartition(*each.where))

    async def _pump(self) -> None:
        """Records to inboxes, for ever. Any error but a position out of range ends the membership."""
        now = asyncio.get_running_loop().time
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_SLICE_RECORDS)
            except OffsetOutOfRangeError as error:
                self._out_of_range(error)
                continue
            await self._deliver(batches)
            if now() - self._surveyed_s >= _SURVEY_S:
                self._surveyed_s = now()
                for where in self._attached():
                    await self._look(where)
            if batches:
                await asyncio.sleep(0)

    async def _deliver(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> None:
        # Nothing here suspends: from the consumer's buffer to the inbox no rebalance comes in between.
        cut = sum(map(len, batches.values())) >= _SLICE_RECORDS
        last = next(reversed(batches), None)
        for where, records in batches.items():
            inbox = self._inboxes.get(where)
            if inbox is None:
                continue
            inbox.offer(where, records, records[-1].offset + 1)
            await self._look(where)
            # Pausing throws away what the consumer still has in its buffer: not if the slice ended in the middle of it.
            if inbox.full(where) and not (cut and where == last):
                inbox.inputs[where].paused = True
                self._consumer.pause(where)

    async def _look(self, where: TopicPartition) -> None:
        """Tell the inbox how far the partition was read, over markers and aborted records too, and where it ends."""
        inbox, consumer = self._inboxes[where], self._consumer
        inbox.offer(where, (), await consumer.position(where))  # at hand: every partition has a position from the start
        highwater, stable = consumer.highwater(where), consumer.last_stable_offset(where)
        if highwater is not None:
            inbox.know(where, stable if stable is not None and stable >= 0 else highwater, highwater)
            polled_ms = consumer.last_poll_timestamp(where)
            if polled_ms and polled_ms != self._polled_ms:
                self._polled_ms = polled_ms
                self._answered_s = asyncio.get_running_loop().time()

    def _out_of_range(self, error: OffsetOutOfRangeError) -> None:
        offsets: Mapping[TopicPartition, int] = error.args[0]
        for where, offset in offsets.items():
            if inbox := self._inboxes.get(where):
                inbox.fail(TooLate(f"{where.topic}[{where.partition}] has no offset {offset} any more"))
        for where in self._attached():
            self._begin(where, self._inboxes[where].inputs[where])

    def _attached(self) -> list[TopicPartition]:
        return [where for where in self._consumer.assignment() if where in self._inboxes]

    async def _ping(self) -> None:
        """Ask the broker for something when nothing is fetched that would show whether it is there."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_PING_S)
            if now() - self._answered_s < _PING_S:
                continue
            try:
                async with asyncio.timeout(_LOST_S):
                    await self._consumer.topics()
                self._answered_s = now()
            except Exception as error:
                log.debug("no answer from the broker: %s", error)


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop it; when that takes too long, as without a broker, let go of its connections all the same."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            await consumer.stop()
    except Exception as error:
        log.debug("closing a consumer: %s", error)
        try:
            async with asyncio.timeout(_CLOSE_S):
                if consumer._fetcher is not None:
                    await consumer._fetcher.close()
                await consumer._client.close()
        except Exception as again:
            log.debug("closing a consumer's connections: %s", again)
