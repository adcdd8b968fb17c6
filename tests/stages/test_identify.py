"""Visitors and leads: in whatever order visits and links arrive, and wherever tasks restart, each visit counts once, for its lead."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mqlstream import metrics, wire
from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.outcome import Outcome
from mqlstream.engine.interfaces import Output
from mqlstream.engine.surroundings import Surroundings
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.linking import Visitors
from mqlstream.ingest.results import Anonymous
from mqlstream.ingest.visitors import HOPS_MAX, LINKED_DAYS, WAITING_BYTES, Limits
from mqlstream.stages.identify import IdentifyProcessor, IdentifyStage
from mqlstream.stages.ingest import IngestStage
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
PARTITIONS = 3
START = 1_793_610_000_000
MINUTE = 60_000


class Cluster:
    """Ingest, identify and the topics between them, for a few partitions: records go round until all has come to rest."""

    def __init__(self, limits: Limits | None = None, batch: int = 100) -> None:
        self.ingest = IngestStage(TOPICS, PARTITIONS).processor(0)
        self.stage = IdentifyStage(TOPICS, PARTITIONS, limits or Limits())
        self.batch = batch
        self.wall_ms = START
        self.log: list[tuple[bytes, bytes | None]] = []  # changelogs of all tasks: their keys differ
        self.tasks = [self._task(number) for number in range(PARTITIONS)]
        self.lead_events: list[Event] = []
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.dead_letters: list[Output] = []
        self.waiting = 0

    def _task(self, number: int) -> IdentifyProcessor:
        processor = self.stage.processor(number)
        for key, value in self.log:
            visitor, _, _ = key.partition(b"\xff")
            if wire.partition_of(visitor, PARTITIONS) == number:
                processor.restore(key, value)
        processor.attend(Surroundings(PARTITIONS, frozenset, lambda: self.wall_ms))
        return processor

    def restart(self) -> None:
        self.tasks = [self._task(number) for number in range(PARTITIONS)]

    def send(self, *events: dict[str, Any]) -> None:
        """Let input events be ingested and all that comes of them."""
        records = [Read(None, orjson.dumps(event), topic="any", timestamp=event["time"]) for event in events]
        self.route(self.ingest.process(records, None).outputs)

    def route(self, outputs: Sequence[Output]) -> None:
        waiting: list[list[Read]] = [[] for _ in range(PARTITIONS)]
        todo = list(outputs)
        while todo or any(waiting):
            for output in todo:
                if output.topic == TOPICS.lead_events:
                    self.lead_events.append(wire.decode(output.value or b""))
                elif output.topic == TOPICS.visitor_events:
                    assert output.partition is not None
                    waiting[output.partition].append(
                        Read(output.key, output.value, headers=output.headers, timestamp=output.timestamp or 0)
                    )
                else:
                    self.dead_letters.append(output)
            todo = []
            for number, task in enumerate(self.tasks):
                batch, waiting[number] = waiting[number][: self.batch], waiting[number][self.batch :]
                todo += self.process(task, batch, None)

    def process(self, task: IdentifyProcessor, batch: Sequence[Read], wall_ms: int | None) -> list[Output]:
        effects = task.process(batch, wall_ms)
        self.log += effects.changelog
        self.waiting += effects.note.came - effects.note.went
        task.committed(effects)
        for (kind, outcome), count in effects.note.ended.items():
            self.outcomes[kind, str(outcome)] += count
        return effects.outputs

    def day_passes(self, days: int) -> None:
        self.wall_ms += days * DAY_MS
        for task in self.tasks:
            due_ms = task.due_ms()
            if due_ms is not None and due_ms <= self.wall_ms:
                assert self.process(task, [], self.wall_ms) == []

    def given(self) -> dict[str, list[str]]:
        """By lead: the visits it got, with repetitions."""
        found: dict[str, list[str]] = {}
        for event in self.lead_events:
            if event.kind == "web_visit":
                found.setdefault(event.lead, []).append(event.id)
        return {lead: sorted(ids) for lead, ids in found.items()}

    def kept(self) -> dict[bytes, bytes]:
        """What the changelog comes to."""
        last = dict(self.log)
        assert self.waiting == sum(value is not None and b"\xff" in key for key, value in last.items())
        return {key: value for key, value in last.items() if value is not None}


def visit(number: int, minute: int, **who: str) -> dict[str, Any]:
    return {
        "id": f"v{number}",
        "source": "site",
        "kind": "web_visit",
        "time": START + minute * MINUTE,
        "path": "/",
        **(who or {"anonymous_id": "c"}),
    }


def form(minute: int, lead: str = "ann", **who: str) -> dict[str, Any]:
    who = who or {"anonymous_id": "c"}
    return {
        "id": f"f{minute} {lead}",
        "source": "forms",
        "kind": "form_fill",
        "time": START + minute * MINUTE,
        "lead_id": lead,
        "form": "demo",
        **who,
    }


def test_visits_wait_for_the_form_and_count_at_their_own_times():
    cluster = Cluster()
    cluster.send(visit(1, 0), visit(2, 5))
    assert cluster.lead_events == []
    cluster.send(form(10), visit(3, 12))
    assert [(event.id, event.lead, event.time) for event in cluster.lead_events] == [
        ("f10 ann", "ann", START + 10 * MINUTE),
        ("v1", "ann", START),
        ("v2", "ann", START + 5 * MINUTE),
        ("v3", "ann", START + 12 * MINUTE),
    ]
    assert not cluster.outcomes


def test_a_click_and_an_identify_link_too_and_other_events_that_name_both_do_not():
    def named(kind: str, **fields: Any) -> dict[str, Any]:
        return {"id": "n", "source": "s", "kind": kind, "time": START + MINUTE, "lead_id": "ann", "anonymous_id": "c", **fields}

    linking = [named("email_click", action="click"), named("profile", attributes={}), named("form_fill")]
    others = [
        named("email_click", action="open"),
        named("email_click", action="click", machine=True),
        named("web_visit"),
        named("activity"),
        named("webinar_attendance", action="attended"),
    ]
    for events, expected in ((linking, True), (others, False)):
        for event in events:
            cluster = Cluster()
            cluster.send(visit(1, 0), event)
            assert ("v1" in {each.id for each in cluster.lead_events}) is expected, event


def test_with_both_ids_the_user_is_the_visitor_and_takes_the_anonymous_visits_along():
    cluster = Cluster()
    cluster.send(visit(1, 0, anonymous_id="c"), visit(2, 1, anonymous_id="c", user_id="u"), visit(3, 2, user_id="u"))
    assert cluster.lead_events == []
    cluster.send(form(5, user_id="u"))
    assert cluster.given() == {"ann": ["v1", "v2", "v3"]}
    cluster.send(visit(4, 6, anonymous_id="c"))
    assert cluster.given() == {"ann": ["v1", "v2", "v3", "v4"]}


def test_a_device_that_changes_hands_follows_the_newest_link_and_nothing_counts_twice():
    cluster = Cluster()
    cluster.send(visit(1, 0), form(10, "ann"), visit(2, 11), form(20, "bob"), visit(3, 21), visit(4, 15))
    assert cluster.given() == {"ann": ["v1", "v2", "v4"], "bob": ["v3"]}
    cluster.send(visit(1, 0), visit(2, 11), visit(3, 21), visit(4, 15))
    assert cluster.given() == {"ann": ["v1", "v1", "v2", "v2", "v4", "v4"], "bob": ["v3", "v3"]}, "scoring knows repetitions of a lead"


def test_a_link_that_comes_late_takes_nothing_back():
    cluster = Cluster()
    cluster.send(form(10, "ann"), visit(1, 30), form(20, "bob"), visit(1, 30), visit(2, 31), form(5, "eve"), visit(3, 6))
    assert cluster.given() == {"ann": ["v1", "v1", "v3"], "bob": ["v2"]}


def test_visitors_that_are_each_other_stop_the_round_and_wait():
    cluster = Cluster()
    one = {"anonymous_id": "a", "user_id": "b"}
    other = {"anonymous_id": "b", "user_id": "a"}
    cluster.send(visit(1, 0, **one), visit(2, 1, **other), visit(3, 2, **one))
    assert cluster.lead_events == []
    cluster.send(form(5, user_id="a"), form(5, user_id="b"))
    assert {lead: set(ids) for lead, ids in cluster.given().items()} == {"ann": {"v1", "v2", "v3"}}
    assert sum(map(len, cluster.given().values())) == 3


def test_a_chain_of_visitors_has_an_end():
    cluster = Cluster()
    for number in range(HOPS_MAX + 3):
        cluster.send(visit(number, 0, anonymous_id=f"x{number}", user_id=f"x{number + 1}"))
    cluster.send(form(5, user_id=f"x{HOPS_MAX + 3}"), visit(99, 6, anonymous_id="x0"))
    assert "v99" not in cluster.given().get("ann", [])
    assert f"v{HOPS_MAX + 1}" in cluster.given()["ann"]


def test_only_the_newest_wait_and_those_that_go_for_want_of_room_are_counted():
    cluster = Cluster(Limits(waiting_events=3))
    for number in (5, 1, 4, 2, 3):
        cluster.send(visit(number, number))
    assert cluster.outcomes == {("web_visit", "ignored(visitor_full)"): 2}
    assert len(cluster.kept()) == 3
    cluster.send(form(10))
    assert cluster.given() == {"ann": ["v3", "v4", "v5"]}
    assert list(cluster.kept()) == [b"c"]


def test_large_events_have_bounds_too():
    cluster = Cluster()
    for number in range(8):
        cluster.send(visit(number, number) | {"title": "x" * 16_000, "more": "x" * 500_000})
    waiting = [value for key, value in cluster.kept().items() if b"\xff" in key]
    assert sum(map(len, waiting)) < WAITING_BYTES * 1.01
    assert cluster.outcomes == {("web_visit", "ignored(visitor_full)"): 8 - len(waiting)}


def test_an_event_that_waits_already_is_a_duplicate():
    cluster = Cluster()
    cluster.send(visit(1, 0), visit(1, 0), form(5))
    assert cluster.outcomes == {("web_visit", "ignored(duplicate)"): 1}
    assert cluster.given() == {"ann": ["v1"]}


def test_visits_too_long_before_the_link_count_nowhere_whenever_they_arrive():
    for late in (False, True):
        cluster = Cluster(Limits(waiting_days=2))
        old, new = visit(1, -3 * 1440), visit(2, -1440)
        cluster.send(*((form(0), old, new) if late else (old, new, form(0))))
        assert cluster.given() == {"ann": ["v2"]}
        assert cluster.outcomes == {("web_visit", "ignored(never_linked)"): 1}


def test_what_waits_in_vain_and_visitors_who_never_come_back_are_forgotten():
    cluster = Cluster()
    cluster.send(visit(1, 0, anonymous_id="lost"), form(0, anonymous_id="gone"))
    cluster.day_passes(89)
    assert len(cluster.kept()) == 2
    cluster.restart()
    cluster.day_passes(1)
    assert list(cluster.kept()) == [b"gone"]
    assert cluster.outcomes == {("web_visit", "ignored(never_linked)"): 1}
    cluster.day_passes(200)
    cluster.send(visit(2, 290 * 1440, anonymous_id="gone"))
    cluster.day_passes(LINKED_DAYS - 1)
    assert list(cluster.kept()) == [b"gone"]
    cluster.day_passes(1)
    assert cluster.kept() == {}
    assert [task.due_ms() for task in cluster.tasks] == [None] * PARTITIONS


def test_an_erased_lead_is_no_visitor_any_more():
    cluster = Cluster()
    cluster.send(form(0), form(0, anonymous_id="d"), form(0, "bob", anonymous_id="e"), visit(1, 1))
    erase = {"id": "x", "source": "ops", "kind": "command", "do": "erase", "lead_id": "ann", "time": START + 2 * MINUTE}
    cluster.send(erase)
    assert list(cluster.kept()) == [b"e"]
    cluster.send(visit(2, 3))
    cluster.restart()
    assert cluster.given() == {"ann": ["v1"]}
    cluster.send(form(4, "ann"))
    assert cluster.given() == {"ann": ["v1", "v2"]}


def test_what_cannot_be_read_becomes_a_dead_letter_and_is_counted_once_committed():
    bad = [
        Read(b"c", b"nonsense"),
        Read(b"c", None),
        Read(b"c", b'["link",1]'),
        Read(None, wire.encode_told(wire.Link(1, "s", "e", "ann"))),
    ]
    bad += [Read(b"\xff", wire.encode_told(wire.Link(1, "s", "e", "ann"))), Read(b"\0x", wire.encode_told(wire.Link(1, "s", "e", "ann")))]
    counter = metrics.DEAD_LETTERS.labels(reason="bad_record")
    before = counter._value.get()
    processor = IdentifyStage(TOPICS, PARTITIONS).processor(0)
    effects = processor.process(bad, None)
    assert [output.topic for output in effects.outputs] == [TOPICS.dead_letters] * len(bad)
    assert effects.changelog == []
    assert counter._value.get() == before
    processor.committed(effects)
    assert counter._value.get() == before + len(bad)


def test_ids_that_cannot_be_keys_are_no_visitors():
    cluster = Cluster()
    for odd in ("\0position/identify/0", "x" * 513, ""):
        cluster.send(visit(1, 0, anonymous_id=odd), form(1, anonymous_id=odd))
    assert cluster.kept() == {}
    assert {event.kind for event in cluster.lead_events} == {"form_fill"}


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[int], int]:
    """Visits of one person under three ids, and links, each in its own order and shuffled together; where tasks restart; the batch."""
    minutes = sorted(draw(st.lists(st.integers(0, 60), max_size=8)))
    ids = ({"anonymous_id": "c"}, {"user_id": "u"}, {"anonymous_id": "c", "user_id": "u"}, {"anonymous_id": "d"})
    visits = [visit(number, minute, **draw(st.sampled_from(ids))) for number, minute in enumerate(minutes)]
    links = [form(minute, "ann", user_id="u") for minute in sorted(draw(st.lists(st.integers(0, 60), min_size=1, max_size=3, unique=True)))]
    links += [visit(100, 30, anonymous_id="c", user_id="u"), visit(101, 31, anonymous_id="d", user_id="u")]
    rng = random.Random(draw(st.integers(0, 2**32)))
    mixed: list[dict[str, Any]] = []
    left = [visits, links]
    while any(left):
        mixed.append(rng.choice([each for each in left if each]).pop(0))
    restarts = draw(st.lists(st.integers(0, len(mixed)), max_size=3))
    return mixed, restarts, draw(st.integers(1, 4))


@given(arrivals())
def test_whatever_arrives_when_the_lead_has_each_visit_of_its_visitors_once(case: tuple[list[dict[str, Any]], list[int], int]):
    events, restarts, batch = case
    ids = sorted(event["id"] for event in events if event["kind"] == "web_visit")
    cluster, undisturbed = Cluster(batch=batch), Cluster()
    for number, event in enumerate(events):
        if number in restarts:
            cluster.restart()
        cluster.send(event)
    for event in events:
        undisturbed.send(event)
    assert cluster.given() == undisturbed.given() == {"ann": ids}
    assert cluster.kept() == undisturbed.kept()
    assert sorted(cluster.kept()) == [b"c", b"d", b"u"]


def expected_leads(visits: Sequence[tuple[int, int]], links: Sequence[tuple[int, int, str]]) -> dict[str, list[str]]:
    """By lead, what a device's visits come to, told naively. Each is (arrival, minute[, lead])."""
    found: dict[str, list[str]] = {}
    for number, (arrival, minute) in enumerate(visits):
        known = [link for link in links if link[0] < arrival] or links[:1]
        before = [link for link in known if link[1] <= minute] or known[:1]
        found.setdefault(before[-1][2], []).append(f"v{number}")
    return {lead: sorted(ids) for lead, ids in found.items()}


