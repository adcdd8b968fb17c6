"""A lead's life as it is told: what each event and rule came to, that it all adds up, and what is missing to become an MQL."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.core.packing import Packer, unpack
from mqlstream.core.plan import Program
from mqlstream.core.step import open_lead, step
from mqlstream.core.timeline import life
from mqlstream.ingest.canonical import canonical
from mqlstream.offline import compile_texts
from tests.oracle.events import Json
from tests.oracle.strategies import arrivals, definitions, histories

START = 1_793_610_000_000
MINUTE = 60_000
DAY = 86_400_000
QUICK = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
FIRST = """
definition: first
version: 3
dimensions: {engagement: {cap: 100}}
groups: {web: {dimension: engagement, cap: 30}}
"""


def lead_of(text: str, *events: Event) -> tuple[Program, Lead]:
    """A lead to which these events came, in this order."""
    program = compile_texts([FIRST + text])
    lead = open_lead(program, "ann")
    for event in events:
        step(program, lead, event)
    return program, lead


def told(text: str, *events: Event, at: int | None = None) -> Json:
    program, lead = lead_of(text, *events)
    return life(program.plans[0], lead, lead.state.as_of if at is None else at)


def visit(number: int, after_ms: int = 0, path: str = "/pricing", **more: Any) -> Event:
    return Event("web", f"v{number}", "web_visit", START + after_ms, "ann", body={"path": path}, **more)


def profile(number: int, after_ms: int = 0, **attributes: Any) -> Event:
    return Event("crm", f"p{number}", "profile", START + after_ms, "ann", attributes=attributes)


def rules(row: Json) -> list[tuple[str, str, float | None, float, str | None]]:
    """Of each event and rule: event, rule, awarded, points, off."""
    return [
        (event["id"], rule["rule"], rule["awarded"], rule["points"], rule["off"]) for event in row["timeline"] for rule in event["rules"]
    ]


def test_each_event_tells_what_each_rule_made_of_it() -> None:
    text = """
rules:
  - {id: once, on: web_visit, points: 10, limit: {count: 1, per: 7d}}
  - {id: thrice, on: web_visit, points: 5, count: {at_least: 3, within: 7d}}
  - {id: short, on: web_visit, points: 4, decay: {expire_after: 10m}}
  - {id: chief, on: web_visit, where: {lead.title: chief}, points: 2}
  - {id: deep, on: web_visit, where: {path: /deep}, points: 1}
"""
    row = told(text, visit(1), visit(2, 5 * MINUTE), visit(3, 12 * MINUTE), profile(1, 13 * MINUTE, title="intern"))
    assert rules(row) == [
        ("v1", "once", 10, 10, None),
        ("v1", "thrice", None, 0, "count"),
        ("v1", "short", 4, 0, "expired"),
        ("v1", "chief", 2, 0, "lead"),
        ("v2", "once", None, 0, "limit"),
        ("v2", "thrice", None, 0, "count"),
        ("v2", "short", 4, 4, None),
        ("v2", "chief", 2, 0, "lead"),
        ("v3", "once", None, 0, "limit"),
        ("v3", "thrice", 5, 5, None),
        ("v3", "short", 4, 4, None),
        ("v3", "chief", 2, 0, "lead"),
    ]
    assert row["timeline"][-1] == {
        "time": START + 13 * MINUTE,
        "kind": None,
        "source": "crm",
        "id": "p1",
        "machine": None,
        "verdict": None,
        "late": None,
        "arrival": None,
        "ignored": None,
        "attributes": {"title": "intern"},
        "rules": [],
    }


def test_a_cap_cuts_all_that_flows_into_it_alike() -> None:
    row = told("rules:\n  - {id: visit, on: web_visit, points: 20, group: web}\n", visit(1), visit(2, MINUTE))
    cut = [{"scope": "group", "name": "web", "sum": 40, "counted": 30}]
    for event in row["timeline"]:
        assert [(rule["points"], rule["counted"], rule["clipped_by"]) for rule in event["rules"]] == [(20, 15, cut)]
    assert row["score"]["total"] == 30


def test_what_a_set_took_away_is_told_with_its_rule() -> None:
    text = """
