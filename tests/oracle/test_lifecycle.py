"""The oracle's stages, by examples worked out by hand from the language's text."""

from __future__ import annotations

import pytest

from tests.oracle.build import after, click, defined, event, form, profile, visit
from tests.oracle.events import Json, epoch_ms
from tests.oracle.lifecycle import life

VISIT: Json = {"id": "visit", "on": "web_visit", "points": 10}
DEMO: Json = {"id": "demo", "on": "form_fill", "points": 0}
RIVAL: Json = {"id": "rival", "where": {"email_domain": "rival.example"}}


def stages(events: list[Json], **parts: object) -> list[tuple[str, int, int]]:
    """Stage, cycle and time of each transition of a model of visits and demo requests."""
    definition = defined(**({"rules": [VISIT, DEMO]} | parts))
    return [(each.stage, each.cycle, each.as_of) for each in life(definition, events)]


def test_a_lead_becomes_an_mql_once_all_thresholds_are_reached() -> None:
    events = [visit(), visit(after("1h")), profile(after("2h"), a=1), visit(after("3h"))]
    qualify = {"threshold": {"total": 20, "fit": 5}}
    fit = [{"id": "a", "where": {"a": 1}, "points": 5}]
    assert stages(events, qualify=qualify, fit=fit) == [("mql", 1, after("2h"))]


def test_a_threshold_is_reached_within_a_billionth() -> None:
    rules = [VISIT | {"points": 0.1}]
    assert stages([visit(), visit(), visit()], rules=rules, qualify={"threshold": {"total": 0.3}})
    assert not stages([visit(), visit()], rules=rules, qualify={"threshold": {"total": 0.2000001}})


def test_events_of_one_instant_are_looked_at_one_by_one() -> None:
    rules = [VISIT, {"id": "minus", "on": "form_fill", "points": -10}]
    assert stages([visit(), form()], rules=rules, qualify={"threshold": {"total": 10}}) == [("mql", 1, after("0s"))]
    assert stages([form(), visit()], rules=rules, qualify={"threshold": {"total": 10}}) == []


def test_the_fast_track_needs_no_score_but_an_award() -> None:
    limited = DEMO | {"limit": {"count": 1, "per": "lifetime"}}
    assert stages([visit(), form(after("1h"))], rules=[limited], qualify={"fast_track": ["demo"]}) == [("mql", 1, after("1h"))]


def test_disqualification_wins_and_withdraws_and_a_fast_track_that_met_it_is_forgotten() -> None:
    rival, honest = {"email": "ann@rival.example"}, {"email": "ann@acme.example"}
    events = [
        form(after("1h")),
        visit(after("2h"), **rival),
        form(after("3h")),
        visit(after("4h"), **honest),
        visit(after("5h")),
        form(after("6h")),
    ]
    assert stages(events, disqualify=[RIVAL], qualify={"fast_track": ["demo"]}) == [
        ("mql", 1, after("1h")),
        ("disqualified", 1, after("2h")),
        ("lead", 1, after("4h")),
        ("mql", 2, after("6h")),
    ]


def test_a_lead_no_longer_disqualified_can_qualify_at_once_by_its_score() -> None:
    events = [visit(email="ann@rival.example"), visit(after("1h"), email="ann@acme.example")]
    expected = [("disqualified", 0, after("0s")), ("lead", 0, after("1h")), ("mql", 1, after("1h"))]
    assert stages(events, disqualify=[RIVAL], qualify={"threshold": {"total": 20}}) == expected


def test_a_frozen_lead_waits_with_its_fast_track() -> None:
    events = [profile(held=True), form(after("1h")), profile(after("2h"), held=None)]
    freeze = [{"id": "held", "where": {"held": True}}]
    assert stages(events, freeze=freeze, qualify={"fast_track": ["demo"]}) == [("mql", 1, after("2h"))]


def test_a_definition_hands_off_within_its_days_only() -> None:
    active = {"from": "2026-11-03", "until": "2026-11-04"}
    for time, found in [
        ("2026-11-02T22:59:59.999Z", False),
        ("2026-11-02T23:00:00Z", True),
        ("2026-11-03T22:59:59.999Z", True),
        ("2026-11-03T23:00:00Z", False),
    ]:
        assert bool(stages([form(time)], active=active, timezone="Europe/Berlin", qualify={"fast_track": ["demo"]})) is found, time


def test_a_shadow_never_hands_off() -> None:
    assert stages([form()], mode="shadow", qualify={"fast_track": ["demo"]}) == []


def test_the_stage_that_an_event_met_is_recorded() -> None:
    rules = [VISIT, {"id": "again", "on": "web_visit", "where": {"lead.stage": "mql", "lead.cycle": 1}, "points": 1000}]
    definition = defined(rules=rules, qualify={"threshold": {"total": 20}}, disqualify=[RIVAL])
    events = [visit(), visit(after("1h")), visit(after("2h")), visit(after("3h"), email="x@rival.example")]
    assert [each.score["score"]["total"] for each in life(definition, events)] == [20, 1040 + 1000]


@pytest.mark.parametrize(
    ("when", "at"),
    [
        ({"score": "total", "gte": 20}, "1h"),
        ({"score": "total", "gt": 20}, "2h"),
        ({"all": [{"score": "total", "gte": 10, "lt": 30}, {"not": {"score": "total", "lte": 10}}]}, "1h"),
        ({"any": [{"score": "total", "gte": 100}, {"where": {"a": 1}}]}, "2h"),
        ({"cell": {"in": ["1"]}}, "1h"),
        ({"rule": "demo"}, "3h"),
    ],
    ids=str,
)
def test_the_general_condition(when: Json, at: str) -> None:
    events = [visit(), visit(after("1h")), visit(after("2h")), profile(after("2h"), a=1), form(after("3h"))]
    grades = {"engagement": {"1": 20, "2": None}}
    assert stages(events, grades=grades, qualify={"when": when}) == [("mql", 1, after(at))]


def test_a_rise_by_time_alone_counts_at_the_daily_look() -> None:
    rules = [VISIT, {"id": "minus", "on": "email_click", "points": -10, "decay": {"expire_after": "1d"}}]
    events = [click(), visit(after("1h")), event("profile", after("5d"), attributes={})]
    qualify = {"threshold": {"total": 10}}
    assert stages(events, rules=rules, qualify=qualify) == [("mql", 1, epoch_ms("2026-11-04T00:00:00Z"))]


def test_what_is_true_when_a_definition_s_days_begin_counts_then() -> None:
    active = {"from": "2026-11-03"}
    events = [form(), visit(after("30d"))]
    assert stages(events, active=active, qualify={"fast_track": ["demo"]}) == [("mql", 1, epoch_ms("2026-11-03T00:00:00Z"))]
