"""The life of a lead: what sales answers, what time does, and that both happen once and when the document says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqlstream import offline
from mqlstream.core.business import BusinessHours
from mqlstream.core.event import Event
from mqlstream.core.outcome import Reason
from mqlstream.ingest.canonical import canonical

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_793_610_000_000  # a whole hour

BASE = """
definition: b2b
version: 1
rules:
  - {id: visit, on: web_visit, points: 60}
  - {id: demo, on: form_fill, points: 10}
qualify:
  threshold: {total: 100}
  fast_track: [demo]
  recycle: {set: {engagement: 0}, cooldown: 14d}
"""


def event(kind: str, number: int, after_ms: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "source": "s", "kind": kind, "time": START + after_ms, "lead_id": "ann", **fields}


def feedback(number: int, after_ms: int, decision: str, **fields: Any) -> dict[str, Any]:
    return event("feedback", number, after_ms, decision=decision, **{"definition": "b2b", **fields})


def play(definition: str, events: list[dict[str, Any]], until_ms: int | None = None) -> tuple[offline.Replay, list[dict[str, Any]]]:
    """Apply events as they come, then let time pass."""
    replay = offline.Replay(offline.compile_texts([definition]))
    outputs: list[dict[str, Any]] = []
    for raw in events:
        accepted = canonical(dict(raw))
        assert isinstance(accepted, Event), accepted
        outputs += replay.apply(accepted)
    return replay, outputs + replay.advance(START + until_ms if until_ms is not None else replay.latest)


def told(outputs: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """Type and time after the start of each output."""
    return [(each["type"].split(".")[2], each["time"] - START) for each in outputs]


def outcomes(replay: offline.Replay) -> list[str]:
    return sorted(outcome for (kind, outcome), count in replay.outcomes.items() for _ in range(count) if kind == "feedback")


STAGES = ["mql", "sal", "sql", "opportunity", "customer", "recycled", "disqualified"]
WAY = {
    "sal": ["accepted"],
    "sql": ["qualified"],
    "opportunity": ["opportunity"],
    "customer": ["won"],
    "recycled": ["rejected"],
    "disqualified": ["disqualified"],
}
ALLOWED = {
    ("mql", "accepted"): "sal",
    **{(stage, "qualified"): "sql" for stage in ("mql", "sal")},
    **{(stage, "opportunity"): "opportunity" for stage in ("mql", "sal", "sql")},
    **{(stage, "won"): "customer" for stage in ("mql", "sal", "sql", "opportunity")},
    **{(stage, no): "recycled" for stage in ("mql", "sal", "sql", "opportunity") for no in ("rejected", "recycled", "lost")},
    **{(stage, "disqualified"): "disqualified" for stage in ("mql", "sal", "sql", "opportunity")},
}


@pytest.mark.parametrize("decision", ["accepted", "qualified", "opportunity", "won", "rejected", "recycled", "lost", "disqualified"])
@pytest.mark.parametrize("stage", STAGES)
def test_an_answer_moves_the_lead_or_is_out_of_turn(stage: str, decision: str) -> None:
    way = [feedback(10 + place, 2 * HOUR + place, each) for place, each in enumerate(WAY.get(stage, []))]
    history = [event("form_fill", 1, HOUR), *way, feedback(20, 3 * HOUR, decision)]
    replay, outputs = play(BASE, history)
    (row,) = replay.leads()
    expected = ALLOWED.get((stage, decision))
    assert row["stage"] == (expected or stage)
    assert outcomes(replay)[: 1 if expected is None else 0] == (["ignored(out_of_turn)"] if expected is None else [])
    assert told(outputs)[-1] == (("stage_changed", 3 * HOUR) if expected else told(outputs)[-1])


def test_an_answer_that_came_twice_counts_once() -> None:
    replay, outputs = play(BASE, [event("form_fill", 1, 0), feedback(2, HOUR, "accepted"), feedback(2, HOUR, "accepted")])
    assert told(outputs) == [("became_mql", 0), ("stage_changed", HOUR)]
    assert outcomes(replay) == [f"ignored({Reason.DUPLICATE.value})", "scored"]


def test_a_closed_handoff_is_not_answered_any_more() -> None:
    first = play(BASE, [event("form_fill", 1, 0)])[1][0]["data"]["handoff_id"]
    history = [event("form_fill", 1, 0), feedback(2, HOUR, "rejected", handoff_id=first)]
    again = [event("form_fill", 3, 20 * DAY), feedback(4, 21 * DAY, "accepted", handoff_id=first)]
    replay, outputs = play(BASE, history + again)
    assert told(outputs) == [("became_mql", 0), ("stage_changed", HOUR), ("became_mql", 20 * DAY)]
    assert outcomes(replay) == ["ignored(out_of_turn)", "scored"]


def test_a_recycled_lead_starts_again_and_rests() -> None:
    history = [event("web_visit", 1, 0), event("web_visit", 2, HOUR), feedback(3, 2 * HOUR, "recycled")]
    replay, outputs = play(BASE, [*history, event("form_fill", 4, DAY)])
    assert told(outputs) == [("became_mql", HOUR), ("stage_changed", 2 * HOUR)]
    assert next(iter(replay.leads()))["score"]["total"] == 10
    outputs = play(BASE, [*history, event("form_fill", 4, DAY)], 15 * DAY)[1]
    assert told(outputs)[2:] == [("became_mql", 14 * DAY + 2 * HOUR)]  # the end of the cooldown looks at the condition


def test_a_late_event_from_before_the_recycling_counts_no_more() -> None:
    history = [event("web_visit", 1, 0), event("web_visit", 2, HOUR), feedback(3, 2 * HOUR, "recycled")]
    replay, _ = play(BASE, [*history, event("web_visit", 5, 90 * MINUTE), event("web_visit", 6, 3 * HOUR)])
    assert next(iter(replay.leads()))["score"]["total"] == 60


REARM = """
definition: b2b
version: 1
rules:
  - {{id: visit, on: web_visit, points: 60, decay: {{{visit}}}}}
  - {{id: form, on: form_fill, points: 30, decay: {{{form}}}}}
  - {{id: worse, on: email_click, points: -25, decay: {{{worse}}}}}
