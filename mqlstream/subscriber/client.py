"""The client for sales tools: receives handoff events at least once, in order per lead, each id once.

    async def handle(event: HandoffEvent) -> None:
        await crm.create_task(event.lead_id, event.data["score"]["total"])

    subscriber = Subscriber("crm", handle, kafka={"bootstrap_servers": "127.0.0.1:9092"})
    await subscriber.run()          # until subscriber.stop()

It needs a Kafka cluster and `mqlstream.handoff.contract`, nothing else of the project. Where events go to (a program, a
webhook) is in `mqlstream.subscriber.deliver`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError

from mqlstream.errors import CheckFailed, UnreachableError
from mqlstream.handoff.contract import HandoffEvent, NotAHandoff, parse

log = logging.getLogger(__name__)

JOIN_ATTEMPTS = 5  # members that join a group at the same moment can be turned away once or twice
COMMIT_SECONDS = 1.0  # offsets are committed after each poll, and at least this often within one

Handler = Callable[[HandoffEvent], Awaitable[None]]


class Seen(Protocol):
    """Which event ids were handled before. The default forgets at restart; back it by the tool's own store to be sure."""

    async def contains(self, event_id: str) -> bool:
        """Whether this event was handled."""

    async def add(self, event_id: str) -> None:
        """It was handled just now; called before its offset is committed."""


class SeenLately:
    """Remembers the last ``limit`` ids in memory: enough for what a producer's retry or a rebalance repeats."""

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()

    async def contains(self, event_id: str) -> bool:
        return event_id in self._ids

    async def add(self, event_id: str) -> None:
        self._ids[event_id] = None
        self._ids.move_to_end(event_id)
        while len(self._ids) > self._limit:
            self._ids.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that was given up. ``event`` is None when the record could not be read as a handoff event at all."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    event: HandoffEvent | None
    error: Exception
    attempts: int


@dataclass(frozen=True, slots=True)
class Retry:
    """Pauses between attempts: ``first_ms``, doubled each time up to ``longest_ms``, jittered.

    ``attempts`` None: for ever. Otherwise, after so many, the event goes to the subscriber's ``give_up``.
    """

    first_ms: int = 200
    longest_ms: int = 30_000
    attempts: int | None = None

    def pause_s(self, attempt: int) -> float:
        """Seconds to wait after the given attempt, the first being 1."""
        doubled: int = self.first_ms << min(attempt - 1, 30)
        return min(self.longest_ms, doubled) / 1000 * random.uniform(0.5, 1.0)  # so that many don't come back as one


class CannotDeliver(Exception):
    """Raised by a handler that can never handle anything again: ends `Subscriber.run`, the event stays unhandled."""


class _Moved(Exception):
    """The group shared out its partitions anew, or we were asked to stop, while an event waited for another attempt."""


