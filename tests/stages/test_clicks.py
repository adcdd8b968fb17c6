"""Mail scanners within the score stage: their clicks are marked, also the earlier ones, and all of it survives a restart."""

from __future__ import annotations

from typing import Any

import pytest

from mqlstream import offline, wire
from mqlstream.core.event import Event
from mqlstream.core.packing import unpack
from mqlstream.core.state import MACHINE
from mqlstream.engine.interfaces import Output
from mqlstream.handoff.contract import parse
from mqlstream.ingest.machines import DEFAULT_RULES, KEPT_MS, Rules
from mqlstream.offline import Replay
from mqlstream.stages.clicks import CHANGELOG_KEY
from mqlstream.stages.score import ScoreOptions, ScoreStage
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
START = 1_793_610_000_000
DEFINITION = """
definition: d
version: 1
rules:
  - {id: click, on: email_click, where: {action: click}, points: 60}
  - {id: scan, on: email_click, where: {action: click}, machine: true, points: 0.5}
  - {id: demo, on: form_fill, points: 100}
qualify: {threshold: {total: 100}}
"""


class Task:
    """A task of the stage that reads what it writes."""

    def __init__(self, rules: Rules = DEFAULT_RULES) -> None:
        self.stage = ScoreStage(TOPICS, offline.compile_texts([DEFINITION]), ScoreOptions(machines=rules))
        self.processor = self.stage.processor(0)
        self.log: list[tuple[bytes, bytes | None]] = []
        self.handoffs: list[str] = []
        self.offset = 0

    def restart(self) -> None:
        self.processor = self.stage.processor(0)
        for key, value in self.log:
            self.processor.restore(key, value)

    def read(self, *events: Event, wall_ms: int | None = None) -> list[Event]:
        """One batch; gives the commands that it wrote, which are read in the next one."""
        effects = self.processor.process([self._record(event) for event in events], wall_ms)
        self.log += effects.changelog
        told = [output for output in effects.outputs if output.topic == TOPICS.lead_events]
        self.handoffs += [parse(out.value, out.headers).type.split(".")[2] for out in effects.outputs if out.topic == TOPICS.handoff]
        return [wire.decode(output.value or b"") for output in told if self._is_right(output)]

    def frontier(self, before_ms: int | None) -> None:
        """An ingest task tells how far it has read; None: it keeps up."""
        key, value = wire.broadcast(wire.Frontier(0, 1, before_ms))
        self.offset += 1
        self.log += self.processor.process([Read(key, value, self.offset, START)], None).changelog

    def settle(self, *events: Event) -> None:
        todo = list(events)
        while todo:
            todo = self.read(*todo)

    def flags(self) -> dict[str, bool]:
        """By id, whether the event in the lead's ledger is a machine's."""
        record = dict(self.log)[b"ann"]
        assert record is not None
        return {entry.id: bool(entry.flags & MACHINE) for entry in unpack(record).entries}

    def remembered(self) -> list[bytes]:
        return [key for key, value in dict(self.log).items() if key.startswith(CHANGELOG_KEY) and value is not None]

    def _record(self, event: Event) -> Read:
        self.offset += 1
        return Read(wire.key_of(event.lead), wire.encode(event), self.offset, event.time)

    def _is_right(self, output: Output) -> bool:
        return output.key == b"ann" and output.partition == wire.partition_of(b"ann", self.stage.options.partitions)


def click(number: int, after_ms: int) -> Event:
    body = {"action": "click", "message_id": "m", "url": f"https://a.example/{number}"}
    return Event("mailer", f"c{number}", "email_click", START + after_ms, "ann", body)


def test_a_scanners_clicks_are_marked_and_so_is_the_one_that_came_first():
    task = Task()
    task.settle(click(1, 0))
    assert task.flags() == {"c1": False}
    commands = task.read(click(2, 800))
    assert [(command.body["do"], command.body["event_id"]) for command in commands] == [("machine_verdict", "c1")]
    assert task.flags() == {"c1": False, "c2": True}, "the earlier one is marked when the command comes in the lead's order"
    task.settle(*commands)
    assert task.flags() == {"c1": True, "c2": True}
    assert task.handoffs == []


def test_a_handoff_that_a_scanner_made_is_withdrawn_and_a_form_is_never_held_back():
    task = Task()
    task.settle(click(1, 0), click(2, 3_000))
    assert task.handoffs == ["became_mql"]
    task.settle(click(3, 4_000), click(4, 500))
    assert task.handoffs == ["became_mql", "mql_withdrawn"]
    assert set(task.flags().values()) == {True}
    form = Event("forms", "f", "form_fill", START + 4_100, "ann", {"form": "demo"})
    task.settle(form)
    assert task.handoffs == ["became_mql", "mql_withdrawn", "became_mql"]
    assert not task.flags()["f"]