inactivity:
  - {{id: idle, {gap}, points: {idle}}}
qualify:
  threshold: {{total: 50}}
  rearm: {{below: 40, cooldown: 2d}}
"""
DECAYS = st.sampled_from(["half_life: 2h", "half_life: 1d", "linear: 9h", "expire_after: 7h", "half_life: 30m", "half_life: 90d"])
GAPS = st.sampled_from(["after: 5h, every: 3h", "after: 3h", "after: 2h, every: 9h"])
KINDS = ["web_visit", "form_fill", "email_click", "activity"]
HISTORIES = st.lists(st.tuples(st.integers(0, 600), st.sampled_from(KINDS)), min_size=1, max_size=6)


@settings(max_examples=30)
@given(DECAYS, DECAYS, DECAYS, GAPS, st.sampled_from([-7, -1, -16]), HISTORIES)
def test_a_fall_is_noticed_at_the_first_whole_minute_at_which_it_holds(
    visit: str, form: str, worse: str, gap: str, idle: int, history: list[tuple[int, str]]
) -> None:
    definition = REARM.format(visit=visit, form=form, worse=worse, gap=gap, idle=idle)
    events = [event(kind, number, minute * MINUTE + 12_345 * number, name="x") for number, (minute, kind) in enumerate(sorted(history))]
    outputs = play(definition, events, 2 * DAY)[1]
    became = next((each["time"] for each in outputs if "became_mql" in each["type"]), None)
    cooled = next((each["time"] for each in outputs if "cooled" in each["type"]), None)
    assert cooled == (None if became is None else _naive_fall(definition, events, became))


def _naive_fall(definition: str, events: list[dict[str, Any]], became: int) -> int | None:
    """Look at every minute, as the document has it."""
    peaked = False
    for minute in range(-(-became // MINUTE) * MINUTE, START + 2 * DAY + 1, MINUTE):
        for moment in [became, *(each["time"] for each in events if minute - MINUTE < each["time"] <= minute and each["time"] >= became)]:
            peaked = peaked or _total(definition, events, moment) >= 40 - 1e-9
        if peaked and _total(definition, events, minute) < 40 - 1e-9:
            return minute
    return None


def _total(definition: str, events: list[dict[str, Any]], as_of: int) -> float:
    return float(offline.score_leads([definition], [each for each in events if each["time"] <= as_of], as_of)[0]["score"]["total"])


@pytest.mark.parametrize(
    ("gap", "active", "falls"),
    [("after: 14d", 372, 708), ("after: 10d, every: 30d", 288, 528), ("after: 5h, every: 12h", 6, 11), ("after: 1d", 30, 54)],
)
def test_a_fall_is_noticed_that_comes_of_a_second_gap(gap: str, active: int, falls: int) -> None:
    definition = BASE.replace("threshold: {total: 100}", "threshold: {total: 10}\n  rearm: {below: -25, cooldown: 300d}")
    definition = definition.replace("qualify:", f"inactivity: [{{id: idle, {gap}, points: -20}}]\nqualify:").replace(
        "points: 10}", "points: 10}"
    )
    events = [event("form_fill", 1, 0, form="x"), event("activity", 2, active * HOUR, name="x")]
    assert told(play(definition, events, 300 * DAY)[1])[1] == ("cooled", falls * HOUR)


def test_a_fall_at_a_deadline_is_dated_at_the_minute_after_it() -> None:
    definition = (
        REARM.format(visit="expire_after: 5h", form="half_life: 1d", worse="half_life: 1d", gap="after: 5h, every: 3h", idle=-1)
        + "sla: {accept_within: 5h}"
    )
    outputs = play(definition, [event("web_visit", 1, 12_345)], DAY)[1]
    assert told(outputs) == [("became_mql", 12_345), ("sla_breached", 5 * HOUR + 12_345), ("cooled", 5 * HOUR + MINUTE)]


def test_a_total_that_rises_by_time_alone_can_fall_again() -> None:
    definition = """
