"""Whole groups of workers under random faults, seed by seed, in simulated time.

A few seeds run with all tests. ``make sim`` runs many: ``MQLSTREAM_SEEDS`` says how many (2,000 without it), from
``MQLSTREAM_SEED`` on (0 without it); with ``MQLSTREAM_SEED`` alone it runs that one seed again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Sequence
from typing import Any

import pytest

from mqlstream.engine.interfaces import Effects, Output, Record
from mqlstream.engine.manual_time import simulate
from mqlstream.engine.memory import MemoryBroker, MemoryCluster
from mqlstream.engine.status import Options
from tests.engine.counting import TIMER_MS, Counting
from tests.engine.world import POSITION, Worker, check, position

SEEDS = range(40)


class Chaos:
    """Faults at random steps and random times; `calm` ends it."""

    def __init__(self, seed: int, stage: Counting, topics: dict[str, int]) -> None:
        self.random = random.Random(seed)
        self.stage = stage
        self.cluster = MemoryCluster(topics, seed=seed, latency_s=self.random.choice([0.002, 0.02, 0.3]), fault=self.fault)
        self.workers: list[Worker] = []
        self.options = Options(
            batch_records=self.random.choice([3, 10, 50]),
            commit_interval_ms=self.random.choice([1, 100, 1000]),
            answer_timeout_ms=self.random.choice([2_000, 30_000]),
            drain_timeout_ms=3_000,
            hold_ms=3_000,
        )
        self._rate = self.random.choice([0.0, 0.01, 0.05])

    async def fault(self, step: str, broker: MemoryBroker) -> None:
        if step == "partitions" or self.random.random() >= self._rate:  # a worker that cannot even begin just exits
            return
        how = self.random.choice(["error", "error", "slow", "hang", "kill", "freeze"])
        if how == "error":
            raise ConnectionError(f"cut off at {step}")
        if how == "slow":
            await asyncio.sleep(self.random.uniform(0.1, 20))
        elif how == "hang" and step != "join":
            await asyncio.get_running_loop().create_future()
        elif how == "kill":
            self.kill(broker)
        elif how == "freeze":
            self.freeze(broker)

    def join(self) -> None:
        self.workers.append(Worker(self.cluster, self.stage, self.options))

    def kill(self, broker: MemoryBroker) -> None:
        for worker in self.workers:
            if worker.broker is broker:
                self.workers.remove(worker)
                worker.kill()
                return

    def freeze(self, broker: MemoryBroker) -> None:
        broker.freeze()
        asyncio.get_running_loop().call_later(self.random.uniform(0.1, 40), broker.thaw)

    async def happen(self) -> None:
        """One event out of many."""
        what = self.random.choice(["join"] * 2 + ["records"] * 3 + ["kill", "freeze", "leave", "compact", "offsets", "aborted"])
        if what == "join" and len(self.workers) < 4:
            self.join()
        elif what in ("kill", "freeze") and self.workers:
            (self.kill if what == "kill" else self.freeze)(self.random.choice(self.workers).broker)
        elif what == "leave" and self.workers:
            worker = self.workers.pop(self.random.randrange(len(self.workers)))
            worker.broker.thaw()
            await worker.stop()
        elif what == "records":
            self.write(self.random.randrange(40))
        elif what == "compact":
            for partition in range(self.cluster.topics[self.stage.changelog]):
                self.cluster.logs[self.stage.changelog, partition].compact()
        elif what == "offsets":
            self.cluster.offsets["app-count"].clear()
        elif what == "aborted":
            topic = self.random.choice(self.stage.inputs)
            self.cluster.append_aborted(topic, b"lead-0", b"x", partition=self.random.randrange(self.cluster.topics[topic]))

    def write(self, count: int) -> None:
        for _ in range(count):
            topic = self.random.choice(self.stage.inputs)
            number, kind = self.random.randrange(8), self.random.choice([b"lead", b"visitor"])
            value = self.random.choices([b"x", b"poison", b"delete"], [90, 3, 10 if kind == b"visitor" else 0])[0]
            partition = number % self.cluster.topics[topic]
            self.cluster.append(topic, b"%s-%d" % (kind, number), value, partition=partition, timestamp=self.cluster.now_ms())

    async def run(self) -> None:
        random.seed(self.random.random())  # the engine's own jitter
        self.join()
        for _ in range(self.random.randrange(5, 30)):
            await self.happen()
            await asyncio.sleep(self.random.choice([0.01, 0.3, 3, 12]))
        await self.calm()

    async def calm(self) -> None:
        self._rate = 0.0
        for worker in self.workers:
            worker.broker.thaw()
        self.join()
        await asyncio.sleep(TIMER_MS / 1000 + 60)
        for worker in self.workers:
            await worker.settled()
        await asyncio.sleep(TIMER_MS / 1000 + 60)


def run_table(seed: int) -> None:
    """A stage with a table, through all faults of this seed: exact in the end."""

    async def main() -> None:
        chaos = Chaos(seed, Counting(), {"in": 3, "changelog": 3, "out": 2, "dead": 1})
        await chaos.run()
        check(chaos.cluster, chaos.stage)
        for worker in chaos.workers:
            await worker.stop()
        for partition in range(3):
            assert position(chaos.cluster, chaos.stage, partition).get("in", 0) == chaos.cluster.logs["in", partition].end

    simulate(main())


class _Forward:
    """No table: every record goes out, saying where it came from."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        raise AssertionError(f"a stage without a table got {key!r} from its changelog")

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        return Effects(outputs=[Output("out", r.key, f"{r.topic}/{r.partition}/{r.offset}".encode(), partition=0) for r in records])

    def due_ms(self) -> int | None:
        return None

    def committed(self, effects: Effects) -> None:
        pass


