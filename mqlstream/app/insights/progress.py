"""What was read of each partition, and how far it was handled: what may be committed. No Kafka."""

from __future__ import annotations

from collections import deque

from mqlstream.app.framework import QuietApp  # noqa: F401  # Faust is loaded by it, and by nobody before

# isort: split
from faust.types import TP


class Skipped(Exception):
    """A record was read and has not come to the agent, or not in its turn."""


class Progress:
    """What was read of each partition, and how far it was handled."""

    def __init__(self) -> None:
        self._read: dict[TP, deque[int]] = {}
        self.done: dict[TP, int] = {}  # partition -> the offset to go on from
        self.committed: dict[TP, int] = {}

    def begin(self) -> None:
        """Partitions and positions are new: forget the old ones."""
        self._read.clear()
        self.done.clear()
        self.committed.clear()

    def read(self, partition: TP, offset: int) -> None:
        """A record is on its way to the agent."""
        self._read.setdefault(partition, deque()).append(offset)

    def handled(self, partition: TP, offset: int) -> None:
        """The agent has done with a record. Raises `Skipped` when it was not the next one."""
        waiting = self._read.get(partition)
        expected = waiting.popleft() if waiting else None
        if expected != offset:
            raise Skipped(f"{partition.topic}[{partition.partition}]: offset {offset} came to the agent, expected {expected}")
        self.done[partition] = offset + 1

    def uncommitted(self) -> dict[TP, int]:
        return {partition: offset for partition, offset in self.done.items() if self.committed.get(partition) != offset}