rules:
  - {id: visit, on: web_visit, where: {path: /pricing}, points: 20}
  - {id: gone, on: web_visit, where: {path: /bye}, set: {engagement: 5}}
"""
    row = told(text, visit(1), visit(2, MINUTE, "/bye"), visit(3, 2 * MINUTE))
    assert rules(row) == [("v1", "visit", 20, 0, "set"), ("v2", "gone", None, 0, None), ("v3", "visit", 20, 20, None)]
    first, second, _ = (event["rules"][0] for event in row["timeline"])
    assert first["off_by"] == "gone"
    assert second["sets"] == {"engagement": 5}
    assert [(rule["rule"], rule["points"]) for rule in row["standing"]] == [("gone", 5)]


def test_what_sales_recycled_is_told() -> None:
    text = """
rules:
  - {id: visit, on: web_visit, points: 20}
qualify: {threshold: {total: 20}, recycle: {set: {engagement: 0}, cooldown: 2d}}
"""
    no = Event("crm", "n1", "feedback", START + MINUTE, "ann", body={"decision": "rejected"})
    row = told(text, visit(1), no)
    assert rules(row) == [("v1", "visit", 20, 0, "recycled")]
    assert (row["stage"], row["cycle"], row["handoff_id"]) == ("recycled", 1, None)
    assert row["qualify"]["blocked"] == [{"by": "cooldown", "until": START + MINUTE + 2 * DAY}]
    assert row["cooldown_until"] == START + MINUTE + 2 * DAY


def test_what_an_operator_reset_is_told_and_not_taken_for_a_recycling() -> None:
    text = """
rules:
  - {id: visit, on: web_visit, points: 20}
qualify: {threshold: {total: 20}, recycle: {set: {engagement: 0}}}
"""
    no = Event("crm", "n1", "feedback", START + MINUTE, "ann", body={"decision": "rejected"})
    reset = Event("ops", "r1", "command", START + 3 * MINUTE, "ann", body={"do": "reset"})
    row = told(text, visit(1), no, visit(2, 2 * MINUTE), reset, visit(3, 4 * MINUTE))
    assert rules(row) == [("v1", "visit", 20, 0, "reset"), ("v2", "visit", 20, 0, "reset"), ("v3", "visit", 20, 20, None)]


def test_answers_and_commands_stand_among_the_events_with_who_and_why() -> None:
    text = """
rules:
  - {id: visit, on: web_visit, points: 20}
qualify: {threshold: {total: 20}}
"""
    others = FIRST.replace("first", "second") + "rules: []\n"
    yes = Event("crm", "y1", "feedback", START + MINUTE, "ann", body={"decision": "accepted", "by": "sue", "reason": "a good one"})
    retract = {"do": "retract", "event_source": "web", "event_id": "v2", "by": "sam", "reason": "our own test"}
    program = compile_texts([FIRST + text, others])
    lead = open_lead(program, "ann")
    taken_back = Event("ops", "c1", "command", START + 3 * MINUTE, "ann", body=retract)
    for event in (visit(1), yes, visit(2, 2 * MINUTE), taken_back, visit(3, 4 * MINUTE)):
        step(program, lead, event)
    told_of = [life(plan, lead, lead.state.as_of)["timeline"] for plan in program.plans]
    assert [[line["id"] for line in timeline] for timeline in told_of] == [["v1", "y1", "c1", "v3"], ["v1", "c1", "v3"]]
    _, answer, command, _ = told_of[0]
    assert {name: value for name, value in answer.items() if value} == {
        "time": START + MINUTE,
        "kind": "feedback",
        "source": "crm",
        "id": "y1",
        "decision": "accepted",
        "definition": "first",
        "by": "sue",
        "reason": "a good one",
    }
    assert {name: value for name, value in command.items() if value} == {
        "time": START + 3 * MINUTE,
        "kind": "command",
        "source": "ops",
        "id": "c1",
        **retract,
    }
    assert set(told_of[0][0]) <= set(answer) & set(command), "who reads a timeline finds the same names in every line"


def test_answers_go_along_when_a_lead_is_merged() -> None:
    program = compile_texts([FIRST + "rules:\n  - {id: visit, on: web_visit, points: 20}\nqualify: {threshold: {total: 20}}\n"])
    lead, other = open_lead(program, "ann"), open_lead(program, "bob")
    yes = Event("crm", "y1", "feedback", START + MINUTE, "ann", body={"decision": "accepted"})
    for event in (visit(1), yes):
        step(program, lead, event)
    merged = step(program, lead, Event("ops", "m", "command", START + 2 * MINUTE, "ann", body={"do": "merge", "into": "bob"}))
    for event in merged.forwards:
        step(program, other, event)
    state = unpack(Packer().pack(other.state))
    timeline = life(program.plans[0], open_lead(program, "bob", state), state.as_of)["timeline"]
    assert [(line["kind"], line["id"]) for line in timeline] == [
        ("web_visit", "v1"),
        ("feedback", "y1"),
        ("command", "m"),  # as the lead was told that is given up
        ("command", "m"),
    ]


def test_tiers_fit_and_inactivity_stand_without_an_event() -> None:
    text = """
