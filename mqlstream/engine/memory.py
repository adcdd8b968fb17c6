"""Kafka as far as the engine can tell, in memory and in manual time: logs, transactions, fencing, a group. For simulations.

`MemoryCluster` is the broker's side, `MemoryBroker` what one worker sees of it. A worker can be frozen (its calls wait,
its session runs out) or dead (its calls never return), and every step of every call passes through ``cluster.fault``,
which may raise, freeze or kill there. Time is the event loop's: on that of `mqlstream.engine.manual_time`, minutes take
milliseconds, and a seed gives the same run again. The real thing is in `mqlstream.engine.kafka`.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aiokafka.partitioner import DefaultPartitioner

from mqlstream.engine.assignor import Claim, decide
from mqlstream.engine.inbox import Inbox, Input
from mqlstream.engine.interfaces import Assignment, Chunk, Commit, Fenced, Member, Output, Partition, Refused, TooLate
from mqlstream.engine.memory_log import Log, Stored, Transaction

START_MS = 1_800_000_000_000  # wall clock when a simulation begins
_partition_of = DefaultPartitioner()

HEARTBEAT_S = 3.0
SESSION_S = 15.0
_SLICE = 50  # records handed over at a time, small so that much can happen in between


@dataclass(slots=True)
class _Producer:
    epoch: int = 0
    transaction: Transaction | None = None


class _Group:
    def __init__(self) -> None:
        self.members: dict[MemorySource, float] = {}  # and when each was heard of last
        self.generation = 0
        self.given: dict[MemorySource, Assignment] = {}


Fault = Callable[[str, "MemoryBroker"], Awaitable[None]]


async def _no_fault(step: str, broker: MemoryBroker) -> None:
    return None


class MemoryCluster:
    """``fault(step, broker)`` is awaited before each step: begin, changelog, outputs, offsets, commit, answer, fence, ..."""

    def __init__(self, topics: Mapping[str, int], *, seed: int = 0, latency_s: float = 0.002, fault: Fault = _no_fault) -> None:
        self.topics = dict(topics)
        self.logs: dict[Partition, Log] = {(topic, i): Log() for topic, count in topics.items() for i in range(count)}
        self.max_bytes: dict[str, int] = {}
        self.fault = fault
        self.latency_s = latency_s
        self.random = random.Random(seed)
        self.offsets: dict[str, dict[Partition, int]] = defaultdict(dict)
        self.steps: list[str] = []  # in the order in which they took effect
        self._producers: dict[str, _Producer] = defaultdict(_Producer)
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._watchers: set[MemorySource] = set()

    def connect(self) -> MemoryBroker:
        """What one worker sees."""
        return MemoryBroker(self)

    def now_ms(self) -> int:
        """Wall clock, epoch milliseconds."""
        return START_MS + int(asyncio.get_running_loop().time() * 1000)

    def append(self, topic: str, key: bytes | None, value: bytes | None, *, partition: int = 0, timestamp: int | None = None) -> None:
        """Write a record outside any transaction."""
        self._write((topic, partition), Output(topic, key, value, (), partition, timestamp), None)

    def append_aborted(self, topic: str, key: bytes, value: bytes, *, partition: int = 0) -> None:
        """Write a record and abort its transaction: two offsets that nobody gets to see."""
        transaction = Transaction()
        self._write((topic, partition), Output(topic, key, value), transaction)
        self.end(transaction, "aborted")

    def end(self, transaction: Transaction, state: str) -> None:
        """Commit or abort, with a marker in each partition it wrote to."""
        transaction.state = state
        for where in sorted(transaction.touched):
            self.logs[where].mark(where, transaction)
        if state == "committed":
            for group, offsets in transaction.offsets.items():
                self.offsets[group].update(offsets)
        self._notify()

    def committed(self, topic: str) -> list[Stored]:
        """All committed records of a topic, partition by partition."""
        return [record for partition in range(self.topics[topic]) for record in self.logs[topic, partition].committed()]

    def _write(self, where: Partition, output: Output, transaction: Transaction | None) -> None:
        size = len(output.key or b"") + len(output.value or b"")
        if size > self.max_bytes.get(where[0], size):
            raise Refused(f"{where[0]}[{where[1]}] refuses a record of {size} bytes")
        self.logs[where].append(where, output, self.now_ms(), transaction)
        if transaction is not None:
            transaction.touched.add(where)
        self._notify()

    def _notify(self) -> None:
        for source in self._watchers:
            source.wake.set()

    def _fence(self, transactional_id: str) -> int:
        producer = self._producers[transactional_id]
        producer.epoch += 1
        if producer.transaction is not None:
            self.end(producer.transaction, "aborted")
            producer.transaction = None
        return producer.epoch

    def _rebalance(self, group: _Group) -> None:
        """The group's decision, at once; members hear of it with their next heartbeats, one sooner than another."""
        group.generation += 1
        if not group.members:
            return
        names = {f"{number:03}": source for number, source in enumerate(group.members)}
        leader = next(iter(names.values()))
        counts = {topic: self.topics[topic] for topic in leader.member.topics}
        claims = {name: source.claim() for name, source in names.items()}
        shares, told = decide(max(counts.values()), leader.member.digest, claims)
        for name, source in names.items():
            tasks = {task: [topic for topic in sorted(counts) if task < counts[topic]] for task in shares[name]}
            group.given[source] = Assignment(group.generation, tasks, told[name].refused, told[name].owners, counts)


