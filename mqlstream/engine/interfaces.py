"""What the engine asks of a broker, and what it offers to a stage. Only types live here.

A stage is (input topics, changelog, step); a task is one partition of it. A broker is anything that implements
`Broker`: Kafka through aiokafka (`mqlstream.engine.kafka`) or the in-memory one (`mqlstream.engine.memory`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from mqlstream.engine.inbox import Inbox

Headers = Sequence[tuple[str, bytes]]
Partition = tuple[str, int]  # topic, partition; aiokafka's TopicPartition is one
Positions = Mapping[Partition, int]  # the offset of the next record to read


class Record(Protocol):
    """A record read from a topic; aiokafka's ConsumerRecord is one. ``timestamp`` is epoch milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class Output(NamedTuple):
    """A record to write. ``timestamp`` None: now.

    ``partition`` None: by the key, as Kafka's own clients do (murmur2; a huge key's partition may be another).
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp: int | None = None


@dataclass(slots=True)
class Effects:
    """All that one batch does, committed as a whole or not at all.

    ``changelog`` goes to the task's own changelog partition, later records of a key superseding earlier ones.
    ``note`` is whatever the processor wants back in `Processor.committed` (counts, for the metrics).
    """

    changelog: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    note: Any = None


class Processor(Protocol):
    """The work of one task: holds the task's table. Synchronous, no I/O, no clock of its own.

    After an error anywhere between `process` and the end of the commit the processor is thrown away and a new one
    is restored from the changelog, so it may change its memory in place. One that wants to know more of the task's
    surroundings implements `mqlstream.engine.surroundings.Attentive` as well.
    """

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record, in log order; ``value`` None is a tombstone."""

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        """Apply records in order. ``wall_ms`` is wall time when the task has caught up with its input, else None."""

    def due_ms(self) -> int | None:
        """The clock at which `process` wants to be called even without records; None when nothing waits."""

    def committed(self, effects: Effects) -> None:
        """The effects are now in the log, exactly once: the place for counting."""


class Stage(Protocol):
    """``inputs`` are full topic names; ``changelog`` is the topic that keeps the task's table and its position.

    A stage with several inputs may have ``max_skew_ms: int`` as well (0 without it): how far, by record timestamp, one
    topic may be read ahead of another that still has data waiting.

    ``phase: float`` (0 without it, below 1) says when within a commit interval the stage's tasks commit: later than the stage
    it reads from.
    """

    @property
    def name(self) -> str:
        """Short and lasting: it is in the names of groups, transactional ids and position records."""

    @property
    def inputs(self) -> Sequence[str]:
        """Topics to read."""

    @property
    def changelog(self) -> str:
        """The topic of the table and the positions."""

    @property
    def digest(self) -> str:
        """What workers must share to share the work: the definitions' digests; may be empty."""

    def processor(self, task: int) -> Processor:
        """A new, empty processor for one task."""


class Fenced(Exception):
    """Another worker took over the task: its producer's transactional id has a newer owner."""


class Refused(Exception):
    """The broker will never take this record (too large, invalid); the text says which record and why."""


class Unable(Exception):
    """A processor can't go on, for a reason that lies in this worker and not in its memory or the broker.

    The text says what was got and what would help; it is shown as the task's reason, so it tells nothing of any lead.
    """


class TryAgain(Exception):
    """This commit failed, but the next attempt will be made differently and may go through."""


class TooLate(Exception):
    """A position lies outside its partition: records were deleted before they were read, or the topic is another one."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One transaction: the changelog records (position last), the outputs, and the group's offsets; none: they stay as they are."""

    changelog: Partition
    records: Sequence[tuple[bytes, bytes | None]]
    outputs: Sequence[Output]
    offsets: Positions


class Writer(Protocol):
    """The transactional producer of one task. After any exception it is of no use any more and is closed."""

    async def commit(self, commit: Commit) -> None:
        """Write it all or nothing. Raises `Fenced`, `Refused`, `TryAgain`, or anything else when the result is unknown."""

    async def close(self) -> None:
        """Let go of it, in bounded time; a transaction still open is left for the broker, or a successor, to abort."""


class Chunk(NamedTuple):
    """Some records of a changelog partition in log order, and the offsets still ahead of the end."""

    records: Sequence[tuple[bytes, bytes | None]]
    remaining: int


class Assignment(NamedTuple):
    """What the group gave this worker.

    ``tasks``: each task's topics. ``refused``: why it gets none, or empty. ``owners``: who has each task, by URL.
    ``partitions``: how many each input topic has now.
    """

    generation: int
    tasks: Mapping[int, Sequence[str]]
    refused: str
    owners: Mapping[int, str]
    partitions: Mapping[str, int]


class Source(Protocol):
    """One worker's membership in a stage's group, and the records of its tasks' partitions, read-committed.

    An attached inbox is filled from the position it stands at, for as long as its partitions are assigned, also
    across rebalances; nothing else is read.
    """

    async def start(self) -> None:
        """Join the group. Raises when the broker cannot be reached."""

    async def changed(self, timeout: float) -> Assignment | None:
        """The newest assignment, as soon as it differs from the one last returned; None after ``timeout`` seconds.

        Raises when the membership is lost for good and a new source is needed.
        """

    async def bounds(self, partitions: Iterable[Partition]) -> Mapping[Partition, tuple[int, int]]:
        """First offset and end offset (that of the next record to be written) of each partition."""

    def attach(self, inbox: Inbox) -> None:
        """Fill this inbox from now on."""

    def detach(self, inbox: Inbox) -> None:
        """Stop filling it."""

    def connected(self) -> bool:
        """Whether the broker answered lately."""

    async def close(self) -> None:
        """Leave the group, in bounded time."""


class Member(NamedTuple):
    """How a worker presents itself to a stage's group."""

    group: str
    topics: Sequence[str]
    digest: str
    url: str


class Broker(Protocol):
    """Where records live."""

    async def partitions(self, topics: Iterable[str]) -> Mapping[str, int]:
        """Partition count of each topic that exists. Raises `UnreachableError`."""

    def source(self, member: Member) -> Source:
        """A new member of a group, not yet joined."""

    async def writer(self, transactional_id: str, group: str) -> Writer:
        """A new owner of the id: when this returns, all older ones are fenced and their open transactions aborted."""

    def restore(self, partition: Partition) -> AsyncGenerator[Chunk, None]:
        """What is committed in a changelog partition, from its beginning to its end as it is at the first step."""

    def wall_ms(self) -> int:
        """Wall clock, epoch milliseconds."""
