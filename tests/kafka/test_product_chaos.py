"""Faults at random moments: workers are killed, frozen past their session, and restarted while all kinds of events come in.

The short form runs with all tests; `make chaos` runs the long one. A run is replayed by its seed, but for the moments at
which the machine itself does things.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka import traffic
from tests.kafka.audit import check_against_story, check_ingest, program_of, story_of, until_reviewed, written
from tests.kafka.history import check_oracle, check_qualified, check_scores
from tests.kafka.installation import DEFINITIONS, Installation, Process, Sent, Worker, eventually
from tests.kafka.malformed import bad_value
from tests.kafka.traffic import Json

STEADY, MOODY = DEFINITIONS / "steady.yaml", DEFINITIONS / "moody.yaml"
FAULTS = ("kill", "freeze", "restart", "kill")
FROZEN_S = 18.0  # longer than a member of a group may be silent, 15 s
ORACLE_LEADS = 300


class Bursts:
    """Writes the records in bursts for as long as something else goes on, and what is left then at once."""

    def __init__(self, rng: random.Random, installation: Installation, records: list[Sent], expected_s: float) -> None:
        self._rng = rng
        self._installation = installation
        self._records = records
        self._expected_s = expected_s
        self._begun = asyncio.Event()

    async def write(self, until: asyncio.Task[None]) -> None:
        count = 40
        for burst in traffic.portions(self._records, count):
            self._begun.set()
            self._begun = asyncio.Event()
            await asyncio.to_thread(self._installation.write, burst)
            if not until.done():
                await asyncio.wait([until], timeout=self._rng.uniform(0.2, 1.8) * self._expected_s / count)
        self._begun.set()

    async def within_one(self, rng: random.Random) -> None:
        """A moment at which there is work."""
        await self._begun.wait()
        await asyncio.sleep(rng.uniform(0.0, 0.6))


async def disturb(rng: random.Random, faults: list[str], workers: list[Worker], bursts: Bursts) -> None:
    """One fault after the other, each while events come in, on a random worker."""
    for fault in faults:
        await asyncio.sleep(rng.uniform(0.0, 3.0))
        await bursts.within_one(rng)
        victim = rng.choice(workers)
        if fault == "freeze":
            victim.send(signal.SIGSTOP)
            await asyncio.sleep(FROZEN_S)
            victim.send(signal.SIGCONT)
        else:
            victim.send(signal.SIGKILL if fault == "kill" else signal.SIGTERM)
            # A worker that is told to stop while it still starts has nothing to drain, and no handler yet.
            assert await victim.ended() in ((-signal.SIGKILL,) if fault == "kill" else (0, -signal.SIGTERM))
            await asyncio.sleep(rng.uniform(0.0, 2.0))
            victim.start()
        await asyncio.sleep(rng.uniform(0.0, 4.0))


async def disturb_sales(rng: random.Random, sales: Process, until: asyncio.Task[None]) -> None:
    """Kill the sales tool now and then; it comes back, and knows no more than its group's offsets."""
    while not until.done():
        await asyncio.wait([until], timeout=rng.uniform(15.0, 25.0))
        sales.send(signal.SIGKILL)
        await sales.ended()
        sales.start()


def received(sales: Process) -> list[Json]:
    """What the sales tool printed, all its lives together."""
    return [json.loads(line) for line in sales.out.read_text(encoding="utf-8").splitlines()]


async def run_chaos(installation: Installation, seed: int, count: int, faults: list[str]) -> None:
    print(f"MQLSTREAM_CHAOS_SEED={seed}")  # shown when the run fails
    rng = random.Random(seed)
    history = traffic.events(rng, count, leads=count // 15)
    records = [traffic.sent(rng, installation.topics, event) for event in traffic.disorder(rng, history)]
    for number in range(count // 50):
        topic = rng.choice(installation.topics.inputs)
        records.insert(rng.randrange(len(records)), Sent(topic, bad_value(rng, number).value))
    installation.apply_topics()
    workers = [installation.worker("one"), installation.worker("two")]
    sales = installation.process("sales", "subscribe", "--group", f"{installation.name}-crm")
    bursts = Bursts(rng, installation, records, sum(FROZEN_S + 5 if fault == "freeze" else 8 for fault in faults))
    disturbing = asyncio.create_task(disturb(rng, faults, workers, bursts))
    disturbing_sales = asyncio.create_task(disturb_sales(rng, sales, until=disturbing))
    await bursts.write(until=disturbing)
    await asyncio.gather(disturbing, disturbing_sales)
    await installation.until_done()
    await until_reviewed(installation)
    for worker in workers:
        await worker.ready()  # also the one that was frozen
    await installation.drain()

    events, refused = check_ingest(installation)
    found = written(installation)
    program = program_of([STEADY, MOODY])
    story = story_of(found.log, program)
    check_against_story(found, story)
    check_scores(found, program, history)
    later = check_qualified(found, story, STEADY, history, leave_out=traffic.SALES)
    small = sorted(lead for lead, arrived in story.arrivals.items() if len(arrived) <= 30 and not lead.startswith(traffic.SALES))
    qualified = check_oracle(found, story, STEADY, history, small[:ORACLE_LEADS])
    assert qualified
    await eventually(lambda: {event["id"] for event in received(sales)} >= found.handoffs.keys(), "the sales tool did not get all handoffs")
    deliveries = received(sales)
    assert {event["id"] for event in deliveries} == found.handoffs.keys()
    assert all(event == found.handoffs[event["id"]] for event in deliveries)
    assert [worker.complaints() for worker in workers] == [[], []]
    types = Counter(event["type"] for event in found.handoffs.values())
    print(
        f"seed {seed}: {len(records)} records, {len(faults)} faults, {events} events, {refused} dead letters, {len(found.states)} leads, "
        f"{dict(types)}; {len(later)} leads of {len(found.mqls('steady'))} qualified later than in sorted order; "
        f"oracle: {len(small[:ORACLE_LEADS])} leads, {qualified} qualified; {len(deliveries) - len(found.handoffs)} deliveries repeated"
    )


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [STEADY, MOODY])
    yield made
    made.clear_away()


@pytest.mark.kafka
async def test_every_lead_and_every_handoff_survive_killed_frozen_and_restarted_workers(installation: Installation) -> None:
    await run_chaos(installation, seed=20261101, count=15_000, faults=list(FAULTS))


@pytest.mark.kafka
@pytest.mark.chaos
async def test_every_lead_and_every_handoff_survive_a_long_chaos(installation: Installation, request: pytest.FixtureRequest) -> None:
    if "chaos" not in request.config.getoption("-m"):
        pytest.skip("a long run: only with `make chaos`")
    seed = int(os.environ.get("MQLSTREAM_CHAOS_SEED") or random.randrange(10**9))
    faults = [*FAULTS, *FAULTS, *FAULTS]
    random.Random(seed).shuffle(faults)
    await run_chaos(installation, seed=seed, count=60_000, faults=faults)