def test_a_restart_between_the_clicks_of_a_burst_changes_nothing():
    plain, restarted = Task(), Task()
    for event in (click(1, 0), click(2, 900), click(3, 5_000), click(4, 5_500)):
        plain.settle(event)
        restarted.settle(event)
        restarted.restart()
    assert restarted.flags() == plain.flags()
    assert set(plain.flags().values()) == {True}


def test_what_is_remembered_of_clicks_goes_a_day_later_and_with_an_erased_lead():
    task = Task()
    task.settle(click(1, 0))
    assert task.remembered() == [CHANGELOG_KEY + b"ann"]
    task.restart()
    task.read(wall_ms=START + KEPT_MS)
    assert task.remembered() == [CHANGELOG_KEY + b"ann"], "after a restart the day begins anew"
    task.read(wall_ms=START + 2 * KEPT_MS + 1)
    assert task.remembered() == []
    task.settle(click(2, 0), Event("ops", "x", "command", START + 1, "ann", {"do": "erase"}))
    assert task.remembered() == []


WAITING = Rules(visit_ms=60_000)
DELIVERED = Event("mailer", "d", "email_click", START - 30_000, "ann", {"action": "delivered", "message_id": "m"})


def visit(after_ms: int, machine: bool = False) -> Event:
    return Event("web", f"v{after_ms}", "web_visit", START + after_ms, "ann", {"path": "/"}, machine=machine)


def test_a_click_that_no_visit_follows_is_marked_when_its_time_is_over_though_nothing_more_comes():
    task = Task(WAITING)
    task.settle(DELIVERED, click(1, 0), click(2, 40_000))
    assert task.handoffs == ["became_mql"]
    assert task.processor.due_ms() == START + 60_000
    assert task.read(wall_ms=START + 59_999) == []
    task.restart()
    assert task.processor.due_ms() == START + 60_000, "also after a restart"
    (command,) = task.read(wall_ms=START + 60_000)
    assert (command.time, command.body["event_id"], command.body["reason"]) == (START + 60_000, "c1", "soon+unvisited")
    assert task.processor.due_ms() is None, "the other click has no other weak sign"
    task.settle(command)
    assert (task.flags()["c1"], task.flags()["c2"]) == (True, False)
    assert task.handoffs == ["became_mql", "mql_withdrawn"]


@pytest.mark.parametrize(("came", "found"), [(visit(1_000), []), (visit(1_000, machine=True), ["c1"]), (visit(60_000), ["c1"])])
def test_a_visit_within_the_time_speaks_for_a_person_whenever_it_is_told(came: Event, found: list[str]):
    for events in ([DELIVERED, click(1, 0), came], [came, click(1, 0), DELIVERED]):
        task = Task(WAITING)
        task.settle(*events)
        assert [command.body["event_id"] for command in task.read(wall_ms=START + 60_000)] == found


def test_while_older_events_are_still_to_come_no_visit_is_missed():
    task = Task(WAITING)
    task.settle(DELIVERED, click(1, 0))
    task.frontier(START + 60_000)
    assert task.read(wall_ms=START + 90_000) == []
    assert task.read(visit(30_000), wall_ms=START + 90_000) == []
    task.frontier(None)
    assert task.read(wall_ms=START + 90_000) == [], "the visit was on its way"


def test_an_event_that_fails_leaves_the_verdicts_of_its_neighbours():
    task = Task()
    bad = Event("mailer", "bad", "command", START + 850, "ann", {"do": "no such thing"})
    commands = task.read(click(1, 0), click(2, 800), bad)
    assert [command.body["event_id"] for command in commands] == ["c1"]


@pytest.mark.parametrize("visited", [False, True])
def test_offline_a_click_without_a_visit_is_marked_at_the_same_moment(visited: bool):
    replay = Replay(offline.compile_texts([DEFINITION]), WAITING)
    outputs: list[Any] = []
    for event in (DELIVERED, click(1, 0), *([visit(5_000)] if visited else []), click(2, 20_000)):
        outputs += replay.apply(event)
    outputs += replay.advance(START + 59_999)
    assert [output["type"].split(".")[-2] for output in outputs] == ["became_mql"]
    told = [output["type"].split(".")[-2] for output in replay.advance(START + 60_000)]
    assert told == ([] if visited else ["mql_withdrawn"])


def test_offline_the_same_clicks_are_marked():
    replay = Replay(offline.compile_texts([DEFINITION]), DEFAULT_RULES)
    outputs: list[Any] = []
    for event in (click(1, 0), click(2, 800)):
        outputs += replay.apply(event)
    assert outputs == []
    (row,) = replay.leads()
    assert sorted((each["rule"], each["event_id"]) for each in row["contributions"]) == [("scan", "c1"), ("scan", "c2")]