definition: b2b
version: 1
rules:
  - {id: demo, on: form_fill, points: 10}
  - id: warm
    on: form_fill
    tiers:
      - {count: {at_least: 1}, within: 1h, points: 0}
      - {count: {at_least: 1}, within: 2d, points: 100}
qualify: {fast_track: [demo], rearm: {below: 40, cooldown: 1d}}
"""
    outputs = play(definition, [event("form_fill", 1, 12_345)], 3 * DAY)[1]
    assert told(outputs) == [("became_mql", 12_345), ("cooled", 2 * DAY + MINUTE)]


def test_a_fall_is_noticed_that_comes_of_a_full_ledger() -> None:
    definition = """
definition: b2b
version: 1
horizon: 1d
bounds: {ledger: 2}
inactivity:
  - {id: patient, after: 1h, points: 30}
qualify: {threshold: {total: 25}, rearm: {below: 10, cooldown: 10d}}
"""
    midnight = DAY - START % DAY  # from which on the day that the lead was first seen on is beyond the horizon
    visits = [event("web_visit", at, midnight + at) for at in (-HOUR // 2, 0, 2 * HOUR, 2 * HOUR + MINUTE)]
    moves = [("became_mql", midnight + 2 * HOUR), ("cooled", midnight + 2 * HOUR + MINUTE)]
    assert told(play(definition, visits, midnight + 3 * HOUR)[1]) == moves


def test_a_tier_that_gives_more_later_does_so_where_a_set_is_switched_off() -> None:
    text = """
definition: b2b
version: 1
rules:
  - {id: again, on: web_visit, where: {lead.tags: vip}, set: {engagement: 0}}
  - {id: seen, on: web_visit, tiers: [{count: {at_least: 1}, within: 1d, points: 10}, {count: {at_least: 1}, within: 2d, points: 25}]}
qualify: {threshold: {total: 25}}
"""
    outputs = play(text, [event("web_visit", 1, 0)], 2 * DAY)[1]
    midnight = -(-(START + DAY) // DAY) * DAY - START
    assert told(outputs) == [("became_mql", midnight)]


def test_a_cooled_lead_rests_before_it_can_qualify_again() -> None:
    definition = REARM.format(visit="expire_after: 5h", form="half_life: 1d", worse="half_life: 1d", gap="after: 5h, every: 3h", idle=-1)
    visits = [event("web_visit", number, at) for number, at in enumerate([0, 6 * HOUR, 50 * HOUR, 50 * HOUR])]
    outputs = play(definition, visits, 60 * HOUR)[1]
    assert told(outputs) == [("became_mql", 0), ("cooled", 5 * HOUR), ("became_mql", 53 * HOUR), ("cooled", 55 * HOUR)]


AGES = """
definition: b2b
version: 1
fit:
  - {id: new, where: {age: {lt: 12h}}, points: 25}
  - {id: settled, where: {age: {gt: 30h}}, points: 100}
