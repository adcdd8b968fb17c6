"""The score stage while ingest tasks catch up: whom it hands off when, batch by batch, and what does not wait."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from mqlstream import metrics, offline, wire
from mqlstream.core.event import Event
from mqlstream.core.packing import unpack
from mqlstream.engine.interfaces import Effects
from mqlstream.handoff.contract import parse
from mqlstream.stages.score import ScoreProcessor, ScoreStage
from mqlstream.stages.watermark import SILENCE_MS
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
START = 1_793_610_000_000
HOUR = 3_600_000
WALL = START + 2_000 * HOUR
DEFINITION = """
definition: first
version: 1
rules:
  - {id: visit, on: web_visit, points: 60, decay: {half_life: 2d}}
  - {id: demo, on: form_fill, points: 30, decay: {half_life: 9d}}
qualify: {threshold: {total: 100}}
"""
COOLING = DEFINITION.replace("total: 100}", "total: 100}, rearm: {below: 60, cooldown: 1d}")


def visit(after_hours: int, lead: str = "ann") -> Event:
    return Event("s", f"{lead} {after_hours}", "web_visit", START + after_hours * HOUR, lead, {"path": "/"})


def behind(before_hours: int, task: int = 0, tasks: int = 1) -> wire.Frontier:
    return wire.Frontier(task, tasks, START + before_hours * HOUR)


LIVE = wire.Frontier(0, 1, None)


class Task:
    """A task of the stage, which can be restored from what it wrote."""

    def __init__(self, definition: str = DEFINITION) -> None:
        self.stage = ScoreStage(TOPICS, offline.compile_texts([definition]))
        self._offset = 0
        self.written: list[Effects] = []
        self.processor = self.stage.processor(0)

    def read(self, *items: Event | wire.Frontier | Read, wall_ms: int | None = None) -> list[tuple[str, str, int]]:
        """One batch; returns (type, lead, as_of) of every handoff."""
        self.written.append(self.processor.process([self._record(item) for item in items], wall_ms))
        found = [parse(each.value, each.headers) for each in self.written[-1].outputs if each.topic == TOPICS.handoff]
        return [(each.type.split(".")[2], each.lead_id, (each.data["as_of"] - START) // HOUR) for each in found]

    def restart(self) -> ScoreProcessor:
        self.processor = self.stage.processor(0)
        for effects in self.written:
            for key, value in effects.changelog:
                self.processor.restore(key, value)
        return self.processor

    def states(self) -> dict[bytes, Any]:
        changes = {key: value for effects in self.written for key, value in effects.changelog}
        return {key: unpack(value or b"") for key, value in changes.items() if not key.startswith(b"\x00")}

    def _record(self, item: Event | wire.Frontier | Read) -> Read:
        self._offset += 1
        if isinstance(item, Read):
            return item
        if isinstance(item, Event):
            return Read(wire.key_of(item.lead), wire.encode(item), self._offset, item.time)
        return Read(*wire.broadcast(item), self._offset, WALL)


@pytest.mark.parametrize("restart", [False, True])
def test_a_lead_is_handed_off_once_its_older_events_have_come(restart: bool) -> None:
    task = Task()
    assert task.read(behind(0), visit(50), visit(51)) == []
    if restart:
        task.restart()
    assert task.read(visit(10), visit(11), behind(20)) == [("became_mql", "ann", 11)]
    assert task.read(LIVE) == []


def test_what_was_in_time_is_handed_off_while_others_still_catch_up() -> None:
    task = Task()
    assert task.read(behind(0), visit(10), visit(11), visit(40), visit(41, "bob"), visit(42, "bob"), behind(12)) == [
        ("became_mql", "ann", 11)
    ]
    assert task.read(behind(42)) == [], "bob may have another event in that very moment"
    assert task.read(behind(43)) == [("became_mql", "bob", 42)]


def test_once_all_keep_up_leads_that_waited_are_reviewed_in_turn_and_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mqlstream.stages.score._REVIEWED_AT_ONCE", 2)
    task = Task()
    task.read(
        behind(0),
        *[visit(hours, f"lead {hours}") for hours in (7, 5, 3, 1)],
        *[visit(hours + 1, f"lead {hours}") for hours in (7, 5, 3, 1)],
    )
    assert task.processor.due_ms() is not None
    assert [lead for _, lead, _ in task.read(LIVE)] == ["lead 1", "lead 3"]
    assert task.processor.due_ms() == 0
    assert [lead for _, lead, _ in task.read(wall_ms=WALL)] == ["lead 5", "lead 7"]
    assert task.processor.due_ms() is None


def test_an_event_does_not_overtake_a_review_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mqlstream.stages.score._REVIEWED_AT_ONCE", 0)
    task = Task()
    task.read(behind(0), visit(10), visit(11))
    assert task.read(LIVE) == []
    assert task.read(visit(900)) == [("became_mql", "ann", 11)]


def test_a_lead_that_cannot_qualify_does_not_wait() -> None:
    task = Task()
    task.read(behind(0), visit(10))
    assert task.states()[b"ann"].unreviewed == -1


def test_timers_wait_too_and_nobody_looks_for_them_in_vain() -> None:
    task = Task(COOLING)
    assert task.read(behind(0), visit(10), visit(11), behind(12)) == [("became_mql", "ann", 11)]
    assert task.read(wall_ms=WALL) == []
    due_ms = task.processor.due_ms()
    assert due_ms is not None and due_ms > WALL
    assert task.read(visit(30), LIVE, wall_ms=WALL)[0][:2] == ("cooled", "ann")


def test_timers_fire_between_events_that_came_earlier() -> None:
    task = Task(COOLING)
    assert task.read(behind(0), visit(10), visit(11), visit(900), visit(901), behind(12)) == [("became_mql", "ann", 11)]
    (cooled, again) = task.read(LIVE)
    assert cooled[:2] == ("cooled", "ann") and cooled[2] < 900
    assert again == ("became_mql", "ann", 901)


def test_a_task_that_is_silent_is_not_waited_for() -> None:
    task = Task()
    assert task.read(behind(0, tasks=2), visit(10), visit(11), wall_ms=WALL) == []
    assert task.processor.due_ms() == WALL + SILENCE_MS
    assert task.read(wall_ms=WALL + SILENCE_MS) == [("became_mql", "ann", 11)]


def test_a_broadcast_that_cannot_be_read_goes_aside() -> None:
    task = Task()
    bad = [Read(b"\x00frontier", b"{}", 1, WALL), Read(b"\x00else", b"{}", 2, WALL)]
    assert task.read(*bad, visit(10), visit(11)) == [("became_mql", "ann", 11)]
    dead = [each for each in task.written[-1].outputs if each.topic == TOPICS.dead_letters]
    assert sorted(each.key or b"" for each in dead) == [b"\x00else", b"\x00frontier"]
    assert {dict(each.headers)["mqlstream.reason"] for each in dead} == {b"bad_record"}


def test_the_time_of_a_broadcast_is_no_clock() -> None:
    task = Task(COOLING)
    assert task.read(visit(10), visit(11)) == [("became_mql", "ann", 11)]
    assert task.read(LIVE, visit(12)) == [], "WALL is long after the score fell"


def log(rng: random.Random) -> list[Event | wire.Frontier]:
    """Events in no order at all, and what two ingest tasks may say between them."""
    found: list[Event | wire.Frontier] = []
    for number in range(60):
        if rng.random() < 0.25:
            found.append(wire.Frontier(rng.randrange(2), 2, rng.choice([None, None, START + rng.randrange(100) * HOUR])))
        else:
            kind, lead = rng.choice(["web_visit", "form_fill"]), rng.choice(["ann", "bob"])
            found.append(Event("s", f"e{number}", kind, START + rng.randrange(100) * HOUR + number, lead, {}))
    return [*found, wire.Frontier(0, 2, None), wire.Frontier(1, 2, None)]


def handed_off(
    task: Task, batches: Sequence[Sequence[Event | wire.Frontier]], restarts: random.Random | None
) -> list[tuple[str, str, int]]:
    found = []
    for batch in batches:
        found += task.read(*batch)
        if restarts is not None and restarts.random() < 0.3:
            task.restart()
    return sorted(found)


@pytest.mark.parametrize("seed", range(40))
def test_what_happens_does_not_depend_on_how_the_log_is_cut_into_batches(seed: int) -> None:
    rng = random.Random(seed)
    items = log(rng)
    one_by_one, at_random = Task(), Task()
    cuts = sorted(rng.sample(range(len(items)), 6))
    batches = [items[low:high] for low, high in zip([0, *cuts], [*cuts, len(items)], strict=True)]
    expected = handed_off(one_by_one, [[item] for item in items], None)
    assert handed_off(at_random, batches, rng) == expected
    for lead, state in one_by_one.states().items():
        other = at_random.states()[lead]
        assert (other.entries, other.tracks, other.unreviewed) == (state.entries, state.tracks, -1)


def waiting() -> float | None:
    return metrics.REGISTRY.get_sample_value("mqlstream_waiting_reviews_leads")


def test_metrics_tell_how_many_leads_wait_and_how_old_the_watermark_is() -> None:
    task = Task()
    later = START + 9 * HOUR
    assert (waiting(), task.stage.held.age_ms(later)) == (0, 0)
    task.read(behind(1), visit(1), visit(2), visit(1, "bob"), visit(2, "bob"))
    assert (waiting(), task.stage.held.age_ms(later)) == (2, 8 * HOUR)
    task.read(LIVE, visit(3))
    task.read()
    assert (waiting(), task.stage.held.age_ms(later)) == (0, 0)
    assert metrics.REGISTRY.get_sample_value("mqlstream_watermark_age_seconds") == 0


def test_a_task_that_has_not_spoken_yet_makes_the_watermark_no_older() -> None:
    task = Task()
    task.read(behind(5, task=0, tasks=2), visit(1), visit(2))
    assert (waiting(), task.stage.held.age_ms(START + 9 * HOUR)) == (1, 0)
