"""Events are put in order, on disk when they are many."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.cli.sorting import Line, Sorter
from mqlstream.core.event import Event
from mqlstream.errors import UsageError
from mqlstream.offline import order_key

# Where UTF-16, bytes and code points sort differently, and where a text ends early in C.
NAMES = st.text(st.sampled_from(["a", "é", "\uffff", "\U0001f600", "\x00", "Z"]), max_size=3)


@st.composite
def some_lines(draw: st.DrawFn) -> list[Line]:
    lines = []
    for number in range(draw(st.integers(0, 12))):
        event = Event(draw(NAMES), draw(NAMES), "web_visit", draw(st.integers(0, 2)), "ann", {"path": draw(NAMES)})
        raw = orjson.dumps({"path": event.body["path"], "n": draw(st.integers(0, 2))})
        lines.append(Line(event, raw, f"odd\udcff.jsonl:{number}"))
    return lines


@given(some_lines(), st.integers(0, 12))
def test_lines_come_in_order_of_time_source_id_and_canonical_json(lines: list[Line], half: int) -> None:
    passed: list[int] = []
    with Sorter() as sorter:
        sorter.take(lines[:half])
        sorter.take(lines[half:])
        got = list(sorter.in_order(passed.append))
    # Lines of one event come in any order.
    assert [order_key(line.event, line.raw) for line in got] == sorted(order_key(line.event, line.raw) for line in lines)
    assert sorted(got, key=lambda line: line.place) == sorted(lines, key=lambda line: line.place)
    assert sum(passed) == sorter.size == sum(len(line.raw) for line in lines)
    assert all(not after.comes_before(line) for line, after in pairwise(got))


def many() -> Iterator[Line]:
    for number in range(5_000):
        event = Event("web", f"{number:09}", "web_visit", 7919 * number % 5_000, "ann", {"path": "/" + "x" * 200})
        yield Line(event, b"{}", f"-:{number}")


def test_what_memory_does_not_hold_is_sorted_on_disk() -> None:
    with Sorter(cache_kb=100) as sorter:
        sorter.take(many())
        assert [line.event.time for line in sorter.in_order(lambda _: None)] == list(range(5_000))


def test_a_full_disk_is_told() -> None:
    with largest_file(200_000), Sorter(cache_kb=100) as sorter, pytest.raises(UsageError, match="while events were put in order"):
        sorter.take(many())


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
