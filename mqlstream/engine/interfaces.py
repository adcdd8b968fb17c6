"""What the engine asks of a broker, and what it offers to a stage. Only types live here.

A stage is (input topics, changelog, step); a task is one partition of it. A broker is anything that implements
`Broker`: Kafka through aiokafka (`mqlstream.engine.kafka`) or the in-memory one (`mqlstream.engine.memory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]


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
    """A record to write. ``partition`` None: by murmur2 of the key, as Kafka's own clients do. ``timestamp`` None: now."""

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
    is restored from the changelog, so it may change its memory in place.
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
    """``inputs`` are full topic names; ``changelog`` is the topic that keeps the task's table and its position."""

    name: str
    inputs: Sequence[str]
    changelog: str
    digest: str  # what workers must share to share the work: the definitions' digests; may be empty

    def processor(self, task: int) -> Processor:
        """A new, empty processor for one task."""
