"""Events put in order, however many: SQLite sorts them, on disk where they are more than some memory holds."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import NamedTuple, Self

from mqlstream import wire
from mqlstream.core.event import Event, order
from mqlstream.errors import UsageError
from mqlstream.offline import order_key

_CACHE_KB = 32_768

_SCHEMA = "CREATE TABLE lines (time INTEGER, source BLOB, id BLOB, event BLOB, raw BLOB, place BLOB)"
_PUT = "INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)"
_SORTED = "SELECT * FROM lines ORDER BY time, source, id"  # bytes of UTF-8 sort as code points do

_place = itemgetter(0, 1, 2)


class Line(NamedTuple):
    """An accepted event and where it stands."""

    event: Event
    raw: bytes
    place: str  # FILE:LINE

    @property
    def order(self) -> tuple[int, str, str]:
        """The event's place among those of its lead, but for events of one time, source and id."""
        return order(self.event)

    def comes_before(self, other: Line) -> bool:
        """Whether it must be scored before another."""
        if self.order != other.order:
            return self.order < other.order
        return order_key(self.event, self.raw) < order_key(other.event, other.raw)


def in_order(lines: Iterable[Line], passed: Callable[[int], None]) -> Iterator[Line]:
    """All lines in order; ``passed`` is told the bytes of each. Raises as `Sorter`."""
    with Sorter() as sorter:
        sorter.take(lines)
        yield from sorter.in_order(passed)


class Sorter:
    """Takes lines, and gives them back in order. Its file, where temporary ones are (TMPDIR), is gone when it is closed.

    ``cache_kb`` of memory are used before the disk is. ``size``: bytes of input taken. Raises `UsageError` when the disk is full.
    """

    def __init__(self, cache_kb: int = _CACHE_KB) -> None:
        self.size = 0
        with _room():
            self._lines = sqlite3.connect("", isolation_level=None)
            self._lines.execute(f"PRAGMA cache_size = -{cache_kb}")
            self._lines.execute("PRAGMA journal_mode = OFF")
            self._lines.execute(_SCHEMA)
            self._lines.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lines.close()

    def take(self, lines: Iterable[Line]) -> None:
        """Take some more."""
        with _room():
            self._lines.executemany(_PUT, map(self._row, lines))

    def in_order(self, passed: Callable[[int], None]) -> Iterator[Line]:
        """All lines by time, source and id; events that have these in common by their canonical JSON."""
        with _room():
            for _, tied in groupby(self._lines.execute(_SORTED), key=_place):
                several = [Line(wire.decode(event), raw, os.fsdecode(place)) for *_, event, raw, place in tied]
                for line in several if len(several) == 1 else sorted(several, key=lambda line: order_key(line.event, line.raw)):
                    passed(len(line.raw))
                    yield line

    def _row(self, line: Line) -> tuple[int, bytes, bytes, bytes, bytes, bytes]:
        self.size += len(line.raw)
        event = line.event
        return event.time, event.source.encode(), event.id.encode(), wire.encode(event), line.raw, os.fsencode(line.place)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        where = os.environ.get("TMPDIR", "/var/tmp or /tmp")
        raise UsageError(
            f"{where}: {error}, while events were put in order; expected room for some five times the input (TMPDIR names another folder)"
        ) from None
