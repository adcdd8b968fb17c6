"""Both stages on a simulated cluster read an archive: the MQLs, and when they qualified, are those of the sorted archive.

The archive's records lie in any partition of their topic, in order of event time within it, under timestamps of their own
or those of writing. Workers come, are killed and leave meanwhile.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import orjson
import pytest

from mqlstream import offline
from mqlstream.engine.manual_time import simulate
from mqlstream.engine.memory import START_MS, MemoryBroker, MemoryCluster
from mqlstream.engine.runner import StageRunner
from mqlstream.engine.status import Options
from mqlstream.handoff.contract import BECAME_MQL, parse
from mqlstream.stages.ingest import IngestStage
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import Topics

Json = dict[str, Any]
TOPICS = Topics("mql.")
PARTITIONS = 3
DAYS = 60
DAY_MS = 86_400_000
INPUTS = {"web_visit": TOPICS.web_visits, "form_fill": TOPICS.form_fills, "activity": TOPICS.activities, "profile": TOPICS.profiles}
DEFINITION = """
definition: steady
version: 1
horizon: 30d
rules:
  - {id: visit, on: web_visit, points: 20, decay: {half_life: 7d}}
  - {id: form, on: form_fill, points: 35, decay: {half_life: 14d}}
  - {id: chat, on: activity, where: {name: chat}, points: 15, decay: {half_life: 3d}}
fit: [{id: boss, where: {title: boss}, points: 20}]
qualify: {threshold: {total: 100}}
"""
FIELDS: dict[str, Json] = {
    "web_visit": {"path": "/"},
    "form_fill": {"form": "demo"},
    "activity": {"name": "chat"},
    "profile": {"attributes": {"title": "boss"}},
}


def archive(rng: random.Random, count: int = 250, leads: int = 12) -> list[Json]:
    """60 days of events, in order of time, the newest a day old."""
    times = sorted(START_MS - DAY_MS - rng.randrange(DAYS * DAY_MS) for _ in range(count))
    found = []
    for number, time in enumerate(times):
        kind = rng.choice(list(INPUTS))
        found.append(
            {"id": f"e{number}", "source": "s", "kind": kind, "time": time, "lead_id": f"lead-{rng.randrange(leads)}"} | FIELDS[kind]
        )
    return found


class Simulation:
    """A cluster that holds an archive, and the workers that read it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        counts = dict.fromkeys((*TOPICS.inputs, TOPICS.lead_events, TOPICS.lead_state, TOPICS.ingest_positions, TOPICS.handoff), PARTITIONS)
        self.cluster = MemoryCluster(counts | {TOPICS.dead_letters: 1}, seed=seed)
        program = offline.compile_texts([DEFINITION])
        self._stages = IngestStage(TOPICS, PARTITIONS), ScoreStage(TOPICS, program)
        self._options = Options(batch_records=self.random.choice([5, 40, 5000]), commit_interval_ms=self.random.choice([1, 100]))
        self._workers: dict[MemoryBroker, list[tuple[StageRunner, asyncio.Task[None]]]] = {}

    def fill(self, history: list[Json], dated: bool) -> None:
        """Write each record to any partition of its topic."""
        for event in history:
            topic, partition = INPUTS[event["kind"]], self.random.randrange(PARTITIONS)
            self.cluster.append(topic, None, orjson.dumps(event), partition=partition, timestamp=event["time"] if dated else None)

    def join(self) -> None:
        broker = self.cluster.connect()
        runners = [StageRunner(stage, broker=broker, app_id="app", options=self._options) for stage in self._stages]
        self._workers[broker] = [(runner, asyncio.create_task(runner.run())) for runner in runners]

    def kill(self) -> None:
        broker = self.random.choice(list(self._workers))
        broker.kill()
        for _, job in self._workers.pop(broker):
            job.cancel()

    async def stop(self) -> None:
        for runner, job in [each for running in self._workers.values() for each in running]:
            await runner.stop()
            await job

    def mqls(self) -> list[tuple[str, int, int]]:
        """(lead, cycle, qualified_at) of every MQL handed off."""
        events = [parse(record.value, record.headers).as_json() for record in self.cluster.committed(TOPICS.handoff)]
        return sorted(
            (event["lead_id"], event["data"]["cycle"], event["data"]["qualified_at"]) for event in events if event["type"] == BECAME_MQL
        )


def expected(history: list[Json]) -> list[tuple[str, int, int]]:
    outputs = offline.score_events([DEFINITION], history)
    return sorted((output["lead_id"], output["data"]["cycle"], output["data"]["qualified_at"]) for output in outputs)


@pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])
@pytest.mark.parametrize("seed", range(8))
def test_an_archive_spread_over_partitions_qualifies_leads_as_if_it_were_sorted(seed: int, dated: bool) -> None:
    async def main() -> tuple[list[Json], Simulation]:
        simulation = Simulation(seed)
        history = archive(simulation.random)
        simulation.fill(history, dated)
        simulation.join()
        simulation.join()
        for _ in range(simulation.random.randrange(4)):
            await asyncio.sleep(simulation.random.expovariate(1.0))
            simulation.kill()
            simulation.join()
        await asyncio.sleep(90)
        await simulation.stop()
        return history, simulation

    history, simulation = simulate(main())
    assert simulation.cluster.committed(TOPICS.dead_letters) == []
    assert simulation.mqls() == expected(history)
    assert simulation.mqls()
