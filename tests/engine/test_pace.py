"""Batches stay small enough: by the time they take to compute, and by the bytes that wait in a task's buffers."""

from __future__ import annotations

from mqlstream.engine.inbox import Inbox, Input
from mqlstream.engine.interfaces import Record
from mqlstream.engine.memory_log import Stored
from mqlstream.engine.pace import Pace


def test_batches_grow_to_the_whole_while_records_are_quick_to_compute():
    pace = Pace(20_000, 1.0)
    sizes = []
    for _ in range(6):
        sizes.append(pace.records)
        pace.note(pace.records, 0.001)
    assert sizes == [200, 6_400, 20_000, 20_000, 20_000, 20_000]


def test_a_batch_that_took_too_long_is_followed_by_one_that_does_not():
    pace = Pace(2_000, 1.0)
    for _ in range(5):
        pace.note(pace.records, 0.001)
    pace.note(2_000, 40.0)
    assert pace.records == 50
    pace.note(50, 1.0)
    assert pace.records == 50
    pace.note(50, 0.2)
    assert pace.records == 166  # which would take two thirds of the time


def test_there_is_always_a_next_record():
    pace = Pace(2_000, 1.0)
    pace.note(1, 300.0)
    assert pace.records == 1


def test_a_batch_smaller_than_the_limit_tells_nothing_of_larger_ones():
    pace = Pace(2_000, 1.0)
    pace.note(3, 0.0)
    assert pace.records == 200


def _record(offset: int, size: int) -> Record:
    return Stored("in", 0, offset, 0, None, b"x" * size, (), None)


def test_large_records_fill_an_inbox_before_many_do_and_it_has_room_again_when_they_are_taken():
    where = ("in", 0)
    inbox = Inbox({where: 0, ("other", 0): 0}, batch_records=100, batch_bytes=1_000)
    room: list[Input] = []
    inbox.on_room = room.append
    inbox.offer(where, [_record(number, 300) for number in range(3)], 3)
    assert not inbox.full(where)
    inbox.offer(where, [_record(3, 300)], 4)
    assert inbox.full(where)
    inbox.inputs[where].paused = True
    inbox.know(where, 4, 4)
    inbox.know(("other", 0), 0, 0)
    assert len(inbox.take(2, 0)) == 2
    assert room == []
    inbox.take(2, 0)
    assert [each.where for each in room] == [where]
    assert not inbox.full(where)