@given(
    st.lists(st.integers(0, 100), max_size=8, unique=True),
    st.lists(
        st.tuples(st.integers(0, 100), st.sampled_from(["ann", "bob", "eve"])), min_size=1, max_size=4, unique_by=lambda link: link[0]
    ),
    st.randoms(use_true_random=False),
)
def test_a_shared_device_gives_each_visit_to_one_lead_as_the_links_known_by_then_say(
    minutes: list[int], told: list[tuple[int, str]], rng: random.Random
):
    """Links in their order; and none comes after a visit that lies behind it, which `given` would rule (tested above)."""
    told.sort()
    things = [(minute + rng.choice((0, 0, 40)), 1, minute, "") for minute in minutes] + [(minute, 0, minute, lead) for minute, lead in told]
    things.sort()
    cluster = Cluster()
    visits: list[tuple[int, int]] = []
    links: list[tuple[int, int, str]] = []
    for arrival, (_, _, minute, lead) in enumerate(things):
        if lead:
            links.append((arrival, minute, lead))
            cluster.send(form(minute, lead))
        else:
            cluster.send(visit(len(visits), minute))
            visits.append((arrival, minute))
    assert cluster.given() == expected_leads(visits, links)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["", "ann", "bob"])), min_size=1, max_size=14),
    st.randoms(use_true_random=False),
)
def test_nothing_counts_for_two_leads_however_often_and_late_all_arrives(things: list[tuple[int, str]], rng: random.Random):
    events = [form(minute, lead) if lead else visit(minute, minute) for minute, lead in things]
    cluster = Cluster(Limits(waiting_events=5))
    for event in rng.choices(events, k=40):
        if rng.random() < 0.1:
            cluster.restart()
        cluster.send(event)
    given = cluster.given()
    assert not {*given.get("ann", [])} & {*given.get("bob", [])}


