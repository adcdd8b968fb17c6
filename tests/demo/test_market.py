"""The simulated market: the same every time, and believable."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from mqlstream.core.event import Event
from mqlstream.definition import load
from mqlstream.demo.market import Touch, market
from mqlstream.demo.play import definition_file
from mqlstream.demo.sales import describe
from mqlstream.demo.summary import percentile
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import Anonymous, Rejected
from mqlstream.topics import Topics

SECONDS = 30


def bodies(touches: list[Touch]) -> list[tuple[Touch, dict[str, Any]]]:
    return [(touch, touch.body) for touch in touches if isinstance(touch.body, dict)]


def journeys() -> dict[str, list[tuple[Touch, dict[str, Any]]]]:
    """Person -> touches in order, writes of the same thing left out."""
    found: dict[str, list[tuple[Touch, dict[str, Any]]]] = defaultdict(list)
    seen: set[str] = set()
    for touch, body in bodies(market(300, SECONDS)):
        if body["id"] not in seen:
            seen.add(body["id"])
            found[body["id"].split("-")[1]].append((touch, body))
    return found


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    assert market(50, SECONDS) == market(50, SECONDS)
    assert market(50, SECONDS, seed=1) != market(50, SECONDS, seed=2)


def test_a_larger_market_has_the_same_people_and_more() -> None:
    few = {body["id"]: body for _, body in bodies(market(20, SECONDS))}
    many = {body["id"]: body for _, body in bodies(market(40, SECONDS))}
    assert few.items() <= many.items()


def test_touches_come_in_order_within_the_time_the_market_is_open() -> None:
    moments = [touch.at_ms for touch in market(100, SECONDS)]
    assert moments == sorted(moments)
    assert moments[0] >= 0
    assert moments[-1] < SECONDS * 1000


def test_every_kind_of_touch_happens_and_some_are_written_twice() -> None:
    touches = bodies(market(300, SECONDS))
    assert {touch.topic for touch, _ in touches} == {
        *("web_visits", "form_fills", "email_clicks", "webinar_attendance", "activities", "profiles"),
    }
    ids = [body["id"] for _, body in touches]
    assert len(ids) > len(set(ids))


def test_visitors_are_anonymous_until_they_fill_in_a_form() -> None:
    converted = 0
    for journey in journeys().values():
        kinds = [touch.topic for touch, _ in journey]
        if "form_fills" not in kinds:
            continue
        converted += 1
        first_form = kinds.index("form_fills")
        assert all("email" not in body for touch, body in journey[:first_form] if touch.topic == "web_visits")
        assert all("email" in body for touch, body in journey[first_form:] if touch.topic == "web_visits")
    assert converted > 100


def test_the_webinar_takes_place_once_after_its_registrations() -> None:
    at_ms: dict[str, list[int]] = defaultdict(list)
    for touch, body in bodies(market(300, SECONDS)):
        if touch.topic == "webinar_attendance":
            at_ms[body["action"]].append(touch.at_ms)
    assert max(at_ms["attended"]) - min(at_ms["attended"]) < SECONDS * 1000 * 0.1
    assert min(at_ms["attended"]) > sorted(at_ms["registered"])[len(at_ms["registered"]) // 2]
    assert at_ms["no_show"]
    assert at_ms["watched_on_demand"]


def test_there_are_machines_competitors_and_customers() -> None:
    everything = [body for _, body in bodies(market(300, SECONDS))]
    assert any(body.get("machine") for body in everything)
    assert any(str(body.get("email", "")).endswith("@rival.example") for body in everything)
    assert any(body.get("attributes", {}).get("customer") for body in everything)


def test_every_touch_is_a_canonical_event_but_the_broken_ones() -> None:
    kinds = Topics().kinds
    for touch in market(300, SECONDS):
        topic = getattr(Topics(), touch.topic)
        body = touch.body if isinstance(touch.body, bytes) else {**touch.body, "time": 1_793_610_000_000}
        result = canonical(body, kind=kinds[topic], source=topic)
        if isinstance(touch.body, bytes):
            assert isinstance(result, Rejected), touch
        else:
            assert isinstance(result, Event | Anonymous), (touch, result)


def test_everybody_lives_at_a_reserved_domain() -> None:
    text = " ".join(str(body) for _, body in bodies(market(300, SECONDS)))
    assert all(address.endswith(".example") for address in re.findall(r"[\w.]+@([\w.]+)", text))


def test_the_demo_s_definition_is_the_shipped_one() -> None:
    assert definition_file().read_bytes() == (Path(__file__).parents[2] / "config" / "b2b-default.yaml").read_bytes()
    assert load(definition_file()).id == "b2b-default"


def test_an_mql_is_read_out_with_its_reasons() -> None:
    contribution = {"rule": "demo", "label": "Asked for a demo", "points": 79.96, "time": 1_793_610_000_000}
    handoff = {
        "lead_id": "ann@acme.example",
        "identity": {"email": "ann@acme.example", "first_name": "Ann", "last_name": "Weber"},
        "attributes": {"title": "VP Sales", "company": "Acme"},
        "score": {"total": 119.96, "engagement": 79.96, "fit": 40.0},
        "grade": "A1",
        "contributions": [contribution, {**contribution, "label": "Unsubscribed", "points": -40.0}],
    }
    assert describe(handoff) == [
        "MQL ann@acme.example  score 120 (engagement 80, fit 40)  A1  Ann Weber, VP Sales, Acme",
        "     +80.0  Asked for a demo  09:00:00Z",
        "     -40.0  Unsubscribed  09:00:00Z",
    ]


def test_of_a_person_nobody_knows_only_the_id_is_read_out() -> None:
    handoff = {
        "lead_id": "lead-1",
        "identity": {"email": None},
        "attributes": {},
        "score": {"total": 100.0, "engagement": 100.0},
        "grade": "",
        "contributions": [],
    }
    assert describe(handoff) == ["MQL lead-1  score 100 (engagement 100)"]


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile([30.0, 10.0, 20.0], percent) for percent in (0, 50, 99, 100)] == [10.0, 20.0, 30.0, 30.0]
    assert percentile([float(value) for value in range(1, 101)], 99) == 99.0
