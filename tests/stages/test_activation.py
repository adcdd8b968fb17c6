"""Definitions that are pushed while the score stage runs: from where on they count, whom they hand off, and what restarts change."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest

from mqlstream import metrics, offline, wire
from mqlstream.core.event import Event
from mqlstream.core.packing import unpack
from mqlstream.definition import parse_text
from mqlstream.definition.model import Definition
from mqlstream.engine.interfaces import Effects, Unable
from mqlstream.engine.surroundings import Surroundings
from mqlstream.handoff.contract import parse
from mqlstream.stages.activation import ACTIVATION_KEY
from mqlstream.stages.lookup import Question
from mqlstream.stages.score import LAYOUT_KEY, ScoreOptions, ScoreProcessor, ScoreStage
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
START = 1_793_610_000_000
HOUR = 3_600_000
WALL = START + 2_000 * HOUR
FIRST = """
definition: first
version: 1
rules:
  - {id: visit, on: web_visit, points: 60, decay: {half_life: 2d}}
  - {id: demo, on: form_fill, where: {form: demo}, points: 30}
qualify: {threshold: {total: 100}}
"""
EASIER = FIRST.replace("version: 1", "version: 2").replace("total: 100", "total: 50")
HARDER = FIRST.replace("version: 1", "version: 2").replace("total: 100", "total: 500")
COOLING = EASIER.replace("total: 50}", "total: 50}, rearm: {below: 40, cooldown: 1d}")
OTHER_FIELDS = FIRST.replace("version: 1", "version: 3").replace("on: web_visit", "on: web_visit, where: {host: {exists: true}}")
STRICT = EASIER.replace("qualify:", "disqualify: [{id: rival, where: {company: rival}}]\nqualify:")
SECOND = EASIER.replace("definition: first", "definition: second").replace("version: 2", "version: 1")


def visit(after_hours: float, lead: str = "ann", **body: Any) -> Event:
    return Event("s", f"{lead} {after_hours}", "web_visit", START + int(after_hours * HOUR), lead, body or {"path": "/"})


def definition(text: str) -> Definition:
    found, findings = parse_text(text, "pushed.yaml")
    assert found is not None, findings
    return found


def pushed(text: str, after_hours: float, handoff: Any = "none") -> wire.Activation:
    of = definition(text)
    return wire.Activation(of.id, of.version, of.digest, text, START + int(after_hours * HOUR), handoff, "a test")


Item = Event | wire.Frontier | wire.Activation | Read


class Task:
    """A task of the stage, which can be restored from what it wrote."""

    def __init__(self, files: str = FIRST, **options: Any) -> None:
        self.stage = ScoreStage(TOPICS, offline.compile_texts([files]), ScoreOptions(**options))
        self._offset = 0
        self.written: list[Effects] = []
        self.processor = self.stage.processor(0)

    def read(self, *items: Item, wall_ms: int | None = None) -> list[tuple[str, str, float]]:
        """One batch; returns (type, lead, as_of in hours) of every handoff event."""
        effects = self.processor.process([self._record(item) for item in items], wall_ms)
        self.written.append(effects)
        self.processor.committed(effects)
        return [(each.type.split(".")[2], each.lead_id, (each.data["as_of"] - START) / HOUR) for each in self.handoffs(effects)]

    def handoffs(self, *of: Effects) -> list[Any]:
        return [parse(each.value, each.headers) for effects in of for each in effects.outputs if each.topic == TOPICS.handoff]

    def idle(self) -> list[tuple[str, str, float]]:
        """All that a task does without records, until nothing is due."""
        found: list[tuple[str, str, float]] = []
        for _ in range(1_000):
            due_ms = self.processor.due_ms()
            if due_ms is None or due_ms > WALL:
                return found
            found += self.read(wall_ms=WALL)
        raise AssertionError("the task never comes to rest")

    def restart(self) -> ScoreProcessor:
        self.processor = self.stage.processor(0)
        for key, value in self.changelog().items():
            self.processor.restore(key, value)
        self.processor.attend(Surroundings(1, frozenset, lambda: WALL))
        return self.processor

    def changelog(self) -> dict[bytes, bytes | None]:
        """As compaction leaves it."""
        return {key: value for effects in self.written for key, value in effects.changelog}

    def states(self) -> dict[bytes, Any]:
        return {key: unpack(value) for key, value in self.changelog().items() if value is not None and not key.startswith(b"\x00")}

    def _record(self, item: Item) -> Read:
        self._offset += 1
        if isinstance(item, Read):
            return item
        if isinstance(item, Event):
            return Read(wire.key_of(item.lead), wire.encode(item), self._offset, item.time)
        return Read(*wire.broadcast(item), self._offset, WALL)


def test_a_version_counts_from_its_place_in_the_log() -> None:
    task = Task()
    found = task.read(visit(0, "ann"), pushed(EASIER, 1), visit(2, "bob"))
    assert found == [("became_mql", "bob", 2)]
    assert [event.data["definition"]["version"] for event in task.handoffs(*task.written)] == [2]


@pytest.mark.parametrize("restart", [False, True])
def test_by_itself_a_version_hands_off_nobody_but_the_next_event_does(restart: bool) -> None:
    task = Task()
    task.read(visit(0), pushed(EASIER, 1))
    if restart:
        task.restart()
    assert task.idle() == []
    assert task.read(visit(3)) == [("became_mql", "ann", 3)]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("handoff", ["new", "all"])
def test_who_fulfils_only_the_new_version_is_handed_off_at_the_time_of_the_push(handoff: str, restart: bool) -> None:
    task = Task()
    found = task.read(visit(0), visit(0, "old"), visit(40 * 24, "bob"), pushed(EASIER, 40 * 24 + 1, handoff))
    if restart:
        task.restart()
    assert found + task.idle() == [("became_mql", "bob", 40 * 24 + 1)], "the others' scores have faded by then"


def test_who_fulfilled_the_version_before_is_handed_off_by_all_and_not_by_new() -> None:
    frozen = FIRST.replace("total: 100", "total: 50").replace("qualify:", "freeze: [{id: held, where: {held: true}}]\nqualify:")
    live, other = frozen.replace("version: 1", "version: 2"), frozen.replace("version: 1", "version: 3")
    found = {}
    for handoff in ("new", "all"):
        task = Task(FIRST.replace("qualify:", "mode: shadow\nqualify:").replace("total: 100", "total: 50"))
        task.read(visit(0))
        found[handoff] = task.read(pushed(live, 1, handoff)) + task.idle() + task.read(pushed(other, 2, handoff)) + task.idle()
    assert found == {"new": [], "all": [("became_mql", "ann", 1)]}


def test_an_open_handoff_stays_whatever_a_version_makes_of_its_score() -> None:
    for handoff in ("none", "new", "all"):
        task = Task(COOLING.replace("version: 2", "version: 1"))
        assert task.read(visit(0)) == [("became_mql", "ann", 0)]
        assert task.read(pushed(HARDER.replace("total: 500}", "total: 500}, rearm: {below: 450}"), 1, handoff)) + task.idle() == []
        (track,) = [state.tracks["first"] for state in task.states().values()]
        assert (track.stage, track.peaked) == ("mql", False)


def test_a_version_that_disqualifies_withdraws_at_once_or_with_the_next_event() -> None:
    profile = Event("s", "p", "profile", START, "ann", {"attributes": {"company": "rival"}}, attributes={"company": "rival"})
    for handoff in ("none", "new", "all"):
        task = Task(EASIER.replace("version: 2", "version: 1"))
        assert task.read(profile, visit(0)) == [("became_mql", "ann", 0)]
        at_once = task.read(pushed(STRICT, 1, handoff)) + task.idle()
        later = task.read(visit(2))
        assert (at_once, later) == (([], [("mql_withdrawn", "ann", 2)]) if handoff == "none" else ([("mql_withdrawn", "ann", 1)], []))


def test_time_alone_hands_nobody_off_before_the_next_event_when_the_version_was_not_to() -> None:
    rising = EASIER.replace("  - {id: demo", "  - {id: gone, on: email_click, points: -5, decay: {half_life: 9d}}\n  - {id: demo")
    left = Event("s", "left", "email_click", START, "ann", {"action": "unsubscribe"})
    before = FIRST.replace("total: 100", "total: 400").replace(
        "  - {id: demo", "  - {id: gone, on: email_click, points: -5}\n  - {id: demo"
    )
    task = Task(before)
    task.read(left, visit(0), visit(1))
    assert task.read(pushed(rising, 2)) + task.idle() == []
    assert task.read(visit(3)) == [("became_mql", "ann", 3)]


def test_a_lead_is_up_to_the_program_before_its_timer_fires() -> None:
    task = Task(COOLING.replace("version: 2", "version: 1"))
    assert task.read(visit(0)) == [("became_mql", "ann", 0)]
    lower = COOLING.replace("version: 2", "version: 3").replace("below: 40", "below: 20")
    found = task.read(pushed(lower, 1)) + task.idle()
    assert [kind for kind, _, _ in found] == ["cooled"]
    assert 76 < found[0][2] < 77, "60 points fall below 20 later than below 40"


def test_fields_that_were_not_kept_before_are_missing_in_earlier_events() -> None:
    task = Task()
    task.read(visit(0, host="a.example"), pushed(OTHER_FIELDS, 1))
    assert task.idle() == []
    assert task.read(visit(2, host="a.example")) == [], "the first visit's host is not known"
    assert task.read(visit(3, host="a.example")) == [("became_mql", "ann", 3)]


def preparing(text: str, after_hours: float) -> wire.Activation:
    return msgspec.structs.replace(pushed(text, after_hours), prepares=True)


def completing(*events: Event, lead: str = "ann") -> Event:
    """What a backfill writes of some events."""
    told = [[event.source, event.id, {path: event.body[path] for path in ("host", "form") if path in event.body}] for event in events]
    return Event("mqlstream", "c", "command", START, lead, {"do": "complete", "events": told})


@pytest.mark.parametrize("restart", [False, True])
def test_fields_that_are_read_again_are_there_when_the_version_comes_into_force(restart: bool) -> None:
    first, second = visit(0, host="a.example"), visit(2, host="a.example")
    task = Task()
    task.read(first, preparing(OTHER_FIELDS, 1))
    if restart:
        task.restart()
    assert task.idle() == []
    completion = completing(first)
    assert task.read(completion, completion, second) == [("became_mql", "ann", 2)], "120 points, under the version before"
    assert task.handoffs(*task.written)[0].data["definition"]["version"] == 1
    if restart:
        task.restart()
    assert task.read(pushed(OTHER_FIELDS, 3)) + task.idle() == []
    assert (lead_total(task, "ann") or 0) > 110, "both visits have the host that the version asks for"


@pytest.mark.parametrize(
    ("handoff", "expected"), [("none", []), ("new", [("became_mql", "ann", 30 * 24)]), ("all", [("became_mql", "ann", 30 * 24)])]
)
def test_whom_a_version_hands_off_after_a_backfill_is_decided_when_it_comes_into_force(handoff: str, expected: list[Any]) -> None:
    by_host = FIRST.replace("version: 1", "version: 2").replace(
        "{id: visit, on: web_visit, points: 60, decay: {half_life: 2d}}",
        "{id: visit, on: web_visit, where: {host: a.example}, points: 100}",
    )
    task = Task()
    seen = visit(0, host="a.example")
    assert task.read(seen, preparing(by_host, 1), completing(seen)) + task.idle() == []
    assert task.read(pushed(by_host, 30 * 24, handoff)) + task.idle() == expected


def test_what_comes_to_a_lead_only_after_the_version_hands_nobody_off_by_itself() -> None:
    rising = EASIER.replace(
        "- {id: visit, on: web_visit",
        "- {id: gone, on: email_click, points: -5, decay: {half_life: 9d}}\n  - {id: visit, on: web_visit, where: {host: a.example}",
    )
    left = Event("s", "left", "email_click", START, "ann", {"action": "unsubscribe"})
    demo = Event("s", "demo", "form_fill", START, "ann", {"form": "demo"})
    seen = visit(0, host="a.example")
    task = Task()
    assert task.read(left, demo, seen, pushed(rising, 1), completing(seen)) + task.idle() == []
    assert task.read(Event("s", "more", "form_fill", START + 2 * HOUR, "ann", {"form": "other"})) == [("became_mql", "ann", 2)]


def test_completions_reach_a_lead_that_was_merged_and_wake_none_that_was_erased() -> None:
    first = visit(0, host="a.example")
    merge = Event("s", "m", "command", START + HOUR, "ann", {"do": "merge", "into": "bob"})
    erase = Event("s", "x", "command", START + HOUR, "cyd", {"do": "erase"})
    task = Task()
    task.read(visit(0, "cyd"), erase, first, merge)
    task.read(preparing(OTHER_FIELDS, 1), completing(first), completing(visit(0, "cyd", host="a.example"), lead="cyd"))
    passed_on = [
        wire.decode(output.value or b"") for effects in task.written for output in effects.outputs if output.topic == TOPICS.lead_events
    ]
    task.read(*[event for event in passed_on if event.lead == "bob"], pushed(OTHER_FIELDS, 2))
    task.idle()
    assert (lead_total(task, "bob") or 0) > 55
    assert lead_total(task, "cyd") is None


def lead_total(task: Task, lead: str) -> float | None:
    told = task.processor.answer(Question(lead))
    return None if told is None else orjson.loads(told)["definitions"][0]["score"]["total"]


def test_a_preparation_ends_with_the_next_version_of_its_definition_and_outlives_those_of_others() -> None:
    task = Task()
    task.read(visit(0), preparing(OTHER_FIELDS, 1), pushed(SECOND, 2))
    task.idle()
    assert "host" in (task.changelog()[LAYOUT_KEY + b"3"] or b"").decode()
    task.restart()
    task.read(visit(3), pushed(HARDER, 4))
    task.idle()
    assert "host" not in (task.changelog()[LAYOUT_KEY + b"4"] or b"").decode()
    kept = {key for key, value in task.changelog().items() if value is not None and key.startswith(ACTIVATION_KEY)}
    assert kept == {ACTIVATION_KEY + b"3", ACTIVATION_KEY + b"4"}


def test_a_definition_of_another_name_joins_the_others() -> None:
    task = Task()
    found = task.read(visit(0), pushed(SECOND, 1, "all"), visit(2), visit(3, "bob"))
    assert sorted(found) == [("became_mql", "ann", 1), ("became_mql", "ann", 2), ("became_mql", "bob", 3)]


def test_leads_are_rescored_a_few_at_a_time_and_the_rest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mqlstream.stages.activation.Definitions.rescore.__defaults__", (2,))
    task = Task()
    task.read(*[visit(0, f"lead {number}") for number in range(7)])
    left = []
    task.read(pushed(EASIER, 1, "all"))
    while task.processor.due_ms() == 0:
        left.append(metrics.REGISTRY.get_sample_value("mqlstream_rescoring_remaining_leads"))
        task.read(wall_ms=WALL)
    assert left == [5, 3, 1]
    assert len(task.handoffs(*task.written)) == 7
    assert metrics.REGISTRY.get_sample_value("mqlstream_rescoring_remaining_leads") == 0


def test_a_task_that_is_taken_over_goes_on_rescoring_though_no_event_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mqlstream.stages.activation.Definitions.rescore.__defaults__", (2,))
    task = Task()
    task.read(*[visit(0, f"lead {number}") for number in range(7)])
    assert len(task.read(pushed(EASIER, 1, "all"))) == 2
    task.restart()
    assert len(task.idle()) == 5


def test_a_task_that_is_taken_over_by_a_worker_that_cannot_read_its_version_stops_at_once() -> None:
    task = Task()
    task.read(visit(0), pushed(EASIER, 1))
    (key,) = [key for key in task.changelog() if key.startswith(ACTIVATION_KEY)]
    kept = task.changelog()[key]
    assert kept is not None
    task.written.append(Effects([(key, kept.replace(b"rules:", b"novelty: 1\\nrules:"))]))
    task.stage = Task().stage  # another worker
    with pytest.raises(Unable, match="definition first version 2 is in force from here on, but this worker cannot read it"):
        task.restart()


def test_what_led_to_the_version_in_force_is_forgotten_once_all_leads_are_rescored() -> None:
    task = Task()
    task.read(visit(0), pushed(EASIER, 1), pushed(HARDER.replace("version: 2", "version: 3"), 2), pushed(SECOND, 3))
    task.idle()
    kept = {key for key, value in task.changelog().items() if value is not None and key.startswith(b"\x00")}
    assert kept == {ACTIVATION_KEY + b"3", ACTIVATION_KEY + b"4", LAYOUT_KEY + b"4"}
    task.restart()
    assert task.read(visit(4)) == [("became_mql", "ann", 4)], "under the second"


def test_the_version_in_force_is_told() -> None:
    def told() -> set[tuple[str, str]]:
        (family,) = metrics.DEFINITION.collect()
        return {(sample.labels["definition"], sample.labels["version"]) for sample in family.samples}

    task = Task()
    task.read(visit(0))
    task.read(pushed(EASIER, 1), pushed(SECOND, 1))
    assert told() >= {("first", "2"), ("second", "1")}
    task.restart()
    task.read(visit(2))
    assert told() >= {("first", "2"), ("second", "1")}


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (wire.Activation("first", 9, "0" * 64, EASIER + "novelty: 1\n", START), "definition first version 9 is in force from here on, but"),
        (wire.Activation("first", 9, "0" * 64, EASIER, START), "definition first version 9 reads as first"),
    ],
)
def test_a_version_that_this_worker_cannot_read_stops_the_task_and_says_why(activation: wire.Activation, reason: str) -> None:
    with pytest.raises(Unable, match=reason):
        Task().read(visit(0), activation, visit(1))


def test_an_activation_of_another_form_stops_the_task_too() -> None:
    with pytest.raises(Unable, match="offset 7 activates a definition, but this worker cannot read it"):
        Task().read(Read(wire.ACTIVATION_KEY, b'{"id": "first", "more": 1}', 7, WALL))


def test_events_that_wait_for_older_ones_are_reviewed_under_the_version_that_met_them() -> None:
    task = Task()
    behind = [wire.Frontier(0, 1, START + hours * HOUR) for hours in (0, 12)]
    visits = visit(10), visit(11), visit(30, "bob"), visit(31, "bob")
    found = task.read(behind[0], *visits, behind[1], pushed(EASIER, 50), wire.Frontier(0, 1, None))
    assert found + task.idle() == [("became_mql", "ann", 11), ("became_mql", "bob", 31)]
    assert [event.data["definition"]["version"] for event in task.handoffs(*task.written)] == [1, 2], "bob's review was still to come"


LATER = [EASIER, COOLING.replace("version: 2", "version: 3"), OTHER_FIELDS, STRICT.replace("version: 2", "version: 4"), SECOND, HARDER]


def log(rng: random.Random) -> list[Event | wire.Activation]:
    """A life of some leads, in order, with versions in between."""
    found: list[Event | wire.Activation] = []
    hours = 0.0
    for number in range(60):
        hours += rng.choice([0.5, 3, 40])
        if rng.random() < 0.12:
            found.append(pushed(rng.choice(LATER), hours, rng.choice(["none", "new", "all"])))
        else:
            kind, lead = rng.choice(["web_visit", "web_visit", "form_fill"]), rng.choice(["ann", "bob", "cyd"])
            body = {"form": "demo"} if kind == "form_fill" else {"host": "a.example"}
            found.append(Event("s", f"e{number}", kind, START + int(hours * HOUR), lead, body))
    return found


def lived(items: Sequence[Event | wire.Activation], rng: random.Random | None) -> tuple[list[str], dict[bytes, Any]]:
    """The ids of all handoffs, by lead in order, and the states in the end; cut and restarted at random, or one after the other."""
    task = Task()
    rest = list(items)
    while rest:
        size = rng.randrange(1, 12) if rng else 1
        task.read(*rest[:size])
        rest = rest[size:]
        if rng and rng.random() < 0.4:
            task.restart()
    while task.processor.due_ms() == 0:
        task.read(wall_ms=items[-1].time)
    states = task.states()
    for state in states.values():
        state.layout = state.due = 0  # a timer that only looks may look sooner or later
    return [event.id for event in sorted(task.handoffs(*task.written), key=lambda event: event.lead_id)], states


def offline_life(items: Sequence[Event | wire.Activation]) -> list[str]:
    replay = offline.Replay(offline.compile_texts([FIRST]))
    outputs = []
    for item in items:
        if isinstance(item, Event):
            outputs += replay.apply(item)
        else:
            outputs += replay.switch(definition(item.text), item.time, item.handoff)
    return [output["id"] for output in sorted(outputs, key=lambda output: output["lead_id"])]


@pytest.mark.parametrize("seed", range(60))
def test_however_the_log_is_cut_and_restarted_it_comes_to_the_same_as_offline(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    items = log(random.Random(seed))
    monkeypatch.setattr("mqlstream.stages.activation.Definitions.rescore.__defaults__", (1 + seed % 3,))
    ids, states = lived(items, random.Random(seed))
    monkeypatch.setattr("mqlstream.stages.activation.Definitions.rescore.__defaults__", (100,))
    assert (ids, states) == lived(items, None)
    assert ids == offline_life(items)
