"""The score stage, batch by batch: what it writes, what it restores from, and what one bad record does to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from mqlstream import metrics, offline, wire
from mqlstream.core import step as step_module
from mqlstream.core.event import Event
from mqlstream.core.packing import unpack
from mqlstream.engine.interfaces import Effects
from mqlstream.handoff.contract import parse
from mqlstream.stages import score
from mqlstream.stages.score import LAYOUT_KEY, ScoreOptions, ScoreProcessor, ScoreStage
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
START = 1_793_610_000_000
HOUR = 3_600_000
DEFINITION = """
definition: first
version: 1
rules:
  - {id: visit, on: web_visit, where: {path: {prefix: /pricing}}, points: 60, decay: {half_life: 14d}, limit: {count: 2, per: 7d}}
  - {id: demo, on: form_fill, where: {form: demo}, points: 30}
qualify: {threshold: {total: 100}}
"""
OTHER = DEFINITION.replace("path: {prefix: /pricing}", "path: {prefix: /pricing}, duration_seconds: {not_in: [-1]}").replace(
    "version: 1", "version: 2"
)


def stage(definition: str = DEFINITION, **options: Any) -> ScoreStage:
    return ScoreStage(TOPICS, offline.compile_texts([definition]), ScoreOptions(**options))


def event(number: int, kind: str = "web_visit", lead: str = "ann", after_ms: int = 0, **body: Any) -> Event:
    return Event("s", f"e{number}", kind, START + after_ms, lead, body=body or {"path": "/pricing"})


def records(*events: Event) -> list[Read]:
    return [Read(wire.key_of(each.lead), wire.encode(each), offset, each.time) for offset, each in enumerate(events)]


def restored(of: ScoreStage, written: Sequence[Effects]) -> ScoreProcessor:
    processor = of.processor(0)
    for effects in written:
        for key, value in effects.changelog:
            processor.restore(key, value)
    return processor


def handoffs(effects: Effects) -> list[str]:
    return [parse(each.value, each.headers).id for each in effects.outputs if each.topic == TOPICS.handoff]


def table(*written: Effects) -> dict[bytes, Any]:
    """What a changelog comes to: the states of the leads, and the rest as it stands."""
    found = {key: value for effects in written for key, value in effects.changelog}
    return {key: value if key.startswith(b"\x00") else unpack(value or b"") for key, value in found.items()}


EVENTS = [
    event(1),
    event(2, after_ms=HOUR),
    event(3, lead="bob"),
    event(4, "form_fill", "bob", 2 * HOUR, form="demo"),
    event(5, "form_fill", "ann", 3 * HOUR, form="demo"),
    event(6, lead="bob", after_ms=-HOUR),
]


def test_several_events_of_a_lead_are_one_record_of_the_changelog() -> None:
    effects = stage().processor(0).process(records(*EVENTS), None)
    keys = [key for key, _ in effects.changelog]
    assert sorted(keys) == sorted({b"ann", b"bob", LAYOUT_KEY + b"1"})
    assert len(handoffs(effects)) == 2


@pytest.mark.parametrize("cut", range(len(EVENTS) + 1))
def test_a_restart_between_any_two_events_changes_nothing(cut: int) -> None:
    whole = stage().processor(0).process(records(*EVENTS), None)
    before = stage().processor(0).process(records(*EVENTS[:cut]), None)
    after = restored(stage(), [before]).process(records(*EVENTS[cut:]), None)
    assert handoffs(before) + handoffs(after) == handoffs(whole)
    assert table(before, after) == table(whole)


def test_a_record_that_cannot_be_read_goes_aside_and_its_neighbours_count() -> None:
    read = [*records(*EVENTS[:2]), Read(b"ann", b"\xff", 7), Read(b"ann", None, 8), *records(*EVENTS[2:])]
    effects = stage().processor(0).process(read, None)
    assert len(handoffs(effects)) == 2
    dead = [each for each in effects.outputs if each.topic == TOPICS.dead_letters]
    assert [each.value for each in dead] == [b"\xff", None]
    assert [dict(each.headers)["mqlstream.reason"] for each in dead] == [b"bad_record"] * 2


def test_an_event_that_is_too_much_for_the_program_goes_aside_and_leaves_its_lead_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(program: Any, lead: Any, read: Event, before_ms: int | None = None) -> Any:
        result = step_module.step(program, lead, read, before_ms)
        if read.id == "poison":
            raise ZeroDivisionError  # after the lead was changed
        return result

    monkeypatch.setattr(score, "step", fragile)
    poisoned = [*EVENTS[:4], Event("s", "poison", "web_visit", START, "bob"), *EVENTS[4:]]
    effects = stage().processor(0).process(records(*poisoned), None)
    monkeypatch.undo()
    whole = stage().processor(0).process(records(*EVENTS), None)
    assert table(effects) == table(whole)
    assert handoffs(effects) == handoffs(whole)
    (dead,) = [each for each in effects.outputs if each.topic == TOPICS.dead_letters]
    assert dict(dead.headers)["mqlstream.reason"] == b"failed"
    assert wire.decode(dead.value or b"").id == "poison"


def test_a_definition_that_reads_other_fields_takes_over_what_was_kept() -> None:
    before = stage().processor(0).process(records(*EVENTS[:2]), None)
    after = restored(stage(OTHER), [before]).process(records(event(9, "form_fill", after_ms=4 * HOUR, form="demo")), None)
    numbers = [key for key, _ in after.changelog if key.startswith(LAYOUT_KEY)]
    assert numbers == [LAYOUT_KEY + b"2"]
    again = restored(stage(OTHER), [before, after]).process(records(event(10, after_ms=5 * HOUR)), None)
    assert not [key for key, _ in again.changelog if key.startswith(LAYOUT_KEY)]


def test_the_latest_score_is_published_once_a_batch() -> None:
    effects = stage(publish_scores=True).processor(0).process(records(*EVENTS), None)
    published = {each.key: orjson.loads(each.value or b"") for each in effects.outputs if each.topic == TOPICS.scores}
    assert set(published) == {b"first/ann", b"first/bob"}
    rows = {row["lead_id"]: row for row in offline.score_leads([DEFINITION], [_raw(each) for each in EVENTS])}
    assert published[b"first/ann"]["score"]["total"] == pytest.approx(rows["ann"]["score"]["total"], abs=1e-6)
    assert published[b"first/ann"]["stage"] == "mql"


def _raw(of: Event) -> dict[str, Any]:
    return {"id": of.id, "source": of.source, "kind": of.kind, "time": of.time, "lead_id": of.lead, **of.body}


COOLING = DEFINITION.replace("qualify: {threshold: {total: 100}}", "qualify: {threshold: {total: 100}, rearm: {below: 80, cooldown: 1d}}")


def test_a_timer_fires_when_the_clock_gets_there_also_after_a_restart() -> None:
    before = stage(COOLING).processor(0).process(records(*EVENTS[:1], *EVENTS[3:5], event(7, after_ms=4 * HOUR)), None)
    assert len(handoffs(before)) == 1
    processor = restored(stage(COOLING), [before])
    due = processor.due_ms()
    assert due is not None
    assert handoffs(processor.process([], due - 1)) == []
    fallen: list[str] = []
    while due is not None and not fallen and due < START + 100 * 24 * HOUR:
        fallen = handoffs(processor.process([], due))
        due = processor.due_ms()
    assert len(fallen) == 1


def test_a_clock_that_jumps_ahead_and_back_lets_a_timer_do_its_work_once() -> None:
    processor = stage(COOLING).processor(0)
    made = records(*EVENTS[:1], *EVENTS[3:5], event(7, after_ms=4 * HOUR))
    assert len(handoffs(processor.process(made, START + 5 * HOUR))) == 1
    jumps = [100 * 24 * HOUR, 5 * HOUR, 0, 101 * 24 * HOUR, 6 * HOUR, 100 * 24 * HOUR]
    fallen: list[list[str]] = []
    for after_ms in jumps:
        told: list[str] = []
        while (due := processor.due_ms()) is not None and due <= START + after_ms:
            told += handoffs(processor.process([], START + after_ms))
        told += handoffs(processor.process([], START + after_ms))
        fallen.append(told)
    assert [len(told) for told in fallen] == [1, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("idle", [True, False])
def test_leads_that_are_due_together_are_looked_at_a_part_at_a_time_and_an_event_finds_its_own_lead_looked_at(idle: bool) -> None:
    leads = [f"lead-{number:04}" for number in range(1_200)]
    made = [event(number, lead=lead, path="/pricing/") for number, lead in enumerate(leads)]
    made += [event(2_000 + number, "form_fill", lead, HOUR, form="demo") for number, lead in enumerate(leads)]
    made += [event(4_000 + number, lead=lead, after_ms=2 * HOUR) for number, lead in enumerate(leads)]
    processor = stage(COOLING).processor(0)
    processor.process(records(*made), None)
    late_ms = START + 100 * 24 * HOUR
    looked: list[int] = []
    told: list[str] = []
    if not idle:  # the last lead's event comes while the others wait
        last = processor.process(records(event(9_000, lead=leads[-1], after_ms=late_ms - START)), None)
        assert table(last)[leads[-1].encode()].tracks["first"].stage == "lead"
        looked.append(len(last.changelog))
        told += handoffs(last)
    while (due := processor.due_ms()) is not None and due <= late_ms:
        effects = processor.process([], late_ms)
        told += handoffs(effects)
        looked.append(len(effects.changelog))
    assert max(looked) <= 500 + (not idle)
    assert sum(looked) >= len(leads)
    assert len(set(told)) == len(told) == len(leads)


def test_a_batch_is_counted_once_it_is_committed() -> None:
    processor = stage().processor(0)
    counted = metrics.EVENTS.labels("web_visit", "scored", "")
    before = counted._value.get()
    effects = processor.process(records(*EVENTS), None)
    assert counted._value.get() == before
    processor.committed(effects)
    assert counted._value.get() == before + 4


def command(number: int, do: str, lead: str, after_ms: int, **body: Any) -> Event:
    return Event("ops", f"c{number}", "command", START + after_ms, lead, body={"do": do, **body})


def passed_on(effects: Effects) -> list[Event]:
    return [wire.decode(each.value or b"") for each in effects.outputs if each.topic == TOPICS.lead_events]


def test_what_a_merge_passes_on_stands_in_the_other_lead_s_order_and_erasing_reaches_both() -> None:
    processor = stage(publish_scores=True, partitions=2).processor(0)
    first = processor.process(records(event(1), command(1, "merge", "ann", HOUR, into="bob")), None)
    (given,) = passed_on(first)
    output = next(each for each in first.outputs if each.topic == TOPICS.lead_events)
    assert (given.lead, output.key, output.partition) == ("bob", b"bob", wire.partition_of(b"bob", 2))
    effects = processor.process(records(given, command(2, "erase", "bob", 2 * HOUR)), None)
    assert dict(effects.changelog) == {}, "it came and went in one batch"
    (erase,) = passed_on(effects)
    assert erase.lead == "ann"
    told = [wire.decode_visit(each.value or b"") for each in effects.outputs if each.topic == TOPICS.visitor_events]
    assert told == [wire.Forget(START + 2 * HOUR, "ann")] * 2, "each task that keeps visitors is told"
    last = processor.process(records(erase), None)
    assert dict(last.changelog) == {b"ann": None}
    assert [(each.key, each.value) for each in last.outputs if each.topic == TOPICS.scores] == [(b"first/ann", None)]