class Subscriber(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """One member of a consumer group on the handoff topic.

    ``handle`` is called with one event at a time; the event's offset is committed after it returned. When it raises,
    it is called again after a pause, and nothing behind the event on any partition is handled before: no event is
    skipped, unless ``retry.attempts`` and ``give_up`` say so. Several members of a group share the leads.

    An event can come twice (a crash between the handler's return and the commit): ids in ``seen`` are passed over.
    ``kafka`` are aiokafka's connection settings. One use: `run` once.
    """

    def __init__(
        self,
        group: str,
        handle: Handler,
        *,
        kafka: Mapping[str, Any],
        topic: str = "mql.handoff.v1",
        seen: Seen | None = None,
        retry: Retry | None = None,
        give_up: Callable[[Failure], Awaitable[None]] | None = None,
    ) -> None:
        self.group = group
        self.topic = topic
        self._handle = handle
        self._kafka = dict(kafka)
        self._seen = seen or SeenLately()
        self._retry = retry or Retry()
        self._give_up = give_up
        self.joined = asyncio.Event()  # for whoever wants to know: the group has taken us in
        self._stopping = asyncio.Event()
        self._moved = asyncio.Event()  # set when the partitions are given away; each sharing out has its own
        self._done: dict[TopicPartition, int] = {}  # handled, not committed yet
        self._committed_at = 0.0
        self._busy = asyncio.Lock()  # held while a handler runs, and while partitions are given away
        self._consumer: Any = None

    async def run(self) -> None:
        """Receive until `stop`. Raises `UnreachableError` when the cluster can't be reached or joined at the start.

        Raises `CheckFailed` when a record is no handoff event and there is no ``give_up`` to take it: somebody else
        writes to the topic, and no number of attempts would help. Passes on a handler's `CannotDeliver`.
        """
        attempt = 0
        while not self._stopping.is_set():
            consumer = self._consumer = self._new_consumer()
            try:
                await consumer.start()
                attempt = 0
                while not self._stopping.is_set():
                    await self._round()
            except KafkaError as error:
                attempt += 1
                await self._lost(error, attempt)
            finally:
                try:
                    await self._commit()
                finally:
                    await consumer.stop()

    def stop(self) -> None:
        """Let the running handler finish, commit, leave the group. Safe to call at any time, from the loop's thread."""
        self._stopping.set()

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """For aiokafka: finishes the running event and commits before the partitions go to another member."""
        self._moved.set()  # whoever waits for another attempt lets go
        async with self._busy:
            await self._commit()
            self._done.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """For aiokafka: from now on these are ours, and are read from their committed offsets."""
        self._moved = asyncio.Event()
        self.joined.set()
        if assigned:
            log.info("%s: reads %d partitions of %s", self.group, len(assigned), self.topic)
        else:
            log.warning("%s: no partition of %s to read: others have them all, or there is no such topic", self.group, self.topic)

    async def _lost(self, error: KafkaError, attempt: int) -> None:
        """The membership is of no use any more. Raises when there is no point in another one, else waits a little."""
        servers = self._kafka.get("bootstrap_servers", "localhost:9092")
        servers = servers if isinstance(servers, str) else ",".join(servers)
        if not self.joined.is_set() and isinstance(error, KafkaConnectionError):
            raise UnreachableError(f"cannot reach Kafka at {servers}: {error}") from error
        if not self.joined.is_set() and attempt >= JOIN_ATTEMPTS:
            raise UnreachableError(f"cannot join group {self.group} at {servers}: {error}") from error
        log.warning("%s: lost the group, will join again: %s", self.group, error)
        self._moved.set()
        self._done.clear()
        await self._pause(self._retry.pause_s(attempt), asyncio.Event())

    def _new_consumer(self) -> Any:
        consumer = AIOKafkaConsumer(
            **self._kafka,
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=100,
            # A handler that is tried for hours is alive; its heartbeats say so.
            max_poll_interval_ms=24 * 3600 * 1000,
        )
        consumer.subscribe([self.topic], listener=self)
        return consumer

    async def _round(self) -> None:
        """Poll once and handle what came, partition by partition, in order."""
        batches = await self._consumer.getmany(timeout_ms=200)
        moved = self._moved  # only now: the partitions may have been shared out anew while we polled
        try:
            for partition, records in batches.items():
                for record in records:
                    await self._one(partition, record, moved)
        except _Moved:
            await self._read_again()
        await self._commit()

    async def _read_again(self) -> None:
        """What was polled and not handled must come again from those partitions that are (still, or again) ours."""
        try:
            for partition in self._consumer.assignment():
                offset = await self._consumer.committed(partition)
                if offset is None:
                    await self._consumer.seek_to_beginning(partition)
                else:
                    self._consumer.seek(partition, offset)
        except IllegalStateError:
            pass  # shared out anew once more, and what is new begins at its committed offset anyway

    async def _one(self, partition: TopicPartition, record: Any, moved: asyncio.Event) -> None:
        attempt = 0
        while True:
            attempt += 1
            async with self._busy:
                if moved.is_set() or self._stopping.is_set():
                    raise _Moved
                if await self._settled(record, attempt):
                    self._done[partition] = record.offset + 1
                    break
            await self._commit()
            await self._pause(self._retry.pause_s(attempt), moved)
        if asyncio.get_running_loop().time() - self._committed_at > COMMIT_SECONDS:
            await self._commit()

    async def _settled(self, record: Any, attempt: int) -> bool:
        """One attempt. True when the record needs no further one: handled, seen before, or given up."""
        try:
            event = parse(record.value, record.headers)
        except NotAHandoff as error:
            if self._give_up is None:
                where = f"{record.topic} partition {record.partition} offset {record.offset}"
                raise CheckFailed(f"{where} holds no handoff event: {error}") from error
            await self._give_up(_failure(record, None, error, attempt))
            return True
        if await self._seen.contains(event.id):
            return True
        try:
            await self._handle(event)
        except CannotDeliver:
            raise
        except Exception as error:
            if self._give_up is not None and self._retry.attempts is not None and attempt >= self._retry.attempts:
                await self._give_up(_failure(record, event, error, attempt))
                return True
            log.warning("event %s failed at attempt %d, will be retried: %s", event.id, attempt, error or type(error).__name__)
            return False
        await self._seen.add(event.id)
        return True

    async def _pause(self, seconds: float, moved: asyncio.Event) -> None:
        """Wait, but no longer than the partitions are ours and nobody asks us to stop."""
        waiting = {asyncio.ensure_future(event.wait()) for event in (self._stopping, moved)}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()

    async def _commit(self) -> None:
        self._committed_at = asyncio.get_running_loop().time()
        if not self._done:
            return
        done, self._done = self._done, {}
        try:
            await self._consumer.commit(done)
        except (CommitFailedError, IllegalStateError):
            log.warning("%s: another member has the partitions now; some events may come twice", self.group)
        except KafkaError as error:
            log.warning("%s: offsets not committed, will be tried again: %s", self.group, type(error).__name__)
            self._done = {**done, **self._done}


def _failure(record: Any, event: HandoffEvent | None, error: Exception, attempts: int) -> Failure:
    return Failure(record.topic, record.partition, record.offset, record.key, record.value, event, error, attempts)
