"""Insights on a real broker: the counts are exact after all that can happen to two workers, and after a replay.

Handoffs are written as SCORE writes them: in transactions, of which some are aborted. What should be counted comes from the lives
that the events tell of.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from mqlstream.handoff.cloudevents import encode
from tests.app.insights.lives import Json, Life, events, expected, lives
from tests.kafka.installation import PARTITIONS, Installation, Worker, eventually

pytestmark = pytest.mark.kafka

ROLES = ("--roles", "insights,web")
FROZEN_S = 18.0  # longer than a member of a group may be silent, 15 s


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path)
    made.apply_topics()
    yield made
    made.clear_away()


class Handoffs:
    """Writes handoff events in transactions. One in four is aborted at first: with the same events, or with ones that never were."""

    def __init__(self, installation: Installation, rng: random.Random) -> None:
        self._topic = installation.topics.handoff
        self._rng = rng
        settings = {"bootstrap.servers": installation.bootstrap, "transactional.id": installation.name, "partitioner": "murmur2_random"}
        self._producer = Producer(settings)
        self._producer.init_transactions()

    def write(self, told: Sequence[Json]) -> None:
        left = list(told)
        while left:
            batch, left = left[:5], left[5:]
            if self._rng.random() < 0.25:
                self._transaction([*batch, *events(Life("nobody", "never", 1, 0, ("none",)))], commit=False)
            self._transaction(batch, commit=True)

    async def trickle(self, told: Sequence[Json], seconds: float) -> None:
        """Write within about so many seconds, a few at a time."""
        portions = 40
        size = -(-len(told) // portions)
        for begin in range(0, len(told), size):
            await asyncio.to_thread(self.write, told[begin : begin + size])
            await asyncio.sleep(seconds / portions)

    def _transaction(self, batch: Sequence[Json], *, commit: bool) -> None:
        self._producer.begin_transaction()
        for event in batch:
            key, value, headers = encode(event, "/test")
            self._producer.produce(self._topic, value, key, headers=list(headers))
        if commit:
            self._producer.commit_transaction()
        else:
            self._producer.flush()
            self._producer.abort_transaction()


def history(told: Sequence[Life], rng: random.Random) -> list[Json]:
    """All events, those of a life in their order, lives mixed."""
    queues = [list(events(life)) for life in told]
    mixed = []
    while queues:
        queue = rng.choice(queues)
        mixed.append(queue.pop(0))
        if not queue:
            queues.remove(queue)
    return mixed


async def counts_are(told: Sequence[Life], *workers: Worker) -> None:
    """All workers come to the same right answer, and their gauges add up to it."""
    right = expected(told)
    await eventually(
        lambda: all(worker.insights() == right for worker in workers), "counts are wrong", lambda: [worker.insights() for worker in workers]
    )
    for definition in right["definitions"]:
        label = f'definition="{definition["definition"]}",stage="mql"'
        mqls = definition["funnel"]["mql"]
        name = "mqlstream_insights_reached"
        await eventually(lambda: sum(worker.metric(name, label) for worker in workers) == mqls, "gauges do not add up")  # noqa: B023
    assert [line for worker in workers for line in worker.complaints()] == []


def rewind(installation: Installation) -> None:
    """Set the group's offsets to the beginning, as an operator would; nobody may be in it."""
    topic = installation.topics.handoff
    begin = [TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)]
    group = f"{installation.name}-insights"
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, begin)])[group].result()


def limit(installation: Installation, topic: str, size: int) -> None:
    """Let the broker refuse batches that are larger."""
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()


async def test_counts_are_exact_after_a_kill_a_freeze_rebalances_and_replays(installation: Installation) -> None:
    rng = random.Random(5)
    told = lives(5, 300)
    story = history(told, rng)
    handoffs = Handoffs(installation, rng)
    one, two = installation.worker("one", *ROLES), installation.worker("two", *ROLES)
    await one.ready()
    await two.ready()

    writing = asyncio.create_task(handoffs.trickle(story, FROZEN_S))
    await asyncio.sleep(1.5)
    one.send(signal.SIGKILL)
    await one.ended()
    one.start()
    await asyncio.sleep(0.5)
    two.send(signal.SIGSTOP)
    await asyncio.sleep(FROZEN_S)
    two.send(signal.SIGCONT)
    await writing
    await counts_are(told, one, two)

    handoffs.write(story)  # again, from the beginning
    one.send(signal.SIGTERM)
    assert await one.ended() == 0
    await counts_are(told, two)
    two.send(signal.SIGTERM)
    assert await two.ended() == 0

    rewind(installation)
    one.start()
    await counts_are(told, one)
    one.send(signal.SIGTERM)
    assert await one.ended() == 0


async def test_a_refused_fact_is_not_lost(installation: Installation) -> None:
    topic = installation.topics.insights_facts
    told = lives(9, 20)
    limit(installation, topic, 120)  # bytes of a batch: less than any with a fact in it
    Handoffs(installation, random.Random(9)).write(history(told, random.Random(9)))
    worker = installation.worker("one", *ROLES)
    await eventually(lambda: worker.log.read_text().count("insights begin again") >= 2, "nobody complains", worker.log.read_text)
    limit(installation, topic, 1_048_588)
    await counts_are(told, worker)


def test_handoffs_in_another_number_of_partitions_are_refused_with_the_role(kafka: str, tmp_path: Path) -> None:
    installation = Installation(kafka, tmp_path)
    topic = installation.topics.handoff
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS + 1, 1)])[topic].result()
    installation.command("topics", "apply")  # the others
    refused = installation.command("run", *ROLES)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        f"Error: topic {topic} has {PARTITIONS + 1} partitions, expected {PARTITIONS} (MQLSTREAM_PARTITIONS) for the role insights; "
        "without insights: --roles ingest,score,web"
    )


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(3))
async def test_counts_are_exact_after_many_faults(installation: Installation, seed: int) -> None:
    rng = random.Random(seed)
    told = lives(seed, 4_000)
    story = history(told, rng)
    handoffs = Handoffs(installation, rng)
    workers = [installation.worker(name, *ROLES) for name in ("one", "two", "three")]
    writing = asyncio.create_task(handoffs.trickle(story, 120.0))
    while not writing.done():
        worker = rng.choice(workers)
        fault = rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP))
        worker.send(fault)
        if fault == signal.SIGSTOP:
            await asyncio.sleep(rng.choice((1.0, FROZEN_S)))
            worker.send(signal.SIGCONT)
        else:
            await worker.ended()
            worker.start()
        await asyncio.sleep(rng.uniform(0.0, 6.0))
    await writing
    await counts_are(told, *workers)
    handoffs.write(story)
    await counts_are(told, *workers)
    await installation.drain()
