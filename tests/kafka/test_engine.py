"""The engine on a real broker: a counting stage in worker processes that are killed, frozen, joined and stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mqlstream.engine.interfaces import Commit
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.engine.runner import StageRunner
from mqlstream.errors import UnreachableError, UsageError
from tests.engine.counting import Counting
from tests.kafka.engine_world import POSITION, World, until

pytestmark = pytest.mark.kafka


@pytest.fixture
def world(kafka: str, tmp_path: Path) -> Iterator[World]:
    made = World(kafka, tmp_path)
    yield made
    made.close()


@pytest.fixture
def make(kafka: str, tmp_path: Path) -> Iterator[Callable[..., World]]:
    made: list[World] = []

    def create(**settings: Any) -> World:
        made.append(World(kafka, tmp_path, **settings))
        return made[-1]

    yield create
    for each in made:
        each.close()


def test_killed_stopped_and_joining_workers_lose_and_repeat_nothing(world):
    world.write(4_000)
    first = world.worker()
    until(lambda: world.positions(), "the first commit")
    first.kill()
    second = world.worker()
    world.write(4_000, start=4_000)
    second.until("running")
    third = world.worker()
    third.until("running")
    world.write(4_000, start=8_000)
    assert second.stop() == 0 and "stopped" in second.said
    world.write(4_000, start=12_000)
    third.until_running(3)
    world.settled()
    assert third.stop() == 0
    world.check()


def test_a_worker_that_wakes_up_after_its_session_is_over_is_fenced_and_gives_up(world):
    world.write(500)
    zombie = world.worker()
    world.settled()
    # Frozen with work in its hands: it goes on with it when it wakes up.
    world.write(6_000, start=500)
    until(lambda: sum(world.positions().values()) > 600, "a commit of the second lot")
    zombie.signal(signal.SIGSTOP)
    successor = world.worker()
    successor.until_running(3)
    world.settled()
    zombie.signal(signal.SIGCONT)
    world.write(3_000, start=6_500)
    until(lambda: zombie.status.count(":") + successor.status.count(":") == 3, "each task in one place")
    world.settled()
    world.check()
    assert zombie.stop() == 0 and successor.stop() == 0


def test_deleted_group_offsets_change_nothing(world):
    world.write(1_000)
    first = world.worker()
    world.settled()
    assert first.stop() == 0
    # A group with a live member can't be deleted; right after leaving it may still be one.
    until(lambda: _deleted(world), "the group to be gone")
    world.write(1_000, start=1_000)
    second = world.worker()
    world.settled()
    assert second.stop() == 0
    world.check()


def _deleted(world: World) -> bool:
    (done,) = world.admin.delete_consumer_groups([world.group]).values()
    return done.exception() is None


def test_aborted_transactions_upstream_are_passed_over(world):
    worker = world.worker()
    with world.producer(**{"transactional.id": f"{world.prefix}upstream"}) as producer:
        producer.init_transactions(30)
        for lot in range(20):
            producer.begin_transaction()
            for number in range(lot * 30, lot * 30 + 30):
                world.produce(producer, number, b"x" if lot % 2 else b"never to be seen")
            if lot % 2:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)
    worker.until("running")
    world.settled()
    assert worker.stop() == 0
    world.check()
    assert len(world.committed(world.stage.inputs[0], 3)) == 300


def test_a_changelog_record_that_the_broker_refuses_is_not_committed_and_said_loudly(make):
    world = make(partitions=1)
    world.configure(world.stage.changelog, max_message_bytes="2000")
    with world.producer() as producer:
        for number in range(300):
            producer.produce(world.stage.inputs[0], b"x", b"key-%d" % number)
    worker = world.worker()
    world.settled()  # many records that each fit, in batches that at first do not
    with world.producer() as producer:
        producer.produce(world.stage.inputs[0], b"x", b"k" * 3_000)
    worker.until("refuses a record of about 3")
    assert world.positions() == {0: 300}
    world.configure(world.stage.changelog, max_message_bytes="100000")
    world.settled()
    assert worker.stop() == 0
    world.check()


async def test_restoring_passes_markers_and_aborted_records_and_waits_for_open_transactions(make):
    world = make(partitions=1)
    changelog = (world.stage.changelog, 0)
    broker = KafkaBroker({"bootstrap_servers": world.bootstrap})
    assert [chunk.remaining async for chunk in broker.restore(changelog)][-1] == 0, "an empty one"
    writer = await broker.writer(f"{world.prefix}a", world.group)
    await writer.commit(Commit(changelog, [(b"kept", b"[1,2,0]")], [], {(world.stage.inputs[0], 0): 0}))
    await writer.close()
    assert await _restored(broker, changelog) == {b"kept": b"[1,2,0]"}, "ends in a commit marker"
    with world.producer(**{"transactional.id": f"{world.prefix}b"}) as producer:
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(world.stage.changelog, b"[9,9,0]", b"aborted")
        producer.flush(30)
        producer.abort_transaction(30)
        assert await _restored(broker, changelog) == {b"kept": b"[1,2,0]"}, "ends in an abort marker"
        producer.begin_transaction()
        producer.produce(world.stage.changelog, b"[3,4,0]", b"late")
        producer.flush(30)
        restoring = asyncio.create_task(_restored(broker, changelog))
        await asyncio.sleep(1)
        assert not restoring.done(), "one more transaction is open"
        await asyncio.to_thread(producer.commit_transaction, 30)
        assert await restoring == {b"kept": b"[1,2,0]", b"late": b"[3,4,0]"}


async def _restored(broker: KafkaBroker, changelog: tuple[str, int]) -> dict[bytes, bytes | None]:
    return {key: value async for chunk in broker.restore(changelog) for key, value in chunk.records if not key.startswith(POSITION)}


def test_a_dead_workers_open_transactions_do_not_stop_its_successor(world):
    world.write(3_000)
    first = world.worker()
    until(lambda: world.positions(), "the first commit")
    first.kill()  # most likely with a transaction open
    second = world.worker()
    second.until_running(3)
    world.settled()
    assert second.stop() == 0
    world.check()


def test_workers_with_other_definitions_get_no_tasks(world):
    world.write(100)
    first = world.worker()
    first.until_running(3)
    other = world.worker("two")
    other.until("this worker runs two, the group runs one")
    first.until_running(3)
    assert first.stop() == 0
    other.until_running(3)
    world.settled()
    assert other.stop() == 0


async def test_partition_counts_that_do_not_fit_and_missing_topics_are_refused_at_the_start(make):
    world = make(counts={"in": 4})
    with pytest.raises(UsageError, match=r"in has 4 partitions, its changelog .*changelog has 3: expected the same"):
        await _runner(world).run()
    with pytest.raises(UsageError, match="no topic nowhere-in, nowhere-changelog on the broker; create it: mqlstream topics apply"):
        await _runner(world, Counting(prefix="nowhere-")).check()


async def test_a_broker_that_is_not_there_is_one_clear_line():
    runner = StageRunner(Counting(), broker=KafkaBroker({"bootstrap_servers": "127.0.0.1:1"}), app_id="app")
    with pytest.raises(UnreachableError, match=r"cannot reach Kafka at 127.0.0.1:1 with PLAINTEXT"):
        await runner.run()


def _runner(world: World, stage: Counting | None = None) -> StageRunner:
    return StageRunner(stage or world.stage, broker=KafkaBroker({"bootstrap_servers": world.bootstrap}), app_id="app")
