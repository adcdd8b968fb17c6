"""Leads are looked up, and sales' answers posted, at any of two workers; also while one is killed and its tasks move."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mqlstream.wire import key_of, partition_of
from tests.kafka.installation import DEFINITIONS, PARTITIONS, Installation, Sent, Worker, eventually

pytestmark = pytest.mark.kafka

TOKEN = "no-token-of-anyone-s"
START = 1_793_610_000_000
MINUTE = 60_000


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [DEFINITIONS / "steady.yaml"], more={"MQLSTREAM_HTTP_TOKEN": TOKEN})
    yield made
    made.clear_away()


def leads_of_every_partition(each: int) -> list[str]:
    """So many leads of each partition."""
    found: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
    number = 0
    while any(len(leads) < each for leads in found.values()):
        lead = f"lead/{number}@acme.example"
        found[partition_of(key_of(lead), PARTITIONS)].append(lead)
        number += 1
    return [lead for leads in found.values() for lead in leads[:each]]


def life_of(installation: Installation, lead: str) -> Iterator[Sent]:
    """What makes a lead an MQL, and an event that comes late."""
    topics = installation.topics
    who = {"source": "web", "lead_id": lead}
    events: list[tuple[str, dict[str, Any]]] = [
        (topics.profiles, {"id": "p", "time": START, "attributes": {"title": "VP Marketing", "company_size": 300}}),
        (topics.form_fills, {"id": "f", "time": START + 2 * MINUTE, "form": "demo"}),
        (topics.web_visits, {"id": "v", "time": START + MINUTE, "path": "/pricing", "duration_seconds": 30}),
        (topics.web_visits, {"id": "w", "time": START + 3 * MINUTE, "path": "/blog"}),
    ]
    for topic, event in events:
        yield Sent(topic, json.dumps({**event, **who}).encode())


def ask(worker: Worker, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and JSON of a request with the token."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(worker.url + path, data, headers), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except OSError as error:
        return 0, str(error)


def look_up(worker: Worker, lead: str) -> tuple[int, Any]:
    return ask(worker, "/v1/leads/" + quote(lead, safe=""))


def stages(worker: Worker, leads: list[str]) -> list[str]:
    """Of each lead; the status where there is no answer."""
    answers = [look_up(worker, lead) for lead in leads]
    return [told["definitions"][0]["stage"] if status == 200 else f"status {status}" for status, told in answers]


async def in_stage(worker: Worker, leads: list[str], stage: str) -> None:
    await eventually(lambda: stages(worker, leads) == [stage] * len(leads), f"not all are {stage}", lambda: stages(worker, leads))


async def test_any_worker_tells_of_any_lead_and_takes_sales_answers_also_after_one_was_killed(installation: Installation) -> None:
    installation.apply_topics()
    installation.keep_records()
    one, two = installation.worker("one"), installation.worker("two")
    await one.ready()
    await two.ready()
    leads = leads_of_every_partition(3)
    installation.write(record for lead in leads for record in life_of(installation, lead))
    await installation.until_done()
    await in_stage(one, leads, "mql")
    assert {worker.metric("mqlstream_task_state", 'stage="score",state="running"') for worker in (one, two)} == {PARTITIONS / 2}

    told = {lead: look_up(one, lead) for lead in leads}
    assert told == {lead: look_up(two, lead) for lead in leads}
    for lead, (_, answer) in told.items():
        assert answer["lead_id"] == lead
        assert {event["id"] for event in answer["definitions"][0]["timeline"]} == {"p", "f", "v", "w"}
    assert look_up(one, "nobody")[0] == look_up(two, "nobody")[0] == 404

    handoffs = {lead: answer["definitions"][0]["handoff_id"] for lead, (_, answer) in told.items()}
    accepted = [{"lead_id": lead, "handoff_id": handoffs[lead], "decision": "accepted", "by": "sam"} for lead in leads]
    status, first = ask(two, "/v1/feedback", accepted)
    assert status == 202, first
    status, again = ask(one, "/v1/feedback", accepted)
    assert status == 202
    assert [each["id"] for each in again["accepted"]] == [each["id"] for each in first["accepted"]], "the same answer, not a second one"
    await installation.until_done()
    for worker in (one, two):
        await in_stage(worker, leads, "sal")
    for reason, outcome in (("", "scored"), ("duplicate", "ignored")):
        label = f'kind="feedback",outcome="{outcome}",reason="{reason}"'
        assert sum(worker.metric("mqlstream_events_total", label) for worker in (one, two)) == len(leads)
    told = {lead: look_up(two, lead) for lead in leads}

    one.send(signal.SIGKILL)
    await one.ended()
    seen = [look_up(two, lead) for lead in leads]
    for lead, (status, answer) in zip(leads, seen, strict=True):
        assert status == 503 or (status, answer) == told[lead], "meanwhile an answer is right, or there is none"
    await in_stage(two, leads, "sal")
    assert {lead: look_up(two, lead) for lead in leads} == told

    status, _ = ask(two, "/v1/feedback", [{"lead_id": lead, "decision": "qualified"} for lead in leads])
    assert status == 202
    await in_stage(two, leads, "sql")
    assert two.complaints() == []
    for worker in (one, two):
        assert "acme.example" not in worker.log.read_text(), "no lead is named in a log"


async def test_a_frozen_worker_tells_nothing_old_when_it_wakes_up(installation: Installation) -> None:
    installation.apply_topics()
    installation.keep_records()
    one, two = installation.worker("one"), installation.worker("two")
    await one.ready()
    await two.ready()
    leads = leads_of_every_partition(1)
    installation.write(record for lead in leads for record in life_of(installation, lead))
    await installation.until_done()
    await in_stage(two, leads, "mql")
    one.send(signal.SIGSTOP)
    await in_stage(two, leads, "mql")  # those of the frozen worker have moved
    assert ask(two, "/v1/feedback", [{"lead_id": lead, "decision": "accepted"} for lead in leads])[0] == 202
    await in_stage(two, leads, "sal")
    one.send(signal.SIGCONT)
    seen: set[str] = set()

    def awake() -> bool:
        now = set(stages(one, leads))
        seen.update(now)
        return now == {"sal"}

    await eventually(awake, "the worker does not come back")
    assert seen <= {"sal", "status 503"}