class Merging(Counting):
    """A stage of several topics, without a table."""

    def processor(self, task: int) -> Any:
        return _Forward()


def run_merge(seed: int) -> None:
    """Topics of unequal partition counts, tasks that share changelog partitions: each record forwarded once, in order."""

    async def main() -> None:
        stage = Merging(["a", "b", "c"])
        chaos = Chaos(seed, stage, {"a": 4, "b": 2, "c": 1, "changelog": 2, "out": 1, "dead": 1})
        await chaos.run()
        for worker in chaos.workers:
            await worker.stop()
        cluster = chaos.cluster
        written = [record.value.decode().split("/") for record in cluster.committed("out") if record.value]
        for topic in stage.inputs:
            for partition in range(cluster.topics[topic]):
                went_in = [record.offset for record in cluster.logs[topic, partition].committed()]
                came_out = [int(offset) for name, number, offset in written if (name, int(number)) == (topic, partition)]
                assert came_out == went_in, f"{topic}[{partition}]"
        keys = {record.key for record in cluster.committed("changelog")}
        assert keys <= {POSITION + b"count/%d" % task for task in range(4)}

    simulate(main())


@pytest.mark.parametrize("seed", SEEDS)
def test_tables_and_outputs_are_exact_after_any_sequence_of_faults(seed):
    run_table(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stage_of_several_topics_with_a_shared_changelog_forwards_each_record_once_and_in_order(seed):
    run_merge(seed)


@pytest.mark.sim
def test_many_seeds():
    first, one = int(os.environ.get("MQLSTREAM_SEED", "0")), "MQLSTREAM_SEED" in os.environ
    logging.getLogger("mqlstream").setLevel(logging.CRITICAL)  # faults are logged as they should; here they are the plan
    for seed in range(first, first + int(os.environ.get("MQLSTREAM_SEEDS", "1" if one else "2000"))):
        for run in (run_table, run_merge):
            try:
                run(seed)
            except BaseException as error:
                raise AssertionError(f"{run.__name__}: again with MQLSTREAM_SEED={seed} make sim") from error
