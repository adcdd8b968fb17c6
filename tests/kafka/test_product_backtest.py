"""`backtest --topic` on a real broker: its old side is what the installation has handed off, transactions and all."""

from __future__ import annotations

import json
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka import traffic
from tests.kafka.audit import until_reviewed, written
from tests.kafka.installation import DEFINITIONS, Installation
from tests.kafka.traffic import DAY_MS

pytestmark = pytest.mark.kafka
STEADY = DEFINITIONS / "steady.yaml"


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [STEADY])
    yield made
    made.clear_away()


async def test_the_old_side_of_a_backtest_is_what_was_handed_off(installation: Installation, tmp_path: Path) -> None:
    rng = random.Random(11)
    history = traffic.events(rng, 3_000, leads=200, start_ms=time.time_ns() // 1_000_000 - 60 * DAY_MS)
    installation.apply_topics()
    installation.write(traffic.sent(rng, installation.topics, event) for event in history)
    worker = installation.worker("one")
    await worker.ready()
    worker.send(signal.SIGKILL)  # a transaction that is cut off stands in lead-events, and must not be read
    await worker.ended()
    worker.start()
    await installation.until_done()
    await until_reviewed(installation)
    # Of leads with feedback and commands the stages depend on when these arrived.
    handed_off = {
        lead: event["data"]["qualified_at"]
        for lead, event in written(installation).mqls("steady").items()
        if not lead.startswith(traffic.SALES)
    }

    (tmp_path / "next.yaml").write_text(STEADY.read_text().replace("version: 1", "version: 2").replace("{total: 100,", "{total: 120,"))
    done = installation.command("backtest", "--definition", str(tmp_path / "next.yaml"), "--topic", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["old"]["version"], found["new"]["version"]) == (1, 2)
    rows = [row for row in found["leads"] if not row["lead_id"].startswith(traffic.SALES)]
    assert {row["lead_id"]: row["old"]["qualified_at"] for row in rows} == handed_off
    assert {row["change"] for row in found["leads"]} >= {"stops", "stays"}, "a higher threshold"
    assert not [row for row in found["leads"] if row["change"] == "becomes"]
