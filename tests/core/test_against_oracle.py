"""Production against the naive oracle: the central property of the language, on generated definitions and histories.

The short form looks at the same few hundred examples each time; `make oracle` at as many new ones as
MQLSTREAM_ORACLE_EXAMPLES says (default 200,000).
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.oracle.events import Json
from tests.oracle.events import histories as histories_by_lead
from tests.oracle.lifecycle import lives
from tests.oracle.oracle import score_of
from tests.oracle.production import Handoff, handed_off, scored, scored_as_they_arrive
from tests.oracle.strategies import ALL, arrivals, corrections, definitions, histories, moments, text_of

MANY = int(os.environ.get("MQLSTREAM_ORACLE_EXAMPLES", "200000"))
# One difference at a time: shrinking several of them takes minutes.
COMMON = settings(deadline=None, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
QUICK = settings(COMMON, max_examples=100, derandomize=True)
HISTORIES = 3  # of the long form, under each definition: an example is a definition with a history
PART = 500  # hypothesis remembers what it has drawn in one run, some 200 KB each time
LONG = settings(COMMON, max_examples=min(PART, max(1, MANY // 4 // HISTORIES)), backend="hypothesis-urandom")  # no variants of each other
TOLERANCE = 1e-6


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=HISTORIES, max_size=HISTORIES)


DATA = st.data()
DEFINITIONS = definitions()
STAGELESS_DEFINITIONS = definitions(ALL - {"stage"})  # the stage that an event meets depends on when it arrives


def oracle_rows(definition: Json, events: list[Json], as_of: int) -> list[Json]:
    """One row for each lead with an event by `as_of`, as `score --leads` has them."""
    found = lives(definition, events, as_of)
    return [
        {"lead_id": lead, "stage": each.stage, "cycle": each.cycle, "unsaid": each.unsaid}
        | score_of(definition, each.applied, as_of, each.met)
        for lead, each in sorted(found.items())
    ]


def oracle_scores(definition: Json, events: list[Json], as_of: int) -> list[Json]:
    """The same without the stages, which take the oracle a look at every day: for definitions that don't ask for them."""
    known = {lead: [entry for entry in entries if entry.time <= as_of] for lead, entries in histories_by_lead(events).items()}
    return [{"lead_id": lead} | score_of(definition, entries, as_of) for lead, entries in sorted(known.items()) if entries]


def sums(contributions: list[Json]) -> dict[tuple[Any, ...], list[float]]:
    """Points and awarded points by where they come from; several standing contributions of one rule are one here."""
    found: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each in contributions:
        if each["points"]:
            entry = found[each["rule"], each["label"], each["time"], each["source"] or "", each["event_id"] or "", each["intent"]]
            entry[0] += each["points"]
            entry[1] += each["awarded"]
    return found


def assert_same_numbers(got: dict[Any, Any], expected: dict[Any, Any], what: str) -> None:
    """Both mappings have the same keys, and numbers that differ by no more than the tolerance."""
    for key in {**expected, **got}:
        one, other = got.get(key, 0), expected.get(key, 0)
        for mine, its in zip(*(side if isinstance(side, list) else [side] for side in (one, other)), strict=False):
            assert math.isclose(mine, its, rel_tol=0, abs_tol=TOLERANCE), f"{what} {key}: got {one}, the oracle {other}"


def assert_same_scores(got: list[Json], expected: list[Json], stages: bool = True) -> None:
    """The same leads with the same scores, cells and contributions, and the same stages where they are comparable."""
    assert [row["lead_id"] for row in got] == [row["lead_id"] for row in expected]
    for mine, its in zip(got, expected, strict=True):
        if stages and its["unsaid"]:
            continue
        assert mine["as_of"] == its["as_of"]
        assert mine["score"].keys() == its["score"].keys()
        assert_same_numbers(mine["score"], its["score"], f"{mine['lead_id']}: score")
        assert_same_numbers(sums(mine["contributions"]), sums(its["contributions"]), f"{mine['lead_id']}: contribution")
        assert (mine["grade"] or "") == its["grade"]
        if stages:
            assert (mine["stage"], mine["cycle"]) == (its["stage"], its["cycle"])


@contextmanager
def told(definition: Json, events: list[Json]) -> Iterator[None]:
    """Leave the example in a failure's report as files that the command line reads."""
    try:
        yield
    except Exception:
        note(text_of(definition))
        note("\n".join(json.dumps(event, ensure_ascii=False) for event in events))
        raise


def check_scores(data: st.DataObject, definition: Json, history: list[Json]) -> None:
    as_of = data.draw(moments(history), label="as_of")
    with told(definition, history):
        assert_same_scores(scored(definition, history, as_of), oracle_rows(definition, history, as_of))


def check_handoffs(definition: Json, history: list[Json]) -> None:
    found = lives(definition, history)
    expected = sorted(
        Handoff(each.lead, each.cycle, each.as_of, each.qualified_at or 0, each.score["score"]["total"])
        for one in found.values()
        for each in one.transitions
        if each.stage == "mql" and not one.unsaid
    )
    with told(definition, history):
        got = sorted(handoff for handoff in handed_off(definition, history) if not found[handoff.lead].unsaid)
        assert [handoff[:4] for handoff in got] == [handoff[:4] for handoff in expected]
        assert [handoff.total for handoff in got] == pytest.approx([handoff.total for handoff in expected], abs=TOLERANCE)


def check_arrivals(data: st.DataObject, definition: Json, history: list[Json]) -> None:
    arriving = data.draw(arrivals(history), label="arriving")
    latest = max(event["time"] for event in history)
    with told(definition, arriving):
        assert_same_scores(scored_as_they_arrive(definition, arriving), oracle_scores(definition, history, latest), stages=False)