rules:
  - {id: recent, on: web_visit, tiers: [{count: {at_least: 1}, within: 7d, points: 8}]}
fit:
  - {id: chief, where: {title: chief}, points: 7}
inactivity:
  - {id: idle, after: 1d, points: -3}
"""
    row = told(text, profile(1, title="chief"), visit(1, MINUTE), at=START + 3 * DAY)
    standing = [(rule["rule"], rule["points"], rule["counted"]) for rule in row["standing"]]
    assert standing == [("chief", 7, 7), ("recent", 8, 8), ("idle", -3, -3)]
    assert row["timeline"][-1]["rules"][0]["tiers"] is True
    assert row["as_of"] == START + 3 * DAY


def test_machines_and_late_events_are_marked_with_their_place_of_arrival() -> None:
    row = told("rules: []\n", visit(1, 5 * MINUTE), visit(2, MINUTE), visit(3, 6 * MINUTE, machine=True))
    assert [(event["id"], event["late"], event["machine"], event["arrival"]) for event in row["timeline"]] == [
        ("v2", True, False, 2),
        ("v1", False, False, 1),
        ("v3", False, True, 3),
    ]


@pytest.mark.parametrize(
    ("bounds", "at", "ignored"),
    [
        ("horizon: 2d", 2 * DAY, ["too_old", "too_old", "too_old"]),
        ("bounds: {ledger: 2}", 0, ["ledger_full", None, None]),
    ],
)
def test_events_that_count_no_more_say_why(bounds: str, at: int, ignored: list[str | None]) -> None:
    text = bounds + "\nrules:\n  - {id: visit, on: web_visit, points: 20}\n"
    row = told(text, visit(1), visit(2, MINUTE), visit(3, 2 * MINUTE), at=START + 2 * MINUTE + at)
    assert [event["ignored"] for event in row["timeline"]] == ignored
    assert [len(event["rules"]) for event in row["timeline"]] == [0 if reason else 1 for reason in ignored]


def test_an_event_past_the_flood_limit_of_one_definition_says_so() -> None:
    few = FIRST + "bounds: {per_day: 1}\nrules: []\n"
    many = FIRST.replace("first", "second") + "rules: []\n"
    program = compile_texts([few, many])
    lead = open_lead(program, "ann")
    for event in (visit(1), visit(2, MINUTE)):
        step(program, lead, event)
    told_of = [[event["ignored"] for event in life(plan, lead, lead.state.as_of)["timeline"]] for plan in program.plans]
    assert told_of == [[None, "flood"], [None, None]]


def test_the_condition_is_told_part_by_part() -> None:
    text = """
grades: {engagement: {A: 50, B: 10, C: null}}
rules:
  - {id: visit, on: web_visit, points: 20}
  - {id: demo, on: form_fill, points: 0}
disqualify:
  - {id: rival, where: {company: rival}}
freeze:
  - {id: held, where: {held: true}}
qualify:
  when:
    any:
      - all: [{score: total, gte: 50}, {where: {title: {words_any: [chief, vp]}}}]
      - {cell: {in: [A, B]}}
      - not: {score: engagement, lt: 20}
  fast_track: [demo]
