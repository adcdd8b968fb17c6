"""What the SCORE stage tells accounts, and the ACCOUNTS stage, batch by batch and on a simulated cluster."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqlstream import offline, wire
from mqlstream.core.accounts import Account, AccountState
from mqlstream.core.event import Event
from mqlstream.core.step import step
from mqlstream.core.told import Change
from mqlstream.definition import parse_text
from mqlstream.engine.interfaces import Effects
from mqlstream.engine.manual_time import simulate
from mqlstream.engine.memory import START_MS, MemoryBroker, MemoryCluster
from mqlstream.engine.runner import StageRunner
from mqlstream.engine.status import Options
from mqlstream.engine.surroundings import Surroundings
from mqlstream.handoff.contract import BECAME_MQA, parse
from mqlstream.stages.account_leads import decode
from mqlstream.stages.accounts import AccountsProcessor, AccountsStage
from mqlstream.stages.ingest import IngestStage
from mqlstream.stages.lookup import Question
from mqlstream.stages.score import ScoreOptions, ScoreStage
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
START = 1_793_610_000_000
HOUR = 3_600_000
PARTITIONS = 3
PLAIN = """
definition: first
version: 1
rules:
  - {id: visit, on: web_visit, points: 30, decay: {half_life: 7d}}
  - {id: form, on: form_fill, points: 50, decay: {expire_after: 5d}}
