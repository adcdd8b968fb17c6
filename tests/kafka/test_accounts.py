"""Accounts qualify once each on a real broker, while workers are killed and their tasks move."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mqlstream import offline
from mqlstream.handoff.contract import BECAME_MQA, HandoffEvent, parse
from tests.kafka.installation import DEFINITIONS, Installation, Sent, eventually

pytestmark = pytest.mark.kafka

DEFINITION = DEFINITIONS / "accounts.yaml"
START = 1_793_610_000_000
ACCOUNTS = 60
ROUNDS = 40  # events of each account


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [DEFINITION])
    yield made
    made.clear_away()


def history() -> list[dict[str, Any]]:
    """What the people of some companies do, a round of all companies after the other."""
    chance = random.Random(11)
    found = []
    for number in range(ACCOUNTS * ROUNDS):
        company = number % ACCOUNTS
        who = chance.choice("abcd" if company % 4 else "ab")  # of every fourth company too few
        kind = {"kind": "form_fill", "form": "demo"} if chance.random() < 0.2 else {"kind": "web_visit", "path": "/"}
        email = f"{who}@company-{company}.example"
        found.append({"id": f"e{number:05}", "source": "web", "time": START + number * 20, "email": email, **kind})
    return found


def sent(installation: Installation, events: list[dict[str, Any]]) -> Iterator[Sent]:
    """In one partition for each kind, so that ingest reads them in order; keys say nothing."""
    topics = {"form_fill": installation.topics.form_fills, "web_visit": installation.topics.web_visits}
    for event in events:
        yield Sent(topics[event["kind"]], json.dumps(event).encode(), partition=0)


def handed_off(installation: Installation) -> list[HandoffEvent]:
    return [
        parse(record.value, [(name, text) for name, text in record.headers]) for record in installation.read(installation.topics.handoff)
    ]


async def test_every_account_qualifies_once_while_workers_are_killed(installation: Installation) -> None:
    installation.apply_topics()
    told = history()
    outputs = offline.score_events([DEFINITION.read_text()], told)
    expected = sorted(output["lead_id"] for output in outputs if output["type"] == BECAME_MQA)
    one, other = installation.worker("one"), installation.worker("other")
    await asyncio.gather(one.ready(), other.ready())
    third = len(told) // 3
    installation.write(sent(installation, told[:third]))
    await eventually(lambda: handed_off(installation), "no account qualifies")
    installation.write(sent(installation, told[third : 2 * third]))
    one.send(signal.SIGKILL)
    await one.ended()
    installation.workers.remove(one)
    again = installation.worker("again")
    installation.write(sent(installation, told[2 * third :]))
    await again.ready()
    await installation.until_done()
    events = handed_off(installation)
    assert sorted(event.lead_id for event in events) == expected
    assert len(expected) > ACCOUNTS // 2
    assert len({event.id for event in events}) == len(events)
    assert {event.type for event in events} == {BECAME_MQA}
    assert other.complaints() == again.complaints() == []
    await installation.drain()
