"""Several definitions at once, shadows, days of activity and calendar limits, through `mqlstream score`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.cli.conftest import run_here

BUYERS = """\
definition: buyers
version: 1
rules: [{id: demo, on: form_fill, where: {form: demo}, points: 50}]
fit: [{id: decides, where: {title: {words_any: [vp]}}, points: 50}]
grades: {fit: {A: 50, B: null}}
qualify: {threshold: {total: 100}}
"""
TRIALS = """\
definition: trials
version: 3
dimensions: {usage: {cap: 30}}
rules:
  - {id: use, on: activity, where: {name: product_use}, points: 10, dimension: usage}
  - {id: demo, on: form_fill, points: 1}
disqualify: [{id: customer, where: {customer: true}}]
qualify: {threshold: {usage: 20}}
"""
START = datetime(2026, 11, 2, 9, tzinfo=UTC)


def event(number: int, kind: str, at: datetime, lead: str = "ann", **fields: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "source": "web", "kind": kind, "time": at.isoformat(), "lead_id": lead, **fields}


def score(definitions: list[Path], events: list[dict[str, Any]], *flags: str) -> list[dict[str, Any]]:
    """What the command prints, line by line."""
    named = [word for path in definitions for word in ("--definition", str(path))]
    done = run_here("score", *named, *flags, "-", stdin="".join(json.dumps(each) + "\n" for each in events))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [written(tmp_path, BUYERS), written(tmp_path, TRIALS)]


def written(folder: Path, text: str) -> Path:
    path = folder / f"{text.split()[1]}.yaml"
    path.write_text(text)
    return path


EVENTS = [
    event(1, "profile", START, attributes={"title": "VP Sales"}),
    event(2, "activity", START + timedelta(hours=1), name="product_use"),
    event(3, "form_fill", START + timedelta(hours=2), form="demo"),
    event(4, "activity", START + timedelta(hours=3), name="product_use"),
    event(5, "profile", START + timedelta(hours=4), attributes={"customer": True}),
]


def test_each_definition_has_its_own_scores_stages_and_grades(files: list[Path]) -> None:
    buyers, trials = score(files, EVENTS, "--leads")
    assert (buyers["definition"], buyers["score"], buyers["grade"]) == ("buyers", {"total": 100, "engagement": 50, "fit": 50}, "A")
    assert (trials["definition"], trials["score"], trials["grade"]) == (
        "trials",
        {"total": 21, "usage": 20, "engagement": 1, "fit": 0},
        "",
    )
    assert [(row["stage"], row["cycle"]) for row in (buyers, trials)] == [("mql", 1), ("disqualified", 1)]
    assert [each["rule"] for each in buyers["contributions"]] == ["decides", "demo"]
    assert [each["rule"] for each in trials["contributions"]] == ["use", "use", "demo"]


def test_each_definition_hands_off_by_itself(files: list[Path]) -> None:
    outputs = score(files, EVENTS)
    assert [(each["type"].split(".")[2], each["data"]["definition"]["id"], each["data"]["cycle"]) for each in outputs] == [
        ("became_mql", "buyers", 1),
        ("became_mql", "trials", 1),
        ("mql_withdrawn", "trials", 1),
    ]
    first, second, withdrawn = outputs
    assert first["data"]["handoff_id"] != second["data"]["handoff_id"] == withdrawn["data"]["handoff_id"]
    assert (first["data"]["definition"]["version"], second["data"]["definition"]["version"]) == (1, 3)


def test_a_definition_gives_the_same_beside_others_as_alone(files: list[Path]) -> None:
    together = score(files, EVENTS)
    for path in files:
        assert score([path], EVENTS) == [each for each in together if each["data"]["definition"]["id"] == path.stem]
    rows = score(files, EVENTS, "--leads")
    assert rows == [*score(files[:1], EVENTS, "--leads"), *score(files[1:], EVENTS, "--leads")]
    assert score(files[::-1], EVENTS, "--leads") == rows[::-1], "in the order given"


def test_a_bound_of_one_definition_does_not_count_in_another(tmp_path: Path) -> None:
    narrow = written(tmp_path, BUYERS.replace("buyers", "narrow") + "bounds: {per_day: 1, ledger: 2}\nhorizon: 2d\n")
    wide = written(tmp_path, BUYERS.replace("buyers", "wide"))
    events = [event(number, "form_fill", START + timedelta(hours=6 * number), form="demo") for number in range(12)]
    rows = {row["definition"]: row["score"]["total"] for row in score([narrow, wide], events, "--leads")}
    # Of the last two days the first of each counts, and both fit into its ledger.
    assert rows == {"narrow": 100, "wide": 600}


def test_a_shadow_is_scored_and_never_handed_off(files: list[Path], tmp_path: Path) -> None:
    shadow = written(tmp_path, BUYERS.replace("buyers", "shadow") + "mode: shadow\n")
    outputs = score([*files, shadow], EVENTS)
    assert {each["data"]["definition"]["id"] for each in outputs} == {"buyers", "trials"}
    live, _, dark = score([*files, shadow], EVENTS, "--leads")
    assert (dark["score"], dark["grade"]) == (live["score"], live["grade"])
    assert (dark["stage"], dark["cycle"]) == ("lead", 0)


@pytest.mark.parametrize(
    ("at", "handed_off"),
    [
        ("2026-11-02T22:59:59.999Z", False),
        ("2026-11-02T23:00:00Z", True),  # midnight in Berlin
        ("2026-11-04T22:59:59.999Z", True),
        ("2026-11-04T23:00:00Z", False),
    ],
)
def test_leads_are_handed_off_on_active_days_only_and_scored_on_all(tmp_path: Path, at: str, handed_off: bool) -> None:
    text = "timezone: Europe/Berlin\nactive: {from: 2026-11-03, until: 2026-11-05}\n"
    path = written(tmp_path, BUYERS.replace("total: 100", "total: 50") + text)
    events = [event(1, "form_fill", datetime.fromisoformat(at), form="demo")]
    assert bool(score([path], events)) is handed_off
    (row,) = score([path], events, "--leads")
    assert (row["score"]["total"], row["stage"]) == (50, "mql" if handed_off else "lead")


def test_what_was_reached_before_the_active_days_is_handed_off_when_they_begin(tmp_path: Path) -> None:
    path = written(tmp_path, BUYERS.replace("total: 100", "total: 50") + "active: {from: 2026-11-03}\n")
    later = event(2, "web_visit", START + timedelta(days=1))
    (output,) = score([path], [event(1, "form_fill", START, form="demo"), later])
    assert output["time"] == round(datetime(2026, 11, 3, tzinfo=UTC).timestamp() * 1000)


CALENDAR = """\
definition: calendar
version: 1
timezone: {zone}
rules: [{{id: visit, on: web_visit, points: 1, limit: {{count: 1, per: {per}}}}}]
qualify: {{threshold: {{total: 100}}}}
"""


def awarded(folder: Path, zone: str, per: str, moments: list[str]) -> list[str]:
    """Of visits at local moments of a zone (``fold`` 1 where a second one is meant with ``+``), those that were awarded."""
    path = written(folder, CALENDAR.format(zone=zone, per=per))
    local = ZoneInfo(zone)
    times = [datetime.fromisoformat(moment.rstrip("+")).replace(tzinfo=local, fold=moment.endswith("+")) for moment in moments]
    events = [event(number, "web_visit", time.astimezone(UTC)) for number, time in enumerate(times)]
    (row,) = score([path], events, "--leads")
    return [moments[int(each["event_id"][1:])] for each in row["contributions"]][::-1]


@pytest.mark.parametrize(
    ("zone", "per", "moments", "counted"),
    [
        # The clocks go back: a day of 25 hours, its 02:30 comes twice.
        (
            "Europe/Berlin",
            "day",
            ["2026-10-25T00:00", "2026-10-25T02:30", "2026-10-25T02:30+", "2026-10-25T23:59", "2026-10-26T00:00"],
            [0, 4],
        ),
        # The clocks go forward: a day of 23 hours.
        ("Europe/Berlin", "day", ["2026-03-28T23:59", "2026-03-29T00:00", "2026-03-29T23:59", "2026-03-30T00:00"], [0, 1, 3]),
        ("America/New_York", "day", ["2026-10-31T23:59", "2026-11-01T01:30", "2026-11-01T01:30+", "2026-11-01T23:59"], [0, 1]),
        # The clocks go forward at midnight: the day begins at 01:00.
        ("Africa/Cairo", "day", ["2026-04-23T23:59", "2026-04-24T01:00", "2026-04-24T23:59", "2026-04-25T00:00"], [0, 1, 3]),
        ("Europe/Berlin", "week", ["2026-10-19T00:00", "2026-10-25T23:59", "2026-10-26T00:00"], [0, 2]),
        # The last days of 2026 lie in the ISO week that ends on 3 January.
        ("Europe/Berlin", "week", ["2026-12-28T00:00", "2027-01-03T23:59", "2027-01-04T00:00"], [0, 2]),
        ("Pacific/Auckland", "month", ["2026-09-01T00:00", "2026-09-30T23:59", "2026-10-01T00:00"], [0, 2]),
        ("Asia/Kathmandu", "year", ["2026-01-01T00:00", "2026-12-31T23:59", "2027-01-01T00:00"], [0, 2]),
    ],
)
def test_calendar_limits_follow_the_time_zone_through_changes_of_the_clocks(
    tmp_path: Path, zone: str, per: str, moments: list[str], counted: list[int]
) -> None:
    assert awarded(tmp_path, zone, per, moments) == [moments[number] for number in counted]


def test_a_sliding_day_is_24_hours_whatever_the_clocks_do(tmp_path: Path) -> None:
    moments = ["2026-10-24T12:00", "2026-10-25T10:59", "2026-10-25T11:00", "2026-10-26T11:00"]
    assert awarded(tmp_path, "Europe/Berlin", "1d", moments) == [moments[0], moments[2], moments[3]]