"""
ASKING = PLAIN + "accounts: {people: {at_least: 2, engagement: 20}, threshold: {sum: 90, best: 40}}\n"
REARMING = PLAIN + "accounts: {threshold: {sum: 90}, rearm: {below: 60, cooldown: 1d}}\n"


def event(number: int, lead: str, hours: float = 0, kind: str = "web_visit", **more: Any) -> Event:
    return Event("s", f"e{number}", kind, START + int(hours * HOUR), lead, **{"email": f"{lead}@acme.example", **more})


def command(number: int, lead: str, do: str, hours: float, **body: Any) -> Event:
    return Event("s", f"c{number}", "command", START + int(hours * HOUR), lead, body={"do": do, **body})


def scored(definition: str, *batches: Sequence[Event]) -> list[Effects]:
    """What the SCORE stage does with batches of events."""
    processor = ScoreStage(TOPICS, offline.compile_texts([definition]), ScoreOptions()).processor(0)
    return [
        processor.process([Read(wire.key_of(each.lead), wire.encode(each), index, each.time) for index, each in enumerate(batch)], None)
        for batch in batches
    ]


def changes(written: Sequence[Effects]) -> list[Change]:
    """What accounts are told in all that."""
    return [decode(each.key, each.value) for effects in written for each in effects.outputs if each.topic == TOPICS.account_leads]


def records(written: Sequence[Effects]) -> list[Read]:
    """The same as the ACCOUNTS stage reads it."""
    told = [each for effects in written for each in effects.outputs if each.topic == TOPICS.account_leads]
    return [Read(each.key, each.value, index, START, TOPICS.account_leads) for index, each in enumerate(told)]


def qualified(effects: Effects) -> list[tuple[str, str, int, int]]:
    """Id, account, cycle and time of every MQA."""
    events = [parse(each.value, each.headers) for each in effects.outputs if each.topic == TOPICS.handoff]
    assert {each.type for each in events} <= {BECAME_MQA}
    return [(each.id, each.lead_id, each.data["cycle"], each.time_ms) for each in events]


def restored(written: Sequence[Effects]) -> AccountsProcessor:
    processor = AccountsStage(TOPICS).processor(0)
    for effects in written:
        for key, value in effects.changelog:
            processor.restore(key, value)
    return processor


def table(*written: Effects) -> dict[bytes, bytes]:
    """What a changelog comes to."""
    found = {key: value for effects in written for key, value in effects.changelog}
    return {key: value for key, value in found.items() if value is not None}


EVENTS = [
    event(1, "ann"),
    event(2, "bob", 1, "form_fill"),
    event(3, "ann", 2),
    event(4, "cid", 3, email="cid@rival.example"),
    event(5, "bob", 3.5, "form_fill"),
    event(6, "ann", 200, "form_fill"),
    event(7, "cid", 201, "profile", attributes={"account": "acme.example"}),
    event(8, "bob", 300, "form_fill"),
    event(9, "bob", 301, "form_fill"),
]


def test_without_accounts_in_a_definition_nothing_is_told() -> None:
    shadow = ASKING.replace("version: 1", "version: 1\nmode: shadow")
    for definition in (PLAIN, shadow):
        assert changes(scored(definition, EVENTS)) == []
    assert len(changes(scored(ASKING, EVENTS))) == 4


def activated(text: str, hours: float, handoff: str = "none") -> tuple[bytes, bytes]:
    """A pushed version, as it stands in the log."""
    plan = offline.compile_texts([text]).plans[0]
    activation = wire.Activation(plan.id, plan.version, plan.digest, text, START + int(hours * HOUR), "none", "a test")
    return wire.broadcast(msgspec.structs.replace(activation, handoff=handoff))


def read(each: Event | tuple[bytes, bytes], offset: int) -> Read:
    """An event or a version as the SCORE stage reads it."""
    key, value = each if isinstance(each, tuple) else (wire.key_of(each.lead), wire.encode(each))
    return Read(key, value, offset, START if isinstance(each, tuple) else each.time)


def lived(definition: str, *batches: Sequence[Event | tuple[bytes, bytes]]) -> list[Effects]:
    """What the SCORE stage does with batches of events and versions, and then until it is at rest."""
    processor = ScoreStage(TOPICS, offline.compile_texts([definition]), ScoreOptions()).processor(0)
    written = []
    offsets = itertools.count()
    for batch in batches:
        written.append(processor.process([read(each, next(offsets)) for each in batch], None))
    while processor.due_ms() == 0:
        written.append(processor.process([], None))
    return written


def mqas(written: Sequence[Effects]) -> list[tuple[int, float, float]]:
    """Version, hour and sum of each MQA, when the changes come one by one."""
    processor = AccountsStage(TOPICS).processor(0)
    found = []
    for record in records(written):
        for each in processor.process([record], None).outputs:
            data = parse(each.value, each.headers).data
            found.append((data["definition"]["version"], (data["as_of"] - START) / HOUR, data["sum"]))
    return found


SUM = PLAIN.replace(", decay: {half_life: 7d}", "") + "accounts: {threshold: {sum: 90}}\n"
LOWER = SUM.replace("version: 1", "version: 2").replace("sum: 90", "sum: 60")
TWO = [event(1, "ann"), event(2, "bob", 1, "form_fill")]  # 80 points


def test_a_version_with_accounts_is_told_when_its_leads_are_rescored() -> None:
    asking = ASKING.replace("version: 1", "version: 2")
    found = changes(lived(PLAIN, [*TWO, activated(asking, 10), event(6, "ann", 200, "form_fill")]))
    told = [(each.lead, each.asked[0].version, [move.as_of for move in each.moves], each.activated is not None) for each in found]
    assert told == [("ann", 2, [START], True), ("ann", 2, [START + 200 * HOUR], False), ("bob", 2, [START + HOUR], True)]


@pytest.mark.parametrize(("handoff", "at_once"), [("none", []), ("new", [(2, 10, 80)]), ("all", [(2, 10, 80)])])
def test_a_version_makes_an_mqa_by_itself_or_with_the_next_event(handoff: str, at_once: list[Any]) -> None:
    log: list[Any] = [*TWO, activated(LOWER, 10, handoff)]
    assert mqas(lived(SUM, log)) == at_once
    later = [event(7, "ann", 20, "profile", attributes={"title": "chief"})]
    assert mqas(lived(SUM, log, later)) == (at_once or [(2, 20, 80)])


@pytest.mark.parametrize(("handoff", "found"), [("none", []), ("new", []), ("all", [(3, 20, 80)])])
def test_an_account_that_fulfilled_the_version_before_is_made_an_mqa_only_by_all(handoff: str, found: list[Any]) -> None:
    again = LOWER.replace("version: 2", "version: 3")
    assert mqas(lived(SUM, [*TWO, activated(LOWER, 10), activated(again, 20, handoff)])) == found
    one_by_one = lived(SUM, TWO, [activated(LOWER, 10)], [], [activated(again, 20, handoff)])
    assert mqas(one_by_one) == found


def test_an_account_is_not_judged_before_all_its_leads_are_rescored() -> None:
    less = LOWER.replace("points: 30", "points: 10").replace("points: 50", "points: 10")
    assert mqas(lived(SUM, [*TWO, activated(less, 10, "all")])) == [], "10 points of ann's and 50 of bob's old ones would do"


def test_an_mqa_stays_whatever_a_version_makes_of_its_sum() -> None:
    first = SUM.replace("sum: 90}", "sum: 70}, rearm: {below: 60, cooldown: 1d}")
    less = first.replace("version: 1", "version: 2").replace("points: 50", "points: 10")
    later = [event(8, "ann", 30), event(9, "bob", 31), event(10, "bob", 32)]
    assert mqas(lived(first, [*TWO, activated(less, 10, "all")], later)) == [(1, 1, 80)], "60 was never passed under the version, until now"


def test_time_alone_makes_no_mqa_under_a_version_that_was_not_to() -> None:
    first = SUM.replace("5d", "3d").replace("sum: 90}", "sum: 80}, rearm: {below: 70, cooldown: 10d}")
    log = [*TWO, event(3, "ann", 80)]  # an MQA after an hour, and no more after three days
    assert mqas(lived(first, log)) == [(1, 1, 80)]
    for handoff, found in (("none", []), ("new", [(2, 313, 60)])):
        processor = AccountsStage(TOPICS).processor(0)
        lower = first.replace("version: 1", "version: 2").replace("sum: 80", "sum: 55").replace("below: 70", "below: 50")
        for record in records(lived(first, log, [activated(lower, 100, handoff)])):
            processor.process([record], None)
        effects = processor.process([], START + 400 * HOUR)
        made = [parse(each.value, each.headers).data for each in effects.outputs]
        assert [(each["definition"]["version"], (each["as_of"] - START) // HOUR, each["sum"]) for each in made] == found


@pytest.mark.parametrize("seed", range(20))
def test_once_all_leads_are_rescored_the_account_has_their_scores_under_the_newest_version(seed: int) -> None:
    rng = random.Random(seed)
    log: list[Any] = []
    for number in range(40):
        hours = 3.0 * number
        if rng.random() < 0.15:
            version = ASKING.replace("points: 30", f"points: {rng.choice((5, 10, 70))}").replace("version: 1", f"version: {number + 2}")
            log.append(activated(version, hours, rng.choice(("none", "new", "all"))))
        else:
            log.append(event(number, rng.choice(("ann", "bob", "cid")), hours, rng.choice(("web_visit", "form_fill"))))
    batches = []
    while log:
        size = rng.randrange(1, 10)
        batches.append(log[:size])
        log = log[size:]
    stage = ScoreStage(TOPICS, offline.compile_texts([ASKING]), ScoreOptions())
    processor = stage.processor(0)
    written, offsets = [], itertools.count()
    for batch in batches:
        written.append(processor.process([read(each, next(offsets)) for each in batch], None))
        if rng.random() < 0.3:
            processor = stage.processor(0)
            for key, value in ((key, value) for effects in written for key, value in effects.changelog):
                processor.restore(key, value)
            processor.attend(Surroundings(1, frozenset, lambda: START))
    while processor.due_ms() == 0:
        written.append(processor.process([], None))
    account = Account("acme.example", AccountState(), {})
    for record in records(written):
        account.take([decode(record.key, record.value)])
    at = START + 122 * HOUR
    found = {score.lead: score.total for score in account.scores_at("first", at)}
    expected = {}
    for lead in found:
        told = processor.answer(Question(lead, at))
        assert told is not None
        expected[lead] = orjson.loads(told)["definitions"][0]["score"]["total"]
    assert found == pytest.approx(expected, abs=1e-5)


def test_offline_a_version_tells_accounts_as_well() -> None:
    for handoff, expected in (("none", []), ("all", [START + 10 * HOUR])):
        replay = offline.Replay(offline.compile_texts([SUM]))
        for each in TWO:
            replay.apply(each)
        definition, _ = parse_text(LOWER, "lower.yaml")
        assert definition is not None
        assert [output["time"] for output in replay.switch(definition, START + 10 * HOUR, handoff)] == expected


def test_an_event_that_fails_after_a_version_takes_nothing_from_what_the_account_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(program: Any, lead: Any, event: Event, before_ms: int | None = None) -> Any:
        if event.id == "e5":
            raise RuntimeError
        return step(program, lead, event, before_ms)

    monkeypatch.setattr("mqlstream.stages.score.step", failing)
    found = changes(lived(SUM, [*TWO, activated(LOWER, 10, "all")], [event(4, "ann", 20), event(5, "ann", 21)]))
    told = [(each.lead, each.activated is not None) for each in found if each.asked[0].version == 2]
    assert told == [("ann", True), ("bob", True), ("ann", False)]


def test_of_a_batch_an_account_is_told_once_of_each_lead_with_all_its_moves() -> None:
    told = changes(scored(ASKING, EVENTS[:3]))
    assert [(each.account, each.lead, [move.as_of for move in each.moves]) for each in told] == [
        ("acme.example", "ann", [START, START + 2 * HOUR]),
        ("acme.example", "bob", [START + HOUR]),
    ]


def test_a_lead_that_goes_to_another_account_leaves_its_own() -> None:
    told = changes(scored(ASKING, EVENTS[3:4], EVENTS[6:7]))
    assert [(each.account, each.gone, len(each.moves)) for each in told] == [
        ("rival.example", "", 1),
        ("rival.example", "left", 0),
        ("acme.example", "", 1),
    ]


@pytest.mark.parametrize(("what", "gone"), [("erase", "erased"), ("merge", "left")])
def test_a_lead_that_is_erased_or_merged_leaves_its_account(what: str, gone: str) -> None:
    (*_, last) = changes(scored(ASKING, EVENTS[:1], [command(1, "ann", what, 1, **({"into": "bob"} if what == "merge" else {}))]))
    assert (last.account, last.lead, last.gone, last.moves) == ("acme.example", "ann", gone, [])


def test_an_account_of_which_the_only_lead_is_erased_is_forgotten() -> None:
    told = scored(ASKING.replace("at_least: 2", "at_least: 1").replace("sum: 90", "sum: 40"), EVENTS[1:2], [command(1, "bob", "erase", 1)])
    effects = AccountsStage(TOPICS).processor(0).process(records(told[:1]), None)
    assert [account for _, account, _, _ in qualified(effects)] == ["acme.example"]
    erased = restored([effects]).process(records(told[1:]), None)
    assert table(effects, erased) == {}


def test_what_a_lead_was_told_of_is_gone_once_it_left() -> None:
    told = records(scored(ASKING, EVENTS[:3], [command(1, "ann", "erase", 3)]))
    effects = AccountsStage(TOPICS).processor(0).process(told, None)
    assert b"ann" not in b"".join([*table(effects), *table(effects).values()])


@pytest.mark.parametrize("definition", [ASKING, REARMING])
@pytest.mark.parametrize("cut", range(len(EVENTS)))
def test_a_restart_between_any_two_changes_changes_nothing(definition: str, cut: int) -> None:
    read = records(scored(definition, *([each] for each in EVENTS)))
    whole = AccountsStage(TOPICS).processor(0).process(read, None)
    before = AccountsStage(TOPICS).processor(0).process(read[:cut], None)
    after = restored([before]).process(read[cut:], None)
    assert qualified(before) + qualified(after) == qualified(whole) != []
    assert table(before, after) == table(whole)


def test_the_stage_finds_what_the_command_line_finds() -> None:
    for definition in (ASKING, REARMING):
        raw = [
            {"id": each.id, "source": "s", "kind": each.kind, "time": each.time, "lead_id": each.lead, "email": each.email}
            | ({"attributes": each.attributes} if each.attributes else {})
            | ({"form": "demo"} if each.kind == "form_fill" else {})
            for each in EVENTS
        ]
        expected = [output["id"] for output in offline.score_events([definition], raw) if output["type"] == BECAME_MQA]
        effects = AccountsStage(TOPICS).processor(0).process(records(scored(definition, EVENTS)), None)
        assert [mqa for mqa, *_ in qualified(effects)] == expected != []


def test_the_end_of_a_cooldown_looks_at_the_account() -> None:
    events = [
        event(1, "ann", kind="form_fill"),
        event(2, "bob", kind="form_fill"),
        event(3, "ann", 121, "form_fill"),  # after all was gone, and so within the cooldown
        event(4, "bob", 121, "form_fill"),
    ]
    processor = AccountsStage(TOPICS).processor(0)
    first = processor.process(records(scored(REARMING, events)), None)
    fallen_ms = START + 120 * HOUR
    assert [(cycle, time) for _, _, cycle, time in qualified(first)] == [(1, START)]
    assert processor.due_ms() == restored([first]).due_ms() == fallen_ms + 24 * HOUR
    assert qualified(processor.process([], fallen_ms + 24 * HOUR - 1)) == []
    assert [(cycle, time) for _, _, cycle, time in qualified(processor.process([], fallen_ms + 25 * HOUR))] == [(2, fallen_ms + 24 * HOUR)]
    assert processor.due_ms() is None


def test_a_change_that_cannot_be_read_or_applied_goes_aside_and_its_neighbours_count(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Account.take

    def fails_once_half_done(self: Account, changes: Sequence[Change]) -> Any:
        outputs = take(self, changes)
        if any(change.lead == "cid" for change in changes):
            raise RuntimeError
        return outputs

    monkeypatch.setattr(Account, "take", fails_once_half_done)
    read = records(scored(ASKING, EVENTS))
    effects = AccountsStage(TOPICS).processor(0).process([Read(b"x", b"[", 7, START, TOPICS.account_leads), *read], None)
    reasons = [dict(each.headers)["mqlstream.reason"] for each in effects.outputs if each.topic == TOPICS.dead_letters]
    assert reasons == [b"bad_record", *[b"failed"] * len([each for each in changes(scored(ASKING, EVENTS)) if each.lead == "cid"])]
    assert len(qualified(effects)) == 1
    assert b"cid" not in b"".join(table(effects))


STEPS = st.lists(st.tuples(st.sampled_from(["ann", "bob", "cid"]), st.sampled_from(["web_visit", "form_fill"])), min_size=3, max_size=12)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(STEPS, st.randoms(use_true_random=False))
def test_changes_of_several_leads_come_to_the_same_in_any_order(steps: list[tuple[str, str]], chance: random.Random) -> None:
    events = [event(index, lead, 20 * index, kind) for index, (lead, kind) in enumerate(steps)]
    in_order = records(scored(ASKING, *([each] for each in events)))
    of_lead: dict[str, list[Read]] = {}
    for (lead, _), record in zip(steps, in_order, strict=True):
        of_lead.setdefault(lead, []).append(record)
    leads = [lead for lead, _ in steps]
    chance.shuffle(leads)
    shuffled = [of_lead[lead].pop(0) for lead in leads]
    one, other = (AccountsStage(TOPICS).processor(0).process(read, None) for read in (in_order, shuffled))
    assert {key: value for key, value in table(one).items() if b"," in key} == {
        key: value for key, value in table(other).items() if b"," in key
    }
    assert [each[1:3] for each in qualified(one)] == [each[1:3] for each in qualified(other)]


LEADS = [f"{name}@{company}.example" for company in ("acme", "rival", "third") for name in "abcd"]


def history(chance: random.Random) -> list[dict[str, Any]]:
    """40 days of what leads of three companies did, in order of time."""
    times = sorted(START_MS - 40 * 24 * HOUR + chance.randrange(39 * 24 * HOUR) for _ in range(60))
    deeds = ({"kind": "web_visit", "path": "/"}, {"kind": "form_fill", "form": "demo"})
    return [
        {"id": f"e{index}", "source": "s", "time": time, "email": chance.choice(LEADS), **chance.choice(deeds)}
        for index, time in enumerate(times)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_all_stages_together_qualify_accounts_once_while_workers_are_killed(seed: int) -> None:
    chance = random.Random(seed)
    told = history(chance)
    inputs = {"web_visit": TOPICS.web_visits, "form_fill": TOPICS.form_fills}
    counts = dict.fromkeys((*TOPICS.all,), PARTITIONS)
    cluster = MemoryCluster(counts, seed=seed)
    options = Options(batch_records=chance.choice([3, 20, 5000]), commit_interval_ms=chance.choice([1, 100]))
    program = offline.compile_texts([ASKING])
    stages = IngestStage(TOPICS, PARTITIONS), ScoreStage(TOPICS, program, ScoreOptions(partitions=PARTITIONS)), AccountsStage(TOPICS)

    async def main() -> None:
        for each in told:
            cluster.append(inputs[each["kind"]], None, orjson.dumps(each), partition=0, timestamp=each["time"])
        workers: list[tuple[MemoryBroker, list[tuple[StageRunner, asyncio.Task[None]]]]] = []

        def join() -> None:
            broker = cluster.connect()
            runners = [StageRunner(stage, broker=broker, app_id="app", options=options) for stage in stages]
            workers.append((broker, [(runner, asyncio.create_task(runner.run())) for runner in runners]))

        join()
        join()
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(chance.expovariate(1.0))
            broker, jobs = workers.pop(chance.randrange(len(workers)))
            broker.kill()
            for _, job in jobs:
                job.cancel()
            join()
        await asyncio.sleep(300)
        for _, jobs in workers:
            for runner, job in jobs:
                await runner.stop()
                await job

    simulate(main())
    expected = [(each["lead_id"], each["data"]["cycle"]) for each in offline.score_events([ASKING], told) if each["type"] == BECAME_MQA]
    events = [parse(record.value, record.headers) for record in cluster.committed(TOPICS.handoff)]
    assert sorted((each.lead_id, each.data["cycle"]) for each in events) == sorted(expected) != []
