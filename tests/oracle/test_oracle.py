"""The oracle's scores, by examples worked out by hand from the language's text: one or more for each construct."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.oracle.build import START_MS, after, click, defined, event, form, profile, visit
from tests.oracle.events import Json, epoch_ms, histories, with_derived_fields
from tests.oracle.oracle import score_at

VISIT: Json = {"id": "visit", "on": "web_visit", "points": 10}


def score(parts: Json, events: list[Json], as_of: int | None = None, **more: Any) -> Json:
    """The scores of `ann`."""
    return dict(score_at(defined(**parts), events, "ann", as_of, **more)["score"])


def engagement(rule: Json, events: list[Json], as_of: int | None = None, **parts: Any) -> float:
    """The engagement of `ann` under one rule."""
    return float(score({"rules": [rule], **parts}, events, as_of)["engagement"])


# Order, duplicates, horizon, bounds


def test_a_pricing_visit_loses_half_its_points_in_a_half_life() -> None:
    rule = VISIT | {"points": 25, "where": {"path": {"prefix": "/pricing"}, "duration_seconds": {"gte": 10}}, "decay": {"half_life": "14d"}}
    events = [
        visit(path="/pricing", duration_seconds=40),
        visit(path="/pricing", duration_seconds=9),
        visit(path="/about", duration_seconds=40),
    ]
    assert engagement(rule, events, after("30m")) == pytest.approx(24.9742, abs=1e-4)
    assert engagement(rule, events, after("14d")) == pytest.approx(12.5)


def test_the_example_of_the_language_gives_its_numbers() -> None:
    rules = [
        VISIT | {"id": "pricing-visit", "points": 25, "decay": {"half_life": "14d"}},
        {"id": "demo-request", "on": "form_fill", "points": 40},
    ]
    fit = [
        {
            "id": "seniority",
            "one_of": [
                {"where": {"title": {"words_any": ["chief", "vp"]}}, "points": 15},
                {"where": {"title": {"words_any": ["marketing"]}}, "points": 10},
            ],
        },
        {"id": "company-size", "where": {"company_size": {"gte": 200, "lt": 5000}}, "points": 20, "weight": 0.5},
    ]
    events = [profile(title="VP Marketing", company_size=800), visit(), form(after("1h"))]
    result = score_at(defined(rules=rules, fit=fit), events, "ann", after("30m"))
    assert result["score"] == {"total": pytest.approx(49.97, abs=0.005), "engagement": pytest.approx(24.97, abs=0.005), "fit": 25}
    assert score_at(defined(rules=rules, fit=fit), events, "ann")["score"]["engagement"] == pytest.approx(64.95, abs=0.005)


def test_the_order_of_arrival_and_duplicates_change_nothing() -> None:
    rule = VISIT | {"limit": {"count": 2, "per": "3d"}, "decay": {"linear": "30d"}}
    events = [visit(after(f"{hours}h")) for hours in (1, 30, 50, 80, 100, 170)]
    expected = engagement(rule, events)
    shuffled = events * 2
    for seed in range(10):
        random.Random(seed).shuffle(shuffled)
        assert engagement(rule, shuffled) == expected


def test_of_events_that_differ_under_one_id_the_first_in_time_then_in_canonical_json_counts() -> None:
    rule = VISIT | {"points_from": {"field": "worth", "min": 0, "max": 100}}
    assert engagement(rule, [visit(after("1h"), id="a", worth=5), visit(id="a", worth=7)]) == 7
    assert engagement(rule, [visit(id="a", worth=5), visit(id="a", worth=3)]) == 3
    assert engagement(rule, [visit(id="a", worth=5), visit(id="a", source="other", worth=3)]) == 8


def test_another_lead_s_event_with_the_same_id_is_another_event() -> None:
    events = [visit(id="a"), visit(id="a", lead_id="bob")]
    assert {lead: len(entries) for lead, entries in histories(events).items()} == {"ann": 1, "bob": 1}


def test_the_lead_id_wins_over_the_email_and_an_event_with_neither_has_no_lead() -> None:
    events = [visit(email=" Ann@X.example "), visit(lead_id=None, email=" Ann@X.example "), visit(lead_id=None)]
    assert {lead: len(entries) for lead, entries in histories(events).items()} == {"ann": 1, "ann@x.example": 1}


def test_a_time_outside_the_years_2000_to_2100_is_not_accepted() -> None:
    events = [visit("1999-12-31T23:59:59Z"), visit("2000-01-01T00:00:00Z"), visit("2101-01-01T00:00:00Z")]
    assert [entry.time for entry in histories(events)["ann"]] == [epoch_ms("2000-01-01T00:00:00Z")]


def test_the_horizon_is_in_whole_utc_days() -> None:
    events = [visit("2026-11-02T00:00:00Z"), visit("2026-11-02T23:59:59Z")]
    assert engagement(VISIT, events, epoch_ms("2026-11-04T23:59:59Z"), horizon="3d") == 20
    assert engagement(VISIT, events, epoch_ms("2026-11-05T00:00:00Z"), horizon="3d") == 0


def test_an_award_beyond_the_horizon_takes_no_place_in_a_lifetime_limit() -> None:
    rule = VISIT | {"points_from": {"field": "worth"}, "limit": {"count": 1, "per": "lifetime"}}
    events = [visit(worth=1), visit(after("1d"), worth=2), visit(after("2d"), worth=4)]
    assert [engagement(rule, events, after(days), horizon="3d") for days in ("2d", "3d", "4d", "5d")] == [1, 2, 4, 0]


def test_the_flood_keeps_the_first_of_each_kind_and_utc_day() -> None:
    rule = {"id": "all", "on": ["web_visit", "form_fill"], "points_from": {"field": "worth"}}
    events = [visit(after(f"{hour}h"), worth=2**hour) for hour in (1, 2, 3)] + [form(after("4h"), worth=16), visit(after("20h"), worth=32)]
    assert engagement(rule, events, bounds={"per_day": 2, "ledger": 10}) == 2 + 4 + 16 + 32


def test_the_ledger_keeps_the_newest_of_what_the_flood_left_and_profiles_take_no_place() -> None:
    rule = {"id": "all", "on": "web_visit", "points_from": {"field": "worth"}}
    events = [visit(after(f"{hour}h"), worth=2**hour) for hour in (1, 2, 3)] + [
        profile(after("4h"), title="x"),
        visit(after("20h"), worth=32),
    ]
    assert engagement(rule, events, bounds={"per_day": 2, "ledger": 2}) == 4 + 32


# Rules


def test_a_rule_looks_at_its_kinds_only() -> None:
    assert engagement({"id": "r", "on": ["web_visit", "form_fill"], "points": 1}, [visit(), form(), click()]) == 2


def test_points_may_be_negative_and_fractional() -> None:
    assert engagement(VISIT | {"points": -2.5}, [visit(), visit()]) == -5


def test_an_attribute_of_the_lead_switches_a_rule_on_for_everything_it_ever_did() -> None:
    rule = VISIT | {"where": {"lead.title": {"words_any": ["vp"]}}}
    events = [visit(), profile(after("1h"), title="VP Sales"), profile(after("2h"), title=None)]
    assert [engagement(rule, events, after(hours)) for hours in ("0s", "1h", "2h")] == [0, 10, 0]


def test_the_stage_that_an_event_met_is_recorded_with_it() -> None:
    rule = VISIT | {"where": {"lead.stage": "mql", "lead.cycle": {"gte": 1}}}
    met = {("s", "later"): ("mql", 1)}
    assert score({"rules": [rule]}, [visit(), visit(id="later")], met=met)["engagement"] == 10


def test_a_limit_looks_back_over_a_window_open_at_its_far_end() -> None:
    rule = VISIT | {"limit": {"count": 1, "per": "7d"}}
    assert engagement(rule, [visit(), visit(after("7d") - 1)]) == 10
    assert engagement(rule, [visit(), visit(after("7d"))]) == 20
    assert engagement(rule, [visit(), visit(after("4d")), visit(after("7d")), visit(after("11d"))]) == 20


def test_a_limit_of_two_counts_awards_not_matches() -> None:
    rule = VISIT | {"limit": {"count": 2, "per": "1d"}}
    assert engagement(rule, [visit(after(f"{hour}h")) for hour in (0, 6, 12, 18, 24, 26)]) == 30


def test_a_limit_by_a_field_is_one_limit_for_each_value_and_one_for_none() -> None:
    rule = VISIT | {"limit": {"count": 1, "per": "lifetime", "by": "campaign"}}
    events = [
        visit(campaign="a"),
        visit(campaign="a"),
        visit(campaign="A"),
        visit(),
        visit(campaign=None),
        visit(campaign=1),
        visit(campaign="1"),
    ]
    assert engagement(rule, events) == 50


@pytest.mark.parametrize(
    ("zone", "per", "first", "second", "points"),
    [
        ("UTC", "day", "2026-11-02T23:59:59.999Z", "2026-11-03T00:00:00Z", 20),
        ("Europe/Berlin", "day", "2026-11-02T23:59:59.999Z", "2026-11-03T00:00:00Z", 10),
        ("Europe/Berlin", "day", "2026-11-02T22:59:59.999Z", "2026-11-02T23:00:00Z", 20),
        ("Europe/Berlin", "day", "2026-10-24T22:00:00Z", "2026-10-25T22:59:59.999Z", 10),  # a day of 25 hours
        ("Europe/Berlin", "day", "2026-03-28T23:00:00Z", "2026-03-29T21:59:59.999Z", 10),  # a day of 23 hours
        ("Europe/Berlin", "day", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", 20),
        ("America/New_York", "day", "2026-11-02T04:59:59Z", "2026-11-02T05:00:00Z", 20),
        ("UTC", "week", "2026-12-28T00:00:00Z", "2027-01-03T23:59:59Z", 10),  # ISO week 53 of 2026
        ("UTC", "week", "2027-01-03T23:59:59Z", "2027-01-04T00:00:00Z", 20),
        ("UTC", "month", "2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z", 20),
        ("UTC", "month", "2025-11-30T23:59:59Z", "2026-11-30T00:00:00Z", 20),
        ("UTC", "year", "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z", 10),
        ("Pacific/Auckland", "year", "2026-12-31T10:59:59Z", "2026-12-31T11:00:00Z", 20),
    ],
)
def test_calendar_limits_follow_the_time_zone(zone: str, per: str, first: str, second: str, points: float) -> None:
    rule = VISIT | {"limit": {"count": 1, "per": per}}
    assert engagement(rule, [visit(first), visit(second)], timezone=zone) == points


@pytest.mark.parametrize(
    ("decay", "age", "points"),
    [
        ({"half_life": "7d"}, "14d", 2.5),
        ({"linear": "10d"}, "4d", 6),
        ({"linear": "10d"}, "10d", 0),
        ({"linear": "10d"}, "11d", 0),
        ({"expire_after": "10d"}, "9d", 10),
        ({"expire_after": "10d"}, "10d", 0),
    ],
)
def test_decay_at_an_age(decay: Json, age: str, points: float) -> None:
    assert engagement(VISIT | {"decay": decay}, [visit()], after(age)) == pytest.approx(points)


def test_a_count_gives_the_nth_and_later_match_within_the_window() -> None:
    rule = VISIT | {"count": {"at_least": 3, "within": "1d"}}
    assert engagement(rule, [visit(), visit(after("12h")), visit(after("1d") - 1), visit(after("1d"))]) == 20
    assert engagement(rule, [visit(), visit(after("12h")), visit(after("1d"))]) == 0


def test_of_matches_at_one_instant_the_nth_in_order_is_the_first_that_counts() -> None:
    assert engagement(VISIT | {"count": {"at_least": 2, "within": "1h"}}, [visit(), visit(), visit()]) == 20


def test_a_count_by_a_field_counts_each_value_by_itself() -> None:
    rule = VISIT | {"count": {"at_least": 2, "within": "1d", "by": "session_id"}}
    events = [visit(after(f"{hour}h"), session_id=session) for hour, session in enumerate(["a", "b", "a", "c", None, None])]
    assert engagement(rule, events) == 20


def test_a_distinct_count_counts_values_and_an_event_without_one_can_still_be_the_rule_s_event() -> None:
    rule = VISIT | {"count": {"at_least": 2, "within": "1d", "distinct": "path"}}
    events = [visit(after(f"{hour}h"), path=path) for hour, path in enumerate(["/a", "/a", None, "/b", None])]
    assert [engagement(rule, events[:size]) for size in range(1, 6)] == [0, 0, 0, 10, 20]


def test_a_distinct_count_by_a_field_counts_values_within_the_same_field() -> None:
    rule = VISIT | {"count": {"at_least": 2, "within": "1d", "distinct": "path", "by": "session_id"}}
    events = [visit(path="/a", session_id="1"), visit(path="/b", session_id="2"), visit(path="/b", session_id="1")]
    assert engagement(rule, events) == 10


def test_a_limit_awards_a_count_once() -> None:
    rule = VISIT | {"count": {"at_least": 2, "within": "1d"}, "limit": {"count": 1, "per": "7d"}}
    assert engagement(rule, [visit(after(f"{hour}h")) for hour in range(5)]) == 10


TIERS: Json = {
    "id": "recency",
    "on": "form_fill",
    "weight": 0.35,
    "tiers": [
        {"count": {"at_least": 1}, "within": "7d", "points": 100},
        {"count": {"at_least": 2}, "within": "14d", "points": 75},
        {"count": {"exactly": 1}, "within": "30d", "points": 50},
        {"count": {"exactly": 0}, "within": "60d", "points": -10},
    ],
}


def test_the_first_tier_that_holds_gives_the_weighted_points() -> None:
    events = [form()]
    ages = ["0s", "6d", "7d", "29d", "30d", "59d", "60d"]
    assert [engagement(TIERS, events, after(age)) for age in ages] == pytest.approx([35, 35, 17.5, 17.5, 0, 0, -3.5])
    assert engagement(TIERS, [*events, form(after("1h"))], after("8d")) == pytest.approx(26.25)


def test_a_standing_rule_whose_lead_gate_is_off_gives_nothing() -> None:
    rule = TIERS | {"where": {"lead.customer": True}}
    assert engagement(rule, [form(), profile(customer=False)], after("60d")) == 0
    assert engagement(rule, [form(), profile(customer=True)], after("60d")) == pytest.approx(-3.5)


def test_points_from_an_event_are_bounded_and_no_number_awards_nothing_but_uses_the_limit() -> None:
    rule = VISIT | {"points_from": {"field": "properties.points", "min": 2, "max": 50}}
    worths: list[Any] = [30, 1, 99, "30", True, None]
    events = [visit(properties={"points": worth}) for worth in worths]
    assert [engagement(rule, [each]) for each in events] == [30, 2, 50, 0, 0, 0]
    limited = rule | {"limit": {"count": 1, "per": "1d"}}
    assert engagement(limited, [visit(id="a", properties={}), visit(id="b", properties={"points": 30})]) == 0


RESET: Json = {"id": "unsubscribe", "on": "email_click", "where": {"action": "unsubscribe"}, "set": {"engagement": 3}}


def test_a_set_starts_the_dimension_again_from_its_value() -> None:
    rules = [VISIT, RESET, {"id": "fit-visit", "on": "web_visit", "points": 1, "dimension": "fit"}]
    fit = [{"id": "who", "points": 5}]
    events = [visit(), visit(), click(after("1h"), action="unsubscribe"), visit(after("1h"), source="t"), visit(after("2h"))]
    assert score({"rules": rules, "fit": fit}, events, after("0s")) == {"total": 27, "engagement": 20, "fit": 7}
    assert score({"rules": rules, "fit": fit}, events) == {"total": 32, "engagement": 23, "fit": 9}
    assert score({"rules": rules, "fit": fit}, events, after("500d")) == {"total": 5, "engagement": 0, "fit": 5}


def test_the_last_set_in_order_wins_and_of_one_event_s_rules_the_first_listed() -> None:
    second = RESET | {"id": "second", "set": {"engagement": 7, "fit": 2}}
    rules = [RESET, second, RESET | {"id": "third", "where": {"action": "bounce"}, "set": {"engagement": 9}}]
    assert score({"rules": rules}, [click(action="unsubscribe")]) == {"total": 5, "engagement": 3, "fit": 2}
    assert score({"rules": rules}, [click(action="unsubscribe"), click(after("1h"), action="bounce")])["engagement"] == 9


def test_a_set_of_fit_leaves_the_entries_of_fit_alone() -> None:
    rules = [VISIT | {"dimension": "fit"}, RESET | {"set": {"fit": 0}}]
    assert score({"rules": rules, "fit": [{"id": "who", "points": 5}]}, [visit(), click(after("1h"), action="unsubscribe")])["fit"] == 5


def test_limits_and_counts_remember_what_came_before_a_set_and_tiers_do_not() -> None:
    unsubscribe = click(after("1h"), action="unsubscribe")
    limited = VISIT | {"limit": {"count": 1, "per": "7d"}}
    assert score({"rules": [limited, RESET]}, [visit(), unsubscribe, visit(after("2h"))])["engagement"] == 3
    counted = VISIT | {"count": {"at_least": 2, "within": "7d"}}
    assert score({"rules": [counted, RESET]}, [visit(), unsubscribe, visit(after("2h"))])["engagement"] == 13
    assert score({"rules": [TIERS, RESET]}, [form(), unsubscribe])["engagement"] == pytest.approx(3 - 3.5)


def test_a_reset_command_clears_every_dimension() -> None:
    rules = [VISIT, VISIT | {"id": "fit-visit", "dimension": "fit"}]
    assert score({"rules": rules}, [visit(), event("command", after("1h"), do="reset"), visit(after("2h"))])["total"] == 20


def test_machines_match_only_the_rules_for_machines() -> None:
    rules = [VISIT, VISIT | {"id": "bot", "machine": True, "points": -1}]
    assert score({"rules": rules}, [visit(), visit(machine=True), visit(machine=True), visit(machine=False)])["engagement"] == 18


def test_a_machine_verdict_makes_an_event_a_machine_s_and_a_retraction_makes_it_nobody_s() -> None:
    rules = [VISIT, VISIT | {"id": "bot", "machine": True, "points": -1}]
    events = [visit(id="a"), visit(id="b"), visit(id="c")]
    verdict = event("command", after("1h"), do="machine_verdict", event_source="s", event_id="a")
    retract = event("command", after("2h"), do="retract", event_source="s", event_id="b")
    assert score({"rules": rules}, [verdict, retract, *events], after("0s"))["engagement"] == 30
    assert score({"rules": rules}, [verdict, retract, *events])["engagement"] == 9


def test_a_retracted_event_keeps_its_place() -> None:
    retract = event("command", after("3h"), do="retract", event_source="s", event_id="a")
    events = [visit(id="a"), visit(id="b"), visit(id="c"), retract]
    assert engagement(VISIT, events, bounds={"per_day": 2, "ledger": 10}) == 10


# Sums


def test_a_rule_s_sum_is_clipped_before_its_group_s_and_its_dimension_s() -> None:
    rules = [
        VISIT | {"cap": 15, "group": "web"},
        {"id": "form", "on": "form_fill", "points": 10, "group": "web"},
        {"id": "click", "on": "email_click", "points": -40},
    ]
    parts: Json = {"rules": rules, "groups": {"web": {"dimension": "engagement", "cap": 22}}, "dimensions": {"engagement": {"floor": -10}}}
    assert score(parts, [visit(), visit()])["engagement"] == 15
    assert score(parts, [visit(), visit(), form()])["engagement"] == 22
    assert score(parts, [visit(), visit(), form(), click()])["engagement"] == -10


def test_clipping_acts_after_decay() -> None:
    rule = VISIT | {"points": 100, "cap": 60, "decay": {"half_life": "1d"}}
    assert [engagement(rule, [visit()], after(age)) for age in ("0s", "1d")] == [60, 50]


def test_a_rule_takes_the_dimension_of_its_group() -> None:
    parts: Json = {"rules": [VISIT | {"group": "g"}], "groups": {"g": {"dimension": "intent"}}, "dimensions": {"intent": {}}}
    assert score(parts, [visit()]) == {"total": 10, "engagement": 0, "fit": 0, "intent": 10}


def test_the_total_is_the_sum_of_the_dimensions_and_may_be_clipped() -> None:
    parts: Json = {"rules": [VISIT, VISIT | {"id": "b", "dimension": "fit"}], "dimensions": {"total": {"cap": 15}}}
    assert score(parts, [visit()]) == {"total": 15, "engagement": 10, "fit": 10}


# Fit


def test_of_the_choices_of_a_fit_entry_the_first_that_holds_counts() -> None:
    entry = {"id": "x", "weight": 2, "one_of": [{"where": {"a": 1}, "points": 5}, {"where": {"b": 1}, "points": 7}]}
    assert score({"fit": [entry]}, [profile(a=1, b=1)])["fit"] == 10
    assert score({"fit": [entry]}, [profile(b=1)])["fit"] == 14
    assert score({"fit": [entry]}, [profile(c=1)])["fit"] == 0


def test_attributes_are_the_last_in_order_and_null_clears() -> None:
    fit = [{"id": "a", "where": {"a": 1}, "points": 1}, {"id": "b", "where": {"b": {"exists": True}}, "points": 2}]
    events = [profile(after("2h"), b=None), profile(after("1h"), a=1, b=1), profile(a=2)]
    assert [score({"fit": fit}, events, after(hours))["fit"] for hours in ("0s", "1h", "2h")] == [0, 3, 1]


def test_points_of_fit_may_come_from_an_attribute() -> None:
    entry = {"id": "x", "points_from": {"field": "review_points", "min": 0, "max": 30}, "weight": 0.5}
    assert [score({"fit": [entry]}, [profile(review_points=value)])["fit"] for value in (10, 99, -3, "10", None)] == [5, 15, 0, 0, 0]


def test_attributes_stay_beyond_the_horizon() -> None:
    assert score({"fit": [{"id": "a", "where": {"a": 1}, "points": 1}]}, [profile(a=1)], after("1000d"))["fit"] == 1


@pytest.mark.parametrize(
    ("email", "domain", "kind"),
    [
        ("Ann@ACME.example ", "acme.example", "business"),
        ("ann@gmail.com", "gmail.com", "free"),
        ("info@gmail.com", "gmail.com", "role"),
        ("info@mailinator.com", "mailinator.com", "disposable"),
    ],
)
def test_attributes_derived_from_the_email(email: str, domain: str, kind: str) -> None:
    fit = [{"id": "d", "where": {"email_domain": domain}, "points": 1}, {"id": "k", "where": {"email_kind": kind}, "points": 2}]
    assert score({"fit": fit}, [visit(email="ann@first.example"), visit(email=email), visit()])["fit"] == 3


def test_the_age_runs_from_the_first_event_of_any_kind_machines_included() -> None:
    fit = [{"id": "old", "where": {"age": {"gte": "2d"}}, "points": 1}]
    events = [visit(machine=True), visit(after("1d"))]
    assert [score({"fit": fit}, events, as_of)["fit"] for as_of in (after("2d") - 1, after("2d"))] == [0, 1]


# Inactivity

IDLE: Json = {"id": "idle", "after": "30d", "every": "10d", "points": -10}


def idle(entry: Json, events: list[Json], as_of: int, **parts: Any) -> float:
    return float(score({"inactivity": [entry], **parts}, events, as_of)["engagement"])


def test_a_gap_gives_points_once_and_again_for_every_full_period_beyond() -> None:
    moments = [after("30d") - 1, after("30d"), after("40d") - 1, after("40d"), after("65d")]
    assert [idle(IDLE, [visit()], as_of) for as_of in moments] == [0, -10, -10, -20, -40]
    once = {key: value for key, value in IDLE.items() if key != "every"}
    assert idle(once, [visit()], after("200d")) == -10


def test_gaps_before_between_and_after_activity_each_count() -> None:
    events = [profile(a=1), visit(after("30d")), visit(after("70d"))]
    assert idle(IDLE, events, after("70d")) == -10 - 20
    assert idle(IDLE, events, after("100d")) == -10 - 20 - 10


def test_machines_and_passive_actions_end_no_gap() -> None:
    events = [visit(), visit(after("20d"), machine=True), click(after("20d"), action="delivered"), profile(after("20d"), a=1)]
    assert idle(IDLE, events, after("30d")) == -10
    assert idle(IDLE, [visit(), click(after("20d"))], after("30d")) == 0


def test_an_entry_may_look_at_some_activity_only() -> None:
    entry = IDLE | {"on": ["email_click"], "where": {"action": "open"}}
    events = [visit(), click(after("20d"), action="click"), click(after("35d"))]
    assert idle(entry, events[:2], after("30d")) == -10
    assert idle(entry, events, after("60d")) == -10


def test_unless_is_looked_at_for_each_moment() -> None:
    entry = IDLE | {"unless": {"lead.age": {"lt": "45d"}}}
    assert [idle(entry, [visit()], after(age)) for age in ("40d", "50d", "60d")] == [0, -10, -20]


def test_a_gap_that_began_beyond_the_horizon_counts_only_when_it_is_the_last() -> None:
    events = [visit(), visit(after("50d"))]
    assert idle(IDLE, events, after("59d"), horizon="60d") == -30
    assert idle(IDLE, events, after("60d"), horizon="60d") == 0
    assert idle(IDLE, events, after("150d"), horizon="60d") == -10 * 8


def test_a_set_ends_inactivity_points_that_fell_due_up_to_it() -> None:
    rules = [RESET | {"set": {"engagement": 0}}]
    bounce = RESET | {"id": "b", "where": {"action": "bounce"}}
    events = [visit(), click(after("40d"), action="bounce")]
    assert idle(IDLE, events, after("50d"), rules=rules) == -30
    assert idle(IDLE, events, after("50d"), rules=[*rules, bounce | {"set": {"engagement": 0}}]) == -10


# Grades, contributions, derived fields


def test_a_cell_is_made_of_the_lowest_scores_of_each_grade() -> None:
    grades = {"fit": {"A": 50, "B": 30, "C": 0.3}, "engagement": {"1": 20, "2": 10, "4": None}, "total": {"x": 60}}
    fit = [{"id": "f", "points_from": {"field": "f"}}, {"id": "g", "points_from": {"field": "g"}}]

    def cell(events: list[Json]) -> str:
        return str(score_at(defined(rules=[VISIT], fit=fit, grades=grades), events, "ann")["grade"])

    assert cell([profile(f=50), visit()]) == "A2x"
    assert cell([profile(f=49.999), visit(), visit()]) == "B1x"
    assert cell([profile(f=0.1, g=0.2)]) == "C4"
    assert cell([profile(f=0.2)]) == "4"


def test_contributions_say_where_each_point_comes_from() -> None:
    rule = VISIT | {"label": "Came by", "intent": "tofu", "decay": {"half_life": "1d"}}
    parts: Json = {"rules": [rule], "fit": [{"id": "f", "points": 50}]}
    found = score_at(defined(**parts), [visit(id="a")], "ann", after("1d"))["contributions"]
    nowhere = {"time": after("1d"), "event_id": None, "source": None, "intent": None}
    assert found == [
        {"rule": "f", "label": "f", "points": 50, "awarded": 50} | nowhere,
        {
            "rule": "visit",
            "label": "Came by",
            "points": 5,
            "awarded": 10,
            "time": START_MS,
            "event_id": "a",
            "source": "s",
            "intent": "tofu",
        },
    ]


@pytest.mark.parametrize(
    ("given", "derived"),
    [
        (
            {"url": "https://Acme.example/Pricing/%20?a=1&a=2&utm_source=ad"},
            ("acme.example", "/Pricing/%20", {"a": "2", "utm_source": "ad"}, {"source": "ad"}),
        ),
        ({"url": "https://acme.example"}, ("acme.example", "/", {}, {})),
        ({"url": "https://acme.example/a", "path": None}, ("acme.example", "/a", {}, {})),
        ({"url": "https://acme.example/a", "path": "/b", "utm": {"x": "y"}}, ("acme.example", "/b", {}, {"x": "y"})),
    ],
)
def test_a_url_gives_host_path_query_and_utm_and_explicit_fields_win(given: Json, derived: tuple[Any, ...]) -> None:
    found = with_derived_fields(given)
    assert (found["host"], found["path"], found["query"], found["utm"]) == derived