qualify:
  threshold: {total: 25}
  rearm: {below: 10, cooldown: 1h}
"""


def test_a_fall_with_a_lead_s_age_is_noticed_at_its_minute_and_a_rise_at_midnight() -> None:
    outputs = play(AGES, [event("profile", 1, 12_345, attributes={"title": "VP"})], 3 * DAY)[1]
    midnight = 2 * DAY - START % DAY  # the first after the 30 hours
    assert told(outputs) == [("became_mql", 12_345), ("cooled", 12 * HOUR + MINUTE), ("became_mql", midnight)]


def test_a_condition_on_age_that_comes_to_hold_is_noticed_at_midnight() -> None:
    definition = BASE.replace("threshold: {total: 100}\n  fast_track: [demo]", "when: {any: [{where: {age: {gte: 30h}}}]}")
    outputs = play(definition, [event("profile", 1, 0, attributes={"title": "VP"})], 3 * DAY)[1]
    assert told(outputs) == [("became_mql", 2 * DAY - START % DAY)]


SLA = BASE.replace("qualify:", "timezone: Europe/Berlin\nsla:\n  accept_within: 2h\n  hours: {mon-fri: '09:00-17:00'}\nqualify:")


def test_whose_disqualification_has_ended_with_their_age_qualify_when_the_definition_s_days_begin() -> None:
    # Days begin at 23:00 UTC: before the daily look.
    definition = BASE + "timezone: Europe/Berlin\nactive: {from: 2026-11-03}\ndisqualify: [{id: new, where: {age: {lt: 1h}}}]\n"
    begins = int(datetime(2026, 11, 2, 23, tzinfo=UTC).timestamp() * 1000) - START
    visits = [event("web_visit", number, begins - 11 * HOUR) for number in (1, 2)]
    _, outputs = play(definition, visits, begins + DAY)
    assert told(outputs) == [("stage_changed", begins - 11 * HOUR), ("stage_changed", begins), ("became_mql", begins)]


def test_a_deadline_that_passes_is_told_once() -> None:
    outputs = play(SLA, [event("form_fill", 1, 0)], 10 * DAY)[1]
    assert [each for each, _ in told(outputs)] == ["became_mql", "sla_breached"]
    assert outputs[1]["time"] == outputs[0]["data"]["respond_by"] == outputs[1]["data"]["respond_by"]


def test_a_deadline_that_sales_kept_is_not_told() -> None:
    outputs = play(SLA, [event("form_fill", 1, 0), feedback(2, 1, "accepted")], 10 * DAY)[1]
    assert [each for each, _ in told(outputs)] == ["became_mql", "stage_changed"]


BERLIN = ZoneInfo("Europe/Berlin")
WEEK = BusinessHours(BERLIN, dict.fromkeys(range(5), ((540, 1020),)), frozenset({datetime(2026, 12, 25, tzinfo=UTC).date()}))


def berlin(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=BERLIN).timestamp()) * 1000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ((2026, 11, 2, 10, 0), 2, (2026, 11, 2, 12, 0)),  # a Monday
        ((2026, 11, 2, 16, 0), 2, (2026, 11, 3, 10, 0)),  # on to the next morning
        ((2026, 11, 6, 16, 30), 1, (2026, 11, 9, 9, 30)),  # over a weekend
        ((2026, 11, 7, 3, 0), 8, (2026, 11, 9, 17, 0)),  # from a Saturday: all of Monday
        ((2026, 12, 24, 16, 0), 2, (2026, 12, 28, 10, 0)),  # over a holiday and a weekend
        ((2026, 10, 23, 16, 0), 2, (2026, 10, 26, 10, 0)),  # over the end of summer time
        ((2026, 3, 27, 16, 0), 9, (2026, 3, 30, 17, 0)),  # over its beginning
    ],
)
def test_a_deadline_counts_business_hours(start: tuple[int, ...], hours: int, due: tuple[int, ...]) -> None:
    assert WEEK.after(berlin(*start), hours * HOUR) == berlin(*due)


def test_without_hours_a_deadline_is_a_span_of_time() -> None:
    assert BusinessHours(UTC, {}, frozenset()).after(START, HOUR) == START + HOUR
