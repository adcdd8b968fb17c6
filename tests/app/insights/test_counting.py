"""Facts and counts: a function of the set of facts, in any order, however often they come, and however they are shared out."""

from __future__ import annotations

import random
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.app.insights.counting import Book
from mqlstream.app.insights.facts import Fact, decode, encode, fact_of
from mqlstream.app.insights.report import Window, merged, part_of, report
from mqlstream.errors import UsageError
from mqlstream.handoff.cloudevents import encode as as_record
from mqlstream.handoff.contract import BECAME_MQA, ERASED, parse
from tests.app.insights.lives import Json, Life, events, expected, lives

LEAD = "ann@acme.example"


def fact(event: Json) -> Fact:
    """The event's fact, by way of a Kafka record and of the table's bytes."""
    _, value, headers = as_record(event, "/test")
    found = fact_of(parse(value, headers))
    assert found is not None
    return decode(encode(found))


def facts(told: list[Life]) -> list[tuple[str, Fact]]:
    return [(event["id"], fact(event)) for life in told for event in events(life)]


def book_of(pairs: list[tuple[str, Fact]]) -> Book:
    book = Book()
    for event_id, each in pairs:
        book.add(event_id, each)
    return book


def answer(*books: Book, window: Window | None = None) -> Json:
    return report(merged(part_of(book.days) for book in books), window or Window())


@given(st.integers(0, 10_000), st.integers(0, 30))
def test_counts_are_those_of_the_lives(seed: int, leads: int) -> None:
    told = lives(seed, leads)
    assert answer(book_of(facts(told))) == expected(told)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(seed: int, rng: random.Random) -> None:
    pairs = facts(lives(seed, 12))
    shuffled = pairs + rng.sample(pairs, len(pairs) // 2)
    rng.shuffle(shuffled)
    assert book_of(shuffled).days == book_of(pairs).days


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_the_parts_of_workers_add_up_to_the_whole(seed: int, workers: int) -> None:
    told = lives(seed, 20)
    parts = [book_of(facts([life for life in told if crc32(life.lead.encode()) % workers == worker])) for worker in range(workers)]
    assert answer(*parts) == expected(told)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_what_is_removed_leaves_no_trace(seed: int, rng: random.Random) -> None:
    pairs = facts(lives(seed, 8))
    kept = [pair for pair in pairs if rng.random() < 0.5]
    book = book_of(pairs)
    for event_id, _ in pairs:
        if event_id not in dict(kept):
            book.remove(event_id)
            book.remove(event_id)
    left = book_of(kept)
    assert len(book) == len(left)
    for counted, right in ((book.days, left.days), (book.totals, left.totals)):
        assert {name: counts for name, counts in counted.items() if counts} == {name: counts for name, counts in right.items() if counts}


def test_totals_are_the_sums_of_the_days() -> None:
    book = book_of(facts(lives(7, 50)))
    for definition, days in book.days.items():
        assert sum(days.values(), start=type(book.totals[definition])()) == book.totals[definition]


def test_an_erased_lead_takes_along_what_it_did_before_and_nothing_after() -> None:
    early, late = Life(LEAD, "steady", 1, 1_000, ("demo",)), Life(LEAD, "steady", 2, 9_000, ("demo",))
    other = Life("bob@acme.example", "steady", 1, 1_000, ("demo",))
    book = book_of(facts([early, late, other]))
    gone = fact({"type": ERASED, "id": "e", "lead_id": LEAD, "time": 5_000, "data": {}})
    assert book.covered_by(gone) == [event["id"] for event in events(early)]


def test_no_fact_names_its_lead() -> None:
    for event in events(Life(LEAD, "steady", 1, 1_000, ("demo",), moves=((1, "sal"),))):
        assert b"ann" not in encode(fact(event)) and b"acme" not in encode(fact(event))


def test_an_accounts_event_is_no_fact() -> None:
    _, value, headers = as_record({"type": BECAME_MQA, "id": "a", "lead_id": "acme.example", "time": 1, "data": {}}, "/test")
    assert fact_of(parse(value, headers)) is None


def test_lift_shows_a_rule_whose_leads_sales_rejects() -> None:
    told = [Life(f"good-{n}", "d", 1, 0, ("demo",), moves=((1_000, "sal"),)) for n in range(6)]
    told += [Life(f"bad-{n}", "d", 1, 0, ("newsletter",), moves=((1_000, "recycled"),)) for n in range(3)]
    told += [Life("mixed", "d", 1, 0, ("demo", "newsletter"), moves=((1_000, "sal"),)), Life("open", "d", 1, 0, ("newsletter",))]
    rules = answer(book_of(facts(told)))["definitions"][0]["rules"]
    assert rules == [
        {"rule": "demo", "mqls": 7, "accepted": 7, "rejected": 0, "customers": 0, "acceptance": 1.0, "lift": 1.4286},
        {"rule": "newsletter", "mqls": 5, "accepted": 1, "rejected": 3, "customers": 0, "acceptance": 0.25, "lift": 0.3571},
    ]


def test_a_window_takes_handoffs_by_the_day_they_were_opened_and_is_half_open() -> None:
    day_ms = 86_400_000
    told = [Life(f"lead-{day}", "d", 1, day * day_ms + 5, ("demo",), moves=((day_ms, "sal"),)) for day in range(4)]
    within = answer(book_of(facts(told)), window=Window("d", "1970-01-02", "1970-01-04"))
    assert (within["since"], within["until"]) == ("1970-01-02", "1970-01-04")
    assert within["definitions"][0]["funnel"]["sal"] == 2
    assert within["definitions"][0]["days"] == [{"day": "1970-01-02", "mql": 1, "sal": 1}, {"day": "1970-01-03", "mql": 1, "sal": 1}]
    assert answer(book_of(facts(told)), window=Window("another"))["definitions"] == []


def test_an_answer_at_the_last_moment_keeps_the_sla() -> None:
    kept = Life("kept", "d", 1, 0, ("demo",), respond_ms=1_000, moves=((1_000, "sal"),))
    late = Life("late", "d", 1, 0, ("demo",), respond_ms=1_000, moves=((1_001, "sal"),))
    assert answer(book_of(facts([kept, late])))["definitions"][0]["sla"] == {"kept": 1, "breached": 1}


def test_what_is_no_day_is_told_so() -> None:
    with pytest.raises(UsageError) as caught:
        Window(since="yesterday")
    assert str(caught.value) == "since is 'yesterday', expected a day such as 2026-11-02"