class MemoryBroker:
    """Implements `mqlstream.engine.interfaces.Broker` for one worker."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.dead = False

    def freeze(self) -> None:
        """As SIGSTOP: no call goes on until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """As SIGCONT."""
        self._thawed.set()

    def kill(self) -> None:
        """As SIGKILL: no call ever returns; whoever ran the worker cancels it."""
        self.dead = True

    async def step(self, name: str) -> None:
        """The way to the broker: takes a while, and anything can happen on it."""
        await self.gate()
        await asyncio.sleep(self.cluster.random.random() * self.cluster.latency_s)
        await self.cluster.fault(name, self)
        await self.gate()
        self.cluster.steps.append(name)

    async def gate(self) -> None:
        """Wait while frozen, for ever when dead."""
        if self.dead:
            await asyncio.get_running_loop().create_future()
        await self._thawed.wait()

    async def partitions(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Partition count of each topic that exists."""
        await self.step("partitions")
        return {topic: self.cluster.topics[topic] for topic in topics if topic in self.cluster.topics}

    def source(self, member: Member) -> MemorySource:
        """A new member of a group, not yet joined."""
        return MemorySource(self, member)

    async def writer(self, transactional_id: str, group: str) -> MemoryWriter:
        """A new owner of the id: when this returns, all older ones are fenced and their open transactions aborted."""
        await self.step("fence")
        return MemoryWriter(self, transactional_id, self.cluster._fence(transactional_id), group)

    async def restore(self, partition: Partition) -> AsyncGenerator[Chunk, None]:
        """What is committed in a changelog partition, from its beginning to its end as it is at the first step."""
        await self.step("restore")
        log = self.cluster.logs[partition]
        position, end = log.first, log.end
        while True:
            records, position = log.read(position, _SLICE)
            pairs = [(record.key, record.value) for record in records if record.key is not None]
            yield Chunk(pairs, max(0, end - position))
            if position >= end:
                return
            await self.step("restore")

    def wall_ms(self) -> int:
        """Wall clock, epoch milliseconds."""
        return self.cluster.now_ms()


class MemoryWriter:
    """Implements `mqlstream.engine.interfaces.Writer`."""

    def __init__(self, broker: MemoryBroker, transactional_id: str, epoch: int, group: str) -> None:
        self._broker = broker
        self._id = transactional_id
        self._epoch = epoch
        self._group = group

    async def commit(self, commit: Commit) -> None:
        """Write it all or nothing. Raises `Fenced`, `Refused`, or `ConnectionError` when the result is unknown."""
        cluster = self._broker.cluster
        await self._broker.step("begin")
        producer = self._own()
        if producer.transaction is not None:
            raise RuntimeError("a transaction is open already")
        transaction = producer.transaction = Transaction()
        await self._broker.step("changelog")
        self._own()
        for key, value in commit.records:
            cluster._write(commit.changelog, Output(commit.changelog[0], key, value), transaction)
        await self._broker.step("outputs")
        self._own()
        for output in commit.outputs:
            partitions = list(range(cluster.topics[output.topic]))
            partition = _partition_of(output.key, partitions, partitions) if output.partition is None else output.partition
            cluster._write((output.topic, partition), output, transaction)
        await self._broker.step("offsets")
        self._own()
        if commit.offsets:
            transaction.offsets[self._group] = dict(commit.offsets)
        await self._broker.step("commit")
        self._own().transaction = None
        cluster.end(transaction, "committed")
        await self._broker.step("answer")

    async def close(self) -> None:
        """Let go of it; a transaction still open is left for a successor to abort."""

    def _own(self) -> _Producer:
        producer = self._broker.cluster._producers[self._id]
        if producer.epoch != self._epoch:
            raise Fenced(f"epoch {self._epoch} of {self._id} is over, {producer.epoch} is on")
        return producer


class MemorySource:
    """Implements `mqlstream.engine.interfaces.Source`."""

    def __init__(self, broker: MemoryBroker, member: Member) -> None:
        self.member = member
        self.wake = asyncio.Event()
        self._broker = broker
        self._group = broker.cluster._groups[member.group]
        self._inboxes: dict[Partition, Inbox] = {}
        self._assignment: Assignment | None = None
        self._news = asyncio.Event()
        self._jobs: list[asyncio.Task[None]] = []

    def claim(self) -> Claim:
        """What this member says of itself when the group decides."""
        mine = self._assignment
        return Claim(self.member.digest, self.member.url, sorted(mine.tasks) if mine else (), mine.generation if mine else 0)

    async def start(self) -> None:
        """Join the group."""
        await self._broker.step("join")
        self._broker.cluster._watchers.add(self)
        self._beat()
        self._jobs = [asyncio.create_task(self._heartbeats()), asyncio.create_task(self._pump())]

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
        await self._broker.step("bounds")
        logs = self._broker.cluster.logs
        return {where: (logs[where].first, logs[where].end) for where in partitions}

    def attach(self, inbox: Inbox) -> None:
        """Fill this inbox from now on."""
        inbox.on_room = self._room
        for where in inbox.inputs:
            self._inboxes[where] = inbox
        self.wake.set()

    def detach(self, inbox: Inbox) -> None:
        """Stop filling it."""
        inbox.on_room = None
        for where in inbox.inputs:
            if self._inboxes.get(where) is inbox:
                del self._inboxes[where]

    def connected(self) -> bool:
        """Whether the broker answers."""
        return not self._broker.dead and self._broker._thawed.is_set()

    async def close(self) -> None:
        """Leave the group."""
        for job in self._jobs:
            job.cancel()
        self._broker.cluster._watchers.discard(self)
        if not self._broker.dead and self._group.members.pop(self, None) is not None:
            self._broker.cluster._rebalance(self._group)

    def _room(self, each: Input) -> None:
        each.paused = False
        self.wake.set()

    def _beat(self) -> None:
        group, now_s = self._group, asyncio.get_running_loop().time()
        gone = [member for member, heard_s in group.members.items() if now_s - heard_s > SESSION_S]
        for member in gone:
            del group.members[member]
            group.given.pop(member, None)
        joined = self not in group.members
        group.members[self] = now_s
        if joined or gone:
            self._broker.cluster._rebalance(group)
        if (given := group.given[self]) is not self._assignment:
            self._assignment = given
            self._news.set()
            self.wake.set()

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S * self._broker.cluster.random.uniform(0.3, 1.0))
            await self._broker.gate()
            self._beat()

    async def _pump(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            await asyncio.sleep(self._broker.cluster.random.random() * self._broker.cluster.latency_s)
            await self._broker.gate()
            tasks: Mapping[int, Sequence[str]] = self._assignment.tasks if self._assignment else {}
            for task, topics in tasks.items():
                for topic in topics:
                    if (inbox := self._inboxes.get((topic, task))) is not None:
                        self._fill(inbox, (topic, task))

    def _fill(self, inbox: Inbox, where: Partition) -> None:
        each, log = inbox.inputs[where], self._broker.cluster.logs[where]
        if not log.first <= each.read <= log.end:
            inbox.fail(TooLate(f"{where[0]}[{where[1]}] has no offset {each.read}"))
            return
        each.paused = inbox.full(where)
        if not each.paused:
            records, read = log.read(each.read, _SLICE)
            inbox.offer(where, records, read)
            if read < log.stable():
                self.wake.set()
        inbox.know(where, log.stable(), log.end)
