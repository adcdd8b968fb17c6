"""What an ingest task tells of how far it has read: when it catches up, and when it keeps up."""

from __future__ import annotations

import pytest

from mqlstream.engine.surroundings import Surroundings
from mqlstream.stages.frontier import Reading
from mqlstream.wire import Frontier, WireError, broadcast, decode, heard

NOW = 1_793_610_000_000
HOUR = 3_600_000


class World:
    """What is still to be read, and the task that reads."""

    def __init__(self) -> None:
        self.backlog: set[str] = set()
        self.reading = Reading(1)
        self.reading.attend(Surroundings(3, lambda: frozenset(self.backlog), lambda: NOW))

    def batch(self, **times: list[int]) -> tuple[Frontier | None, Frontier | None]:
        """Read events, by topic."""
        for topic, read in times.items():
            self.reading.newest[topic] = max(self.reading.newest.get(topic, 0), *read)
        return self.reading.speak({topic: read[0] for topic, read in times.items()})


def at(before_ms: int | None) -> Frontier:
    return Frontier(1, 3, before_ms)


def test_a_task_with_nothing_to_read_says_so_once() -> None:
    world = World()
    owing = [world.reading.owes_word]
    assert world.batch() == (None, at(None))
    owing.append(world.reading.owes_word)
    assert owing == [True, False]
    assert world.batch() == (None, None)


def test_a_task_that_keeps_up_says_nothing_more_even_of_old_events() -> None:
    world = World()
    world.batch()
    assert world.batch(visits=[NOW - 1]) == (None, None)
    assert world.batch(visits=[NOW - HOUR], forms=[NOW]) == (None, None)
    world.backlog = {"forms"}
    assert world.batch(visits=[NOW]) == (None, None), "a few fresh records always wait somewhere"


def test_a_quiet_topic_whose_next_record_is_on_its_way_is_no_backlog() -> None:
    world = World()
    world.backlog = {"forms"}
    world.batch(forms=[NOW - 9 * HOUR])
    world.backlog = set()
    assert world.batch() == (None, at(None))
    world.backlog = {"forms"}
    assert world.batch(visits=[NOW]) == (None, None)
    assert world.batch(visits=[NOW]) == (None, None)
    assert world.batch(forms=[NOW - 9 * HOUR, NOW - 8 * HOUR]) == (at(NOW - 9 * HOUR), at(NOW - 8 * HOUR))
    assert world.batch(visits=[NOW]) == (None, at(NOW - 8 * HOUR))


def test_the_first_events_are_announced_before_they_are_written() -> None:
    world = World()
    world.backlog = {"visits", "forms"}
    assert world.batch(visits=[NOW - 9 * HOUR, NOW - 8 * HOUR]) == (at(0), at(0))
    assert world.batch(forms=[NOW - 7 * HOUR]) == (None, at(NOW - 8 * HOUR))


def test_the_frontier_is_the_oldest_among_the_topics_with_more_to_come() -> None:
    world = World()
    world.backlog = {"visits", "forms"}
    read = {"visits": [NOW - 9 * HOUR, NOW - 8 * HOUR], "forms": [NOW - 20 * HOUR, NOW - 4 * HOUR]}
    assert world.batch(**read) == (at(NOW - 20 * HOUR), at(NOW - 8 * HOUR))
    world.backlog = {"forms"}
    assert world.batch() == (None, at(NOW - 4 * HOUR))
    world.backlog = set()
    assert world.batch() == (None, at(None))


def test_an_archive_that_fits_into_one_batch_is_announced_too() -> None:
    assert World().batch(visits=[NOW - HOUR]) == (at(NOW - HOUR), at(None))


def test_a_task_that_falls_behind_says_so_before_it_writes_what_is_old() -> None:
    world = World()
    world.batch()
    world.backlog = {"visits"}
    assert world.batch(visits=[NOW - 9 * HOUR, NOW - 8 * HOUR]) == (at(NOW - 9 * HOUR), at(NOW - 8 * HOUR))


def test_a_topic_that_begins_further_back_takes_the_frontier_back_in_time() -> None:
    world = World()
    world.backlog = {"visits"}
    world.batch(visits=[NOW - 9 * HOUR])
    world.backlog = {"visits", "forms"}
    assert world.batch(forms=[NOW - 40 * HOUR]) == (at(NOW - 40 * HOUR), at(NOW - 40 * HOUR))


def test_a_processor_that_was_told_nothing_of_the_world_says_nothing() -> None:
    reading = Reading(0)
    assert not reading.owes_word
    assert reading.speak({"visits": NOW}) == (None, None)


@pytest.mark.parametrize("before_ms", [None, 0, NOW])
def test_a_broadcast_reads_as_it_was_written_and_is_no_event(before_ms: int | None) -> None:
    key, value = broadcast(at(before_ms))
    assert heard(key, value) == at(before_ms)
    with pytest.raises(WireError):
        decode(value)


def test_a_lead_s_record_is_no_broadcast() -> None:
    assert heard(b"ann", b"{}") is None
    assert heard(None, b"{}") is None
    assert heard(b"", None) is None


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        (b"\x00frontier", b'{"task":-1,"tasks":3,"before_ms":null}', "no broadcast b'frontier': Expected `int` >= 0 - at `$.task`"),
        (b"\x00frontier", b'{"task":0,"tasks":3}', "no broadcast b'frontier': Object missing required field `before_ms`"),
        (b"\x00frontier", None, "no broadcast b'frontier': Input data was truncated"),
        (b"\x00else", b"{}", "got a broadcast b'else', expected one of b'frontier', b'activation'"),
    ],
)
def test_a_broadcast_that_cannot_be_read_is_told_why(key: bytes, value: bytes | None, text: str) -> None:
    with pytest.raises(WireError) as caught:
        heard(key, value)
    assert str(caught.value) == text
