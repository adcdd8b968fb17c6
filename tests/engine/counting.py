"""A stage small enough to know by heart what must come out, and strict enough to notice one record too many or too few.

For each key it keeps how many records it saw and a checksum over their offsets, in order; every third record of a key
makes an output. ``delete`` forgets the key, ``poison`` goes to the dead letters, and a minute after the first record of
a key that begins with ``lead`` a timer speaks once; others have no timer, so that what a delete does depends on no clock.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence

from mqlstream.engine.interfaces import Effects, Output, Record

TIMER_MS = 60_000


class Table:
    """key -> [records, checksum, timer due or 0]"""

    def __init__(self, outputs: str, dead_letters: str) -> None:
        self.rows: dict[bytes, list[int]] = {}
        self._outputs = outputs
        self._dead_letters = dead_letters

    def restore(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = json.loads(value)

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        changed: dict[bytes, None] = {}
        outputs: list[Output] = []
        for record in records:
            if record.key is None or record.value == b"poison":
                outputs.append(Output(self._dead_letters, record.key, f"{record.topic}/{record.partition}/{record.offset}".encode()))
                continue
            changed[record.key] = None
            if record.value == b"delete":
                self.rows.pop(record.key, None)
                continue
            row = self.rows.setdefault(record.key, [0, 0, record.timestamp + TIMER_MS if record.key.startswith(b"lead") else 0])
            row[0] += 1
            row[1] = zlib.crc32(str(record.offset).encode(), row[1])
            if row[0] % 3 == 0:
                outputs.append(Output(self._outputs, record.key, f"{row[0]}:{row[1]}".encode()))
        if wall_ms is not None:
            for key, row in self.rows.items():
                if row[2] and row[2] <= wall_ms:
                    row[2] = 0
                    changed[key] = None
                    outputs.append(Output(self._outputs, key, b"timer"))
        return Effects([(key, self._value(key)) for key in changed], outputs, note=len(records))

    def due_ms(self) -> int | None:
        return min((row[2] for row in self.rows.values() if row[2]), default=None)

    def committed(self, effects: Effects) -> None:
        pass

    def _value(self, key: bytes) -> bytes | None:
        return json.dumps(self.rows[key]).encode() if key in self.rows else None


class Counting:
    """The stage."""

    max_skew_ms = 0

    def __init__(self, inputs: Sequence[str] = ("in",), prefix: str = "", digest: str = "one") -> None:
        self.name = "count"
        self.inputs = [prefix + topic for topic in inputs]
        self.changelog = prefix + "changelog"
        self.outputs = prefix + "out"
        self.dead_letters = prefix + "dead"
        self.digest = digest

    def processor(self, task: int) -> Table:
        return Table(self.outputs, self.dead_letters)


def expected(stage: Counting, records: Iterable[Record]) -> tuple[dict[bytes, list[int]], list[tuple[bytes | None, bytes | None]]]:
    """One partition's rows and all outputs and dead letters, sorted, once every record and timer is through: one by one."""
    table = stage.processor(0)
    out: list[tuple[bytes | None, bytes | None]] = []
    for record in records:
        out += [(output.key, output.value) for output in table.process([record], None).outputs]
    out += [(output.key, output.value) for output in table.process([], 2**62).outputs]
    return table.rows, sorted(out, key=str)