WHO = [{"anonymous_id": "a"}, {"anonymous_id": "b"}, {"user_id": "u"}, {"user_id": "b"}, {"anonymous_id": "a", "user_id": "u"}]


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 6), st.sampled_from(WHO), st.sampled_from(["", "", "ann", "bob", "erase"])), max_size=14
    )
)
def test_offline_events_in_order_go_to_the_leads_that_workers_find(things: list[tuple[int, int, dict[str, str], str]]):
    limits = Limits(waiting_events=2, waiting_days=3)
    outcomes: Counter[tuple[str, str]] = Counter()

    def count(kind: str, outcome: Outcome) -> None:
        outcomes[kind, str(outcome)] += 1

    cluster, visitors = Cluster(limits), Visitors(count, limits)
    found: list[Event] = []
    for day, number, who, lead in sorted(things, key=lambda thing: thing[:2]):
        raw = form(day * 1440 + number, lead, **who) if lead else visit(number, day * 1440 + number, **who)
        raw["id"] += "".join(who.values())  # an event is of one visitor
        if lead == "erase":
            raw = {**raw, "kind": "command", "do": "erase", "lead_id": "ann"}
        cluster.send(raw)
        result = canonical(dict(raw))
        assert isinstance(result, Event | Anonymous)
        found += visitors.take(result if isinstance(result, Event) else result.event)
    assert found == cluster.lead_events
    assert outcomes == cluster.outcomes
    visitors.finish()
    assert outcomes - cluster.outcomes == ({("web_visit", "ignored(no_lead)"): cluster.waiting} if cluster.waiting else {})
