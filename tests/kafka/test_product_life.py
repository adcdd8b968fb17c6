"""The whole life of leads on a real broker, with workers killed in between: each transition happens once, as offline."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mqlstream import offline, wire
from mqlstream.core.event import Event
from mqlstream.handoff.contract import parse
from mqlstream.wire import key_of, partition_of
from tests.kafka.audit import assert_alike, program_of
from tests.kafka.installation import DEFINITIONS, PARTITIONS, Installation, Sent, Worker, eventually

pytestmark = pytest.mark.kafka

LIFE = DEFINITIONS / "life.yaml"
LEADS = 3 * PARTITIONS
COOLDOWN_S = 5


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [LIFE])
    yield made
    made.clear_away()


class Lives:
    """Leads that live through the same things at once; what they do is written as it happens, so that all clocks agree."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.leads = [f"lead-{number}" for number in range(LEADS)]
        self.number = 0

    def other(self, lead: str) -> str:
        """A lead that another task owns, for merging."""
        names = (f"other-{number}-of-{lead}" for number in range(1000))
        return next(name for name in names if partition_of(key_of(name), PARTITIONS) != partition_of(key_of(lead), PARTITIONS))

    def do(self, topic: str, kind: str, leads: list[str], **fields: Any) -> None:
        now = time.time_ns() // 1_000_000
        for lead in leads:
            self.number += 1
            told = {name: value(lead) if callable(value) else value for name, value in fields.items()}
            event = {"id": f"{kind}-{self.number}", "source": "s", "kind": kind, "time": now, "lead_id": lead, **told}
            self.installation.write([Sent(topic, json.dumps(event).encode())])

    def told(self) -> Counter[str]:
        records = self.installation.stream(self.installation.topics.handoff)
        return Counter(parse(record.value, record.headers).type.split(".")[2] for record in records)

    async def until(self, **expected: int) -> None:
        """Wait until so many of each type were told for each lead, and no more."""
        wanted = Counter({type_: count * LEADS for type_, count in expected.items()})
        await eventually(lambda: self.told() >= wanted, f"not all of {wanted}", self.told)
        assert self.told() == wanted


async def kill(worker: Worker) -> None:
    """Kill it at some moment of its work, and start it again."""
    await asyncio.sleep(0.15)
    worker.send(signal.SIGKILL)
    assert await worker.ended() == -signal.SIGKILL
    worker.start()


async def test_every_transition_of_a_life_happens_once_whoever_is_killed_meanwhile(installation: Installation) -> None:
    topics = installation.topics
    installation.apply_topics()
    one, two = installation.worker("one"), installation.worker("two")
    await one.ready()
    await two.ready()
    lives = Lives(installation)
    leads, others = lives.leads, [lives.other(lead) for lead in lives.leads]
    feedback, commands = topics.feedback, topics.commands

    lives.do(topics.form_fills, "form_fill", leads, form="demo")
    lives.do(topics.web_visits, "web_visit", leads, path="/")
    await kill(one)
    await lives.until(became_mql=1)
    lives.do(feedback, "feedback", leads, definition="life", decision="accepted")
    lives.do(feedback, "feedback", leads, definition="life", decision="accepted")  # out of turn: never applied
    await lives.until(became_mql=1, stage_changed=1)
    lives.do(feedback, "feedback", leads, definition="life", decision="recycled", reason="later")
    lives.do(topics.web_visits, "web_visit", leads, path="/again", id=lambda lead: f"again-{lead}")  # nobody is pushed in a cooldown
    await kill(two)
    await lives.until(became_mql=2, stage_changed=2)  # by time alone
    lives.do(commands, "command", leads, do="retract", event_source="s", event_id=lambda lead: f"again-{lead}", by="sam")
    await lives.until(became_mql=2, stage_changed=2, mql_withdrawn=1)
    lives.do(topics.web_visits, "web_visit", others, path="/")
    lives.do(commands, "command", others, do="merge", into=lambda other: other.partition("-of-")[2])
    await kill(one)
    await lives.until(became_mql=3, stage_changed=2, mql_withdrawn=1)
    lives.do(commands, "command", leads, do="erase", by="dpo")
    await lives.until(became_mql=3, stage_changed=2, mql_withdrawn=2, erased=2)  # with each goes the one merged into it
    await installation.until_done()
    check_against_replay(installation)
    assert [worker.complaints() for worker in (one, two)] == [[], []]


def check_against_replay(installation: Installation) -> None:
    """What was told is what scoring the same log offline tells; and what leads passed on to each other stands in the log once."""
    came: list[tuple[int, int, int, Event]] = []  # in the order of each partition, of all by time
    newest: Counter[int] = Counter()
    passed_on: Counter[bytes] = Counter()
    for record in installation.stream(installation.topics.lead_events):
        if wire.heard(record.key, record.value) is None:
            event = wire.decode(record.value or b"")
            if event.via:
                passed_on[wire.encode(event)] += 1
            else:
                newest[record.partition] = max(newest[record.partition], event.time)
                came.append((newest[record.partition], record.partition, record.offset, event))
    replay = Replay(program_of([LIFE]))
    expected = {output["id"]: output for *_, event in sorted(came) for output in replay.apply(event)}
    told = [parse(record.value, record.headers).as_json() for record in installation.read(installation.topics.handoff)]
    check_cooldowns(told)
    assert Counter(output["id"] for output in told) == Counter(expected.keys())
    for output in told:
        assert_alike(output, expected[output["id"]], output["id"])
    assert passed_on == replay.passed_on


def check_cooldowns(told: list[dict[str, Any]]) -> None:
    """Whom sales recycled was not pushed again before the cooldown was over."""
    recycled = {output["lead_id"]: output["time"] for output in told if output["data"].get("to") == "recycled"}
    assert len(recycled) == LEADS
    for lead, since in recycled.items():
        again = [
            output["time"] for output in told if output["lead_id"] == lead and output["data"].get("qualified_at") and output["time"] > since
        ]
        assert min(again) == since + COOLDOWN_S * 1000, lead


class Replay(offline.Replay):
    """Remembers what leads passed on to each other."""

    def __init__(self, program: Any) -> None:
        super().__init__(program)
        self.passed_on: Counter[bytes] = Counter()

    def apply(self, event: Event) -> list[dict[str, Any]]:
        if event.via:
            self.passed_on[wire.encode(event)] += 1
        return super().apply(event)
