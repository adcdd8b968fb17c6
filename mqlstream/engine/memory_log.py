"""One partition's log in memory: records, transactions, markers, compaction. Who may write what is the cluster's business."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from mqlstream.engine.interfaces import Headers, Output, Partition

_MARKER = -1  # the timestamp of a marker


@dataclass(slots=True)
class Transaction:
    """``state``: open, committed or aborted."""

    state: str = "open"
    touched: set[Partition] = field(default_factory=set)
    offsets: dict[str, dict[Partition, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Stored:
    """A record in a log; a marker of a transaction's end has no timestamp (-1) and is never handed out."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    transaction: Transaction | None


class Log:
    """One partition. Offsets never change; there may be gaps."""

    def __init__(self) -> None:
        self.entries: list[Stored] = []
        self.first = 0
        self.end = 0
        self._open: dict[int, int] = {}  # by identity of the transaction: the offset of its first record here

    def append(self, where: Partition, output: Output, now_ms: int, transaction: Transaction | None) -> None:
        """Write at the end."""
        timestamp = now_ms if output.timestamp is None else output.timestamp
        entry = Stored(*where, self.end, timestamp, output.key, output.value, output.headers, transaction)
        self.entries.append(entry)
        if transaction is not None:
            self._open.setdefault(id(transaction), self.end)
        self.end += 1

    def mark(self, where: Partition, transaction: Transaction) -> None:
        """Write the marker of a transaction's end."""
        self.entries.append(Stored(*where, self.end, _MARKER, None, None, (), transaction))
        self._open.pop(id(transaction), None)
        self.end += 1

    def stable(self) -> int:
        """The last stable offset: that of the first record of an open transaction, or the end."""
        return min(self._open.values(), default=self.end)

    def read(self, position: int, limit: int) -> tuple[list[Stored], int]:
        """Up to ``limit`` committed records from an offset on, and the offset to go on from, past markers and gaps."""
        stable = self.stable()
        records: list[Stored] = []
        for index in range(bisect_left(self.entries, position, key=lambda entry: entry.offset), len(self.entries)):
            entry = self.entries[index]
            if entry.offset >= stable or len(records) == limit:
                return records, min(entry.offset, stable)
            if entry.timestamp != _MARKER and (entry.transaction is None or entry.transaction.state == "committed"):
                records.append(entry)
        return records, max(position, stable)

    def committed(self) -> list[Stored]:
        """Everything a read-committed reader would see."""
        return self.read(self.first, len(self.entries) + 1)[0]

    def compact(self) -> None:
        """Keep, of what lies before the last stable offset, the last record of each key; no tombstones. Offsets stay."""
        last = {entry.key: entry.offset for entry in self.committed()}
        stable = self.stable()
        self.entries = [entry for entry in self.entries if entry.offset >= stable or self._stays(entry, last)]

    @staticmethod
    def _stays(entry: Stored, last: Mapping[bytes | None, int]) -> bool:
        return entry.timestamp != _MARKER and last.get(entry.key) == entry.offset and entry.value is not None

    def delete_before(self, offset: int) -> None:
        """As retention does."""
        self.entries = [entry for entry in self.entries if entry.offset >= offset]
        self.first = offset
