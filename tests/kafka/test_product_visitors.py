"""Visitors become leads on a real broker, while workers are killed: every visit counts once, for its lead, at its own time."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mqlstream import wire
from mqlstream.core.packing import unpack
from tests.kafka.audit import until_reviewed
from tests.kafka.installation import DEFINITIONS, PARTITIONS, Installation, Sent
from tests.kafka.traffic import portions

VISITORS = 400
MINUTE = 60_000
Json = dict[str, Any]


def story(rng: random.Random) -> tuple[list[tuple[str, Json]], Counter[tuple[str, str, int]], int]:
    """What visitors do, in no order; then what each lead has of it, as (lead, id, time), and how many events are nobody's in the end.

    Each fourth visitor never says who it is. Some look in from a second device, and are logged in there.
    """
    now_ms = time.time_ns() // 1_000_000
    events: list[tuple[str, Json]] = []
    given: Counter[tuple[str, str, int]] = Counter()
    waiting = 0
    for number in range(VISITORS):
        user, cookies = f"user-{number}", [f"cookie-{number}-{device}" for device in range(1 + number % 2)]
        start_ms = now_ms - rng.randrange(60, 40_000) * MINUTE
        known = number % 4 != 0
        for cookie in cookies:
            for visit in range(rng.randrange(1, 6)):
                who = {"anonymous_id": cookie} | ({"user_id": user} if visit == 0 else {})
                event: Json = {"id": f"{cookie} {visit}", "source": "site", "time": start_ms + visit * MINUTE, "path": "/pricing", **who}
                events.append(("web_visits", event))
                if known:
                    given[f"lead-{number}", event["id"], event["time"]] += 1
                else:
                    waiting += 1
        if known:
            form: Json = {"id": f"form {number}", "source": "forms", "time": start_ms + 5 * MINUTE, "form": "guide", "user_id": user}
            events.append(("form_fills", form | {"lead_id": f"lead-{number}"}))
            given[f"lead-{number}", form["id"], form["time"]] += 1
    rng.shuffle(events)
    return events, given, waiting


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [DEFINITIONS / "steady.yaml"])
    yield made
    made.clear_away()


@pytest.mark.kafka
async def test_every_visit_counts_once_for_its_lead_though_workers_are_killed(installation: Installation) -> None:
    rng = random.Random(20261107)
    events, given, waiting = story(rng)
    topics = installation.topics
    records = [Sent(getattr(topics, topic), orjson.dumps(event), partition=rng.randrange(PARTITIONS)) for topic, event in events]
    installation.apply_topics()
    workers = [installation.worker("one"), installation.worker("two")]
    for worker in workers:
        await worker.ready()
    for number, burst in enumerate(portions(records, 8)):
        await asyncio.to_thread(installation.write, burst)
        if number in (2, 5):
            victim = workers[number % 2]
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            victim.send(signal.SIGKILL)
            await victim.ended()
            victim.start()
    await installation.until_done()
    await until_reviewed(installation)
    for worker in workers:
        await worker.ready()
    await installation.drain()

    found: Counter[tuple[str, str, int]] = Counter()
    for record in installation.stream(topics.lead_events):
        if wire.heard(record.key, record.value) is None:
            event = wire.decode(record.value or b"")
            found[event.lead, event.id, event.time] += 1
    assert found == given
    left = {record.key: record.value for record in installation.read(topics.identity)}
    assert sum(b"\xff" in (key or b"") for key, value in left.items() if value is not None) == waiting
    states = {record.key: record.value for record in installation.read(topics.lead_state)}
    counted = {
        (lead, entry.id, entry.time) for lead in {lead for lead, _, _ in given} for entry in unpack(states[lead.encode()] or b"").entries
    }
    assert counted == given.keys()
    assert [worker.complaints() for worker in workers] == [[], []]