"""
    row = told(text, visit(1), profile(1, MINUTE, title="intern", company="rival", held=True))
    assert row["qualify"]["blocked"] == [
        {"by": "stage", "stage": "disqualified"},
        {"by": "disqualify", "id": "rival"},
        {"by": "freeze", "id": "held"},
    ]
    condition = row["qualify"]["condition"]
    assert condition == {
        "form": "any",
        "holds": True,
        "parts": [
            {
                "form": "any",
                "holds": True,
                "parts": [
                    {
                        "form": "all",
                        "holds": False,
                        "parts": [
                            {"form": "score", "holds": False, "needs": {"score": "total", "gte": 50}, "now": 20, "short_by": 30},
                            {
                                "form": "where",
                                "holds": False,
                                "needs": {"where": {"title": {"words_any": ["chief", "vp"]}}},
                                "now": {"title": "intern"},
                            },
                        ],
                    },
                    {"form": "cell", "holds": True, "needs": {"cell": {"in": ["A", "B"]}}, "now": "B"},
                    {
                        "form": "not",
                        "holds": True,
                        "parts": [{"form": "score", "holds": False, "needs": {"score": "engagement", "lt": 20}, "now": 20}],
                    },
                ],
            },
            {"form": "rule", "holds": False, "needs": {"rule": "demo"}, "now": False},
        ],
    }


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("mode: shadow\n", [{"by": "shadow"}]),
        ("active: {from: 2027-01-01}\n", [{"by": "active", "from": 1_798_761_600_000, "until": None}]),
        ("", [{"by": "stage", "stage": "mql"}]),
    ],
)
def test_what_stands_in_the_way_is_told(text: str, blocked: list[Json]) -> None:
    text += "rules:\n  - {id: visit, on: web_visit, points: 20}\nqualify: {threshold: {total: 20}}\n"
    row = told(text, visit(1))
    assert row["qualify"]["holds"] is True
    assert row["qualify"]["blocked"] == blocked


def test_a_review_that_waits_for_older_events_is_told() -> None:
    program = compile_texts([FIRST + "rules:\n  - {id: visit, on: web_visit, points: 20}\nqualify: {threshold: {total: 20}}\n"])
    lead = open_lead(program, "ann")
    step(program, lead, visit(1), START - MINUTE)
    row = life(program.plans[0], lead, START)
    assert (row["stage"], row["qualify"]["holds"]) == ("lead", True)
    assert row["qualify"]["blocked"] == [{"by": "catching_up", "from": START}]


def test_without_a_condition_nothing_is_missing_and_nothing_holds() -> None:
    assert told("rules: []\n", visit(1))["qualify"] == {"holds": False, "blocked": [], "condition": None}


def lives_of(definition: Json, history: Iterable[Json]) -> Iterable[tuple[Program, Lead]]:
    program = compile_texts([json.dumps(definition, ensure_ascii=False)])
    leads: dict[str, Lead] = {}
    for raw in history:
        event = canonical(dict(raw))
        assert isinstance(event, Event)
        step(program, leads.setdefault(event.lead, open_lead(program, event.lead)), event)
    return [(program, lead) for lead in leads.values() if lead.state.seq]


@QUICK
@given(data=st.data())
def test_all_that_is_told_adds_up_to_the_score_and_telling_it_changes_nothing(data: st.DataObject) -> None:
    definition = data.draw(definitions())
    for program, lead in lives_of(definition, data.draw(arrivals(data.draw(histories())))):
        before = copy.deepcopy(msgspec.to_builtins(lead.state))
        at = lead.state.as_of + data.draw(st.sampled_from([0, 0, 1, DAY, 40 * DAY]))
        row = life(program.plans[0], lead, at)
        json.dumps(row, allow_nan=False)
        assert msgspec.to_builtins(lead.state) == before
        parts = [rule for event in row["timeline"] for rule in event["rules"]] + row["standing"]
        assert math.isclose(math.fsum(part["counted"] for part in parts), row["score"]["total"], abs_tol=1e-4)
        points = math.fsum(part["points"] for part in parts)
        assert math.isclose(points, math.fsum(part["points"] for part in row["contributions"]), rel_tol=1e-9, abs_tol=1e-4)
        worth = sorted((rule["rule"], event["id"]) for event in row["timeline"] for rule in event["rules"] if rule["points"])
        assert worth == sorted((each["rule"], each["event_id"]) for each in row["contributions"] if each["event_id"] and each["points"])
