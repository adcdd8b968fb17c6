"""Accounts against a naive oracle that recomputes everything at every moment; and what changes that come in any order come to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mqlstream import offline
from mqlstream.core import accounts
from mqlstream.core.account_table import AccountTable
from mqlstream.core.accounts import BECAME_MQA
from mqlstream.core.event import Event
from mqlstream.core.outlook import STRETCHES, outlook
from mqlstream.core.step import open_lead, step
from mqlstream.core.table import LeadTable
from mqlstream.core.tally import Tally
from mqlstream.core.told import Telling
from tests.oracle.accounts import Mqa, mqas
from tests.oracle.events import Json
from tests.oracle.strategies import ALL, definitions, histories

QUICK = settings(deadline=None, max_examples=100, derandomize=True, report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
MINUTE_MS = 60_000
START_MS = 1_793_610_000_000
TOLERANCE = 1e-6

ASKED = st.fixed_dictionaries(
    {},
    optional={
        "people": st.fixed_dictionaries({"at_least": st.sampled_from([2, 1, 3])}, optional={"engagement": st.sampled_from([5, 20])}),
        "threshold": st.sampled_from([{"sum": 10}, {"sum": 25, "best": 10}, {"best": 20}, {"sum": -10}]),
    },
).filter(bool)
ACCOUNTS = st.sampled_from([None, None, None, "Acme", "Rival", ""])


def produced(definition: Json, events: list[Json]) -> list[Mqa]:
    """What `score` prints of accounts."""
    outputs = offline.score_events([json.dumps(definition)], events)
    return sorted((mqa_of(output) for output in outputs if output["type"] == BECAME_MQA), key=lambda each: (each.as_of, each.account))


def mqa_of(output: dict[str, Any]) -> Mqa:
    data = output["data"]
    assert (output["lead_id"], output["time"]) == (data["account"], data["as_of"])
    return Mqa(*(data[name] for name in Mqa._fields))


def assert_same(got: list[Mqa], expected: list[Mqa]) -> None:
    assert [(*each[:3], *each[5:]) for each in got] == [(*each[:3], *each[5:]) for each in expected]
    assert [each[3:5] for each in got] == [pytest.approx(each[3:5], abs=TOLERANCE) for each in expected]


@st.composite
def peopled(draw: st.DrawFn) -> list[Json]:
    """A history in which some profiles and forms name an account, and several leads have addresses of one domain."""
    history = draw(histories(conflicts=False))
    for event in history:
        event["lead_id"] = draw(st.sampled_from([event.get("lead_id", "eve"), "bob", "cid"]))
        if event["kind"] == "profile":
            account = draw(ACCOUNTS)
            event["attributes"] = {**event["attributes"], **({} if account is None else {"account": account})}
        elif draw(st.booleans()):
            event["email"] = draw(st.sampled_from(["a@acme.example", "b@acme.example", "c@gmail.com"]))
    return history


@QUICK
@given(definitions(ALL - {"stage"}), ASKED, peopled())
def test_accounts_qualify_when_the_oracle_says_so(definition: Json, asked: Json, history: list[Json]) -> None:
    definition = definition | {"accounts": asked}
    assert_same(produced(definition, history), mqas(definition, history))


FADING: Json = {
    "definition": "fading",
    "version": 1,
    "rules": [
        {"id": "visit", "on": "web_visit", "points": 30, "decay": {"half_life": "2h"}, "group": "web"},
        {"id": "form", "on": "form_fill", "points": 50, "decay": {"linear": "4h"}},
        {"id": "chat", "on": "activity", "points": 20, "decay": {"expire_after": "90m"}},
        {"id": "stop", "on": "email_click", "set": {"engagement": 5}},
    ],
    "groups": {"web": {"dimension": "engagement", "cap": 70}},
}
REARMED = st.fixed_dictionaries(
    {
        "threshold": st.sampled_from([{"sum": 60}, {"sum": 90, "best": 40}]),
        "rearm": st.sampled_from([{"below": 40, "cooldown": "1h"}, {"below": 59}, {"below": 90, "cooldown": "30m"}]),
    }
)
GAPS = st.sampled_from([0, 1, 15_000, MINUTE_MS, 7 * MINUTE_MS, 30 * MINUTE_MS, 130 * MINUTE_MS, 200 * MINUTE_MS])
DEEDS = st.sampled_from(
    [
        *[{"kind": "web_visit"}, {"kind": "form_fill", "form": "demo"}, {"kind": "activity", "name": "chat"}] * 3,
        {"kind": "email_click", "action": "unsubscribe"},
    ]
)
STEPS = st.lists(st.tuples(GAPS, DEEDS, st.sampled_from(["a", "b", "c"])), min_size=8, max_size=20)


def told(steps: list[tuple[int, Json, str]]) -> list[Json]:
    """A history of an account's people."""
    time, found = START_MS, []
    for number, (gap, deed, who) in enumerate(steps):
        time += gap
        found.append({"id": f"e{number:02}", "source": "s", "time": time, "email": f"{who}@acme.example", **deed})
    return found


@settings(QUICK, max_examples=40)
@given(REARMED, STEPS)
def test_accounts_cool_down_and_qualify_again_when_the_oracle_says_so(asked: Json, steps: list[tuple[int, Json, str]]) -> None:
    definition = FADING | {"accounts": asked}
    assert_same(produced(definition, told(steps)), mqas(definition, told(steps)))


def test_an_account_keeps_the_leads_with_the_highest_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "LEADS", 20)
    definition = {**FADING, "accounts": {"threshold": {"sum": 1000}}}
    program = offline.compile_texts([json.dumps(definition)])
    telling, table, leads = Telling(program), AccountTable(), LeadTable(program)
    leads.settle_layout()
    for number in range(40):
        kind = "form_fill" if number % 2 else "web_visit"
        lead = leads.open(f"lead-{number:02}")
        event = Event("s", "e", kind, START_MS, lead.id, email=f"p{number}@acme.example")
        telling.before(lead, event.time)
        telling.after(lead, step(program, lead, event).outcome)
        table.take(telling.take(leads.peek))
    kept = {str(json.loads(key)[1]) for key, value in table.packed_changes() if value is not None and len(json.loads(key)) == 2}
    assert 20 <= len(kept) <= 22
    assert {lead for lead in kept if int(lead[-2:]) % 2} == {f"lead-{number:02}" for number in range(1, 40, 2)}


def test_an_outlook_beyond_its_exact_breaks_neither_keeps_nor_overdraws_what_has_ended() -> None:
    program = offline.compile_texts([json.dumps({**FADING, "accounts": {"threshold": {"sum": 1}}})])
    plan = program.plans[0]
    assert plan.accounts is not None
    lead = open_lead(program, "ann")
    for number in range(60):
        time = START_MS + number * MINUTE_MS
        step(program, lead, Event("s", f"e{number}", "form_fill", time, "ann", email="ann@acme.example"))
    told = outlook(plan, plan.accounts, lead, lead.tallies[0] or Tally.over(plan, lead.ledger, lead.state.as_of))
    assert len(told.stretches) <= STRETCHES
    for minutes in (0, 100, 200, 240, 245, 300, 10_000, 40 * 24 * 60, 1_000 * 24 * 60):
        total, engagement = told.score_at(lead.state.as_of + minutes * MINUTE_MS)
        assert total == engagement
        assert -TOLERANCE <= total <= 60 * 50
    assert told.score_at(lead.state.as_of + 40 * 24 * 60 * MINUTE_MS) == pytest.approx((0.0, 0.0), abs=TOLERANCE)
