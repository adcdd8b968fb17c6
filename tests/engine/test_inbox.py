"""How a task's records are buffered and merged."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from mqlstream.engine.inbox import Inbox
from mqlstream.engine.interfaces import Headers

A, B, C = ("a", 0), ("b", 0), ("c", 0)


@dataclass
class Rec:
    topic: str
    offset: int
    timestamp: int
    partition: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: Headers = ()


def _records(topic: str, *timestamps: int, start: int = 0) -> list[Rec]:
    return [Rec(topic, start + number, timestamp) for number, timestamp in enumerate(timestamps)]


def _inbox(*, skew_ms: int = 0, **ends: int) -> Inbox:
    inbox = Inbox({(topic, 0): 0 for topic in ends}, batch_records=10, max_skew_ms=skew_ms, hold_ms=1_000)
    for topic, end in ends.items():
        inbox.know((topic, 0), end, end)
    return inbox


def _take(inbox: Inbox, limit: int = 100, now_ms: int = 0) -> list[tuple[str, int]]:
    return [(record.topic, record.timestamp) for record in inbox.take(limit, now_ms)]


def test_one_partition_is_taken_in_order_up_to_the_limit():
    inbox = _inbox(a=3)
    inbox.offer(A, _records("a", 5, 3, 9), 3)
    assert _take(inbox, 2) == [("a", 5), ("a", 3)]
    assert inbox.positions() == {A: 2} and not inbox.caught_up()
    assert _take(inbox) == [("a", 9)]
    assert inbox.positions() == {A: 3} and inbox.caught_up()


def test_records_that_come_again_are_ignored():
    inbox = _inbox(a=4)
    inbox.offer(A, _records("a", 1, 2), 2)
    inbox.offer(A, _records("a", 1, 2, 3, 4), 4)
    assert _take(inbox) == [("a", 1), ("a", 2), ("a", 3), ("a", 4)]
    inbox.offer(A, _records("a", 1, 2), 2)
    assert not inbox.waiting and inbox.positions() == {A: 4}


def test_positions_pass_over_gaps_once_what_lies_before_them_is_taken():
    inbox = _inbox(a=9)
    inbox.offer(A, _records("a", 1, start=3), 9)
    assert inbox.positions() == {A: 3}
    _take(inbox)
    assert inbox.positions() == {A: 9} and inbox.caught_up()


def test_several_partitions_are_merged_by_timestamp():
    inbox = _inbox(a=3, b=2, c=0)
    inbox.offer(A, _records("a", 1, 4, 6), 3)
    inbox.offer(B, _records("b", 2, 5), 2)
    assert _take(inbox) == [("a", 1), ("b", 2), ("a", 4), ("b", 5), ("a", 6)]


def test_a_partition_with_data_on_its_way_holds_the_others_back():
    inbox = _inbox(a=2, b=10)
    inbox.offer(A, _records("a", 1, 50), 2)
    assert _take(inbox) == []
    assert inbox.held
    inbox.offer(B, _records("b", 20, 30), 2)
    assert _take(inbox) == [("a", 1), ("b", 20), ("b", 30)], "50 waits: b may have older ones than that"
    inbox.offer(B, (), 10)
    assert _take(inbox) == [("a", 50)], "there was only a gap"


def test_a_partition_may_run_ahead_by_the_skew():
    inbox = _inbox(skew_ms=20, a=3, b=10)
    inbox.offer(A, _records("a", 31, 50, 51), 3)
    inbox.offer(B, _records("b", 30), 1)
    assert _take(inbox) == [("b", 30), ("a", 31), ("a", 50)]


def test_a_partition_of_which_nothing_is_known_yet_holds_the_others_back_and_an_empty_one_does_not():
    inbox = Inbox({A: 0, B: 0}, batch_records=10)
    inbox.offer(A, _records("a", 1), 1)
    inbox.know(A, 1, 1)
    assert _take(inbox) == []
    inbox.know(B, 0, 0)
    assert _take(inbox) == [("a", 1)]


def test_a_partition_that_never_delivers_is_left_behind_loudly_until_it_does(caplog):
    inbox = _inbox(a=4, b=10)
    inbox.offer(A, _records("a", 1, 2), 2)
    with caplog.at_level(logging.WARNING):
        assert _take(inbox, now_ms=0) == [] and _take(inbox, now_ms=999) == []
        assert _take(inbox, now_ms=1_000) == []
        assert _take(inbox, now_ms=1_001) == [("a", 1), ("a", 2)]
    assert caplog.messages == ["b[0] has records but delivers none for 1 s; going on without it"]
    inbox.offer(B, _records("b", 0), 1)
    inbox.offer(A, _records("a", 3, start=2), 3)
    assert _take(inbox, now_ms=1_002) == [("b", 0)], "it delivers, so it counts again"


def test_the_source_hears_when_a_full_partition_has_room_again():
    inbox = _inbox(a=100)
    resumed: list[object] = []
    inbox.on_room = resumed.append
    inbox.offer(A, _records("a", *range(25)), 25)
    assert inbox.full(A)
    inbox.inputs[A].paused = True
    _take(inbox, 10)
    assert not resumed
    _take(inbox, 10)
    assert resumed == [inbox.inputs[A]]


@given(st.lists(st.lists(st.integers(0, 50), max_size=30).map(sorted), min_size=2, max_size=4), st.integers(1, 7), st.randoms())
def test_merging_partitions_that_are_in_order_gives_one_order_whatever_arrives_when(streams, limit, random):
    inbox = Inbox({(str(number), 0): 0 for number in range(len(streams))}, batch_records=5)
    for number, stamps in enumerate(streams):
        inbox.know((str(number), 0), len(stamps), len(stamps))
    given_out = [0] * len(streams)
    taken: list[tuple[str, int]] = []
    while len(taken) < sum(map(len, streams)):
        number = random.randrange(len(streams))
        step = random.randrange(4)
        start, stop = given_out[number], min(len(streams[number]), given_out[number] + step)
        inbox.offer((str(number), 0), _records(str(number), *streams[number][start:stop], start=start), stop)
        given_out[number] = stop
        taken += _take(inbox, limit)
    assert [timestamp for _, timestamp in taken] == sorted(timestamp for stamps in streams for timestamp in stamps)


@given(st.lists(st.lists(st.integers(0, 50), max_size=30), min_size=2, max_size=4), st.integers(1, 7))
def test_merging_partitions_in_no_order_loses_nothing_and_keeps_the_order_of_each(streams, limit):
    inbox = Inbox({(str(number), 0): 0 for number in range(len(streams))}, batch_records=5)
    for number, stamps in enumerate(streams):
        inbox.offer((str(number), 0), _records(str(number), *stamps), len(stamps))
        inbox.know((str(number), 0), len(stamps), len(stamps))
    taken: list[tuple[str, int]] = []
    while inbox.waiting:
        taken += _take(inbox, limit)
    assert [[timestamp for topic, timestamp in taken if topic == str(number)] for number in range(len(streams))] == streams