@QUICK
@given(DATA, DEFINITIONS, histories())
def test_scores_are_the_oracle_s_at_any_moment(data: st.DataObject, definition: Json, history: list[Json]) -> None:
    check_scores(data, definition, history)


@QUICK
@given(DEFINITIONS, histories())
def test_handoffs_of_a_sorted_history_are_the_oracle_s(definition: Json, history: list[Json]) -> None:
    check_handoffs(definition, history)


@QUICK
@given(DATA, STAGELESS_DEFINITIONS, histories(conflicts=False))
def test_scores_are_the_oracle_s_whatever_the_order_of_arrival_and_the_duplicates(
    data: st.DataObject, definition: Json, history: list[Json]
) -> None:
    check_arrivals(data, definition, history)


@QUICK
@given(DATA, STAGELESS_DEFINITIONS, histories(conflicts=False))
def test_scores_are_the_oracle_s_whenever_events_are_corrected(data: st.DataObject, definition: Json, history: list[Json]) -> None:
    check_arrivals(data, definition, history + data.draw(corrections(history), label="corrections"))


@QUICK
@given(DATA, DEFINITIONS, histories())
def test_the_order_of_the_lines_changes_nothing_offline(data: st.DataObject, definition: Json, history: list[Json]) -> None:
    shuffled = data.draw(arrivals(history), label="shuffled")
    assert scored(definition, shuffled, None) == scored(definition, history, None)
    assert handed_off(definition, shuffled) == handed_off(definition, history)


def test_a_lead_rises_to_the_threshold_when_a_tier_takes_less_with_time() -> None:
    tier = {"count": {"at_least": 1}, "within": "1d", "points": -5}
    definition = {
        "definition": "model",
        "version": 1,
        "rules": [{"id": "noise", "on": "web_visit", "tiers": [tier]}],
        "qualify": {"threshold": {"total": 0}},
    }
    day = 1_793_610_000_000
    history = [{"kind": "web_visit", "lead_id": "ann", "time": time, "id": str(time), "source": "s"} for time in (day, day + 172_800_000)]
    check_handoffs(definition, history)
    assert len(handed_off(definition, history)) == 1


def test_a_penalty_that_fades_is_watched_until_it_changes_nothing() -> None:
    definition = {
        "definition": "model",
        "version": 1,
        "rules": [{"id": "noise", "on": "web_visit", "points": -5, "decay": {"half_life": "7d"}}],
        "qualify": {"threshold": {"total": 0}},
    }
    day = 1_793_610_000_000
    history = [
        {"kind": "web_visit", "lead_id": "ann", "time": time, "id": str(time), "source": "s"} for time in (day, day + 31_536_000_000)
    ]
    check_handoffs(definition, history)
    assert len(handed_off(definition, history)) == 1


def test_a_penalty_that_has_expired_hides_no_other_that_still_fades() -> None:
    definition = {
        "definition": "model",
        "version": 1,
        "rules": [{"id": "noise", "on": "web_visit", "points": -30, "decay": {"linear": "7d"}}],
        "fit": [{"id": "title", "where": {"title": "VP"}, "points": 16}],
        "qualify": {"threshold": {"total": 10}},
    }
    day, first = 86_400_000, 1_793_610_000_000
    moments = [*range(first, first + 5), first + 2 * day, first + 2 * day + 1, first + 30 * day]
    history: list[Json] = [{"kind": "web_visit", "lead_id": "ann", "time": time, "id": str(time), "source": "s"} for time in moments]
    told = {"kind": "profile", "attributes": {"title": "VP"}, "lead_id": "ann", "time": first + 2 * day + 2, "id": "p", "source": "s"}
    history.insert(-1, told)
    check_handoffs(definition, history)
    assert len(handed_off(definition, history)) == 1


def test_a_lead_that_was_too_young_is_looked_at_when_it_no_longer_is() -> None:
    definition = {
        "definition": "model",
        "version": 1,
        "rules": [{"id": "visit", "on": "web_visit", "points": 10}],
        "disqualify": [{"id": "young", "where": {"age": {"lte": "1d"}}}],
        "qualify": {"threshold": {"total": 10}},
    }
    day = 1_793_610_000_000
    history = [{"kind": "web_visit", "lead_id": "ann", "time": time, "id": str(time), "source": "s"} for time in (day, day + 172_800_000)]
    check_handoffs(definition, history)
    assert [handoff.qualified_at % 86_400_000 for handoff in handed_off(definition, history)] == [0]


@LONG
@given(DATA, STAGELESS_DEFINITIONS, several(histories(conflicts=False)))
def some_in_any_order(data: st.DataObject, definition: Json, some: list[list[Json]]) -> None:
    for history in some:
        check_arrivals(data, definition, history)


@LONG
@given(DATA, DEFINITIONS, several(histories()))
def some_in_order(data: st.DataObject, definition: Json, some: list[list[Json]]) -> None:
    for history in some:
        if data.draw(st.booleans()):
            check_scores(data, definition, history)
        else:
            check_handoffs(definition, history)


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("some", "share"),
    [
        pytest.param(some_in_any_order, 3 / 4, id="in any order"),
        pytest.param(some_in_order, 1 / 4, id="in order"),  # which cost more, for the oracle looks at each lead every day
    ],
)
def test_many_histories_show_no_difference(some: Callable[[], None], share: float) -> None:
    for _ in range(max(1, math.ceil(MANY * share / HISTORIES / PART))):
        some()
