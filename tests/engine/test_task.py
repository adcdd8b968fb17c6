"""One worker, one fault at a time, in simulated time."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from mqlstream.engine.interfaces import Commit, Effects, Output, Record, Unable
from mqlstream.engine.manual_time import simulate
from mqlstream.engine.memory import MemoryBroker, MemoryCluster
from mqlstream.engine.status import Options, TaskState
from tests.engine.counting import TIMER_MS, Counting, Table
from tests.engine.world import POSITION, Worker, check, position, until

TOPICS = {"in": 1, "changelog": 1, "out": 2, "dead": 1}
STEPS = ["fence", "restore", "bounds", "begin", "changelog", "outputs", "offsets", "commit", "answer"]


def _cluster(**settings) -> MemoryCluster:
    return MemoryCluster(TOPICS, **settings)


def _fill(cluster: MemoryCluster, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        cluster.append("in", b"lead-%d" % (number % 7), b"x", timestamp=cluster.now_ms())


def test_a_transaction_holds_table_outputs_position_and_offsets_in_this_order():
    async def main() -> list[str]:
        cluster = _cluster()
        _fill(cluster, 21)
        worker = Worker(cluster, Counting())
        await worker.settled()
        await worker.stop()
        assert cluster.offsets["app-count"] == {("in", 0): 21}
        assert position(cluster, Counting(), 0) == {"in": 21}
        last = cluster.logs["changelog", 0].committed()[-1]
        assert last.key == POSITION + b"count/0", "the position comes last, after what it stands for"
        return cluster.steps

    steps = simulate(main())
    assert steps == ["partitions", "join", "fence", "restore", "bounds", "begin", "changelog", "outputs", "offsets", "commit", "answer"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("how", ["error", "kill"])
def test_a_crash_or_an_error_at_any_step_leaves_nothing_half_done(step, nth, how):
    async def main() -> None:
        seen = 0
        workers: list[Worker] = []

        async def fault(name: str, broker: MemoryBroker) -> None:
            nonlocal seen
            if name != step:
                return
            seen += 1
            if seen == nth:
                if how == "error":
                    raise ConnectionError("cut off")
                workers[0].kill()

        cluster = _cluster(fault=fault)
        stage = Counting()
        _fill(cluster, 60)
        options = Options(batch_records=20)
        workers.append(Worker(cluster, stage, options))
        await asyncio.sleep(5)
        workers.append(Worker(cluster, stage, options))
        _fill(cluster, 30, start=60)
        await asyncio.sleep(2 * TIMER_MS / 1000)
        alive = [worker for worker in workers if not worker.broker.dead]
        for worker in alive:
            await worker.settled()
        check(cluster, stage)
        for worker in alive:
            await worker.stop()

    simulate(main())


def test_a_commit_whose_answer_is_lost_counts_once():
    async def main() -> None:
        lost: list[str] = []

        async def fault(name: str, broker: MemoryBroker) -> None:
            if name == "answer" and not lost:
                lost.append(name)
                await asyncio.get_running_loop().create_future()

        cluster = _cluster(fault=fault)
        stage = Counting()
        _fill(cluster, 9)
        worker = Worker(cluster, stage, Options(answer_timeout_ms=5_000))
        await worker.settled()
        await asyncio.sleep(2 * TIMER_MS / 1000)
        assert lost
        check(cluster, stage)
        await worker.stop()

    simulate(main())


def test_a_zombie_is_fenced_and_gives_up():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        zombie = Worker(cluster, stage, Options(batch_records=5, commit_interval_ms=1))
        await zombie.settled()
        _fill(cluster, 40)
        await until(lambda: "begin" in cluster.steps)
        zombie.broker.freeze()
        successor = Worker(cluster, stage)
        await asyncio.sleep(30)
        await successor.settled()
        _fill(cluster, 40, start=40)
        zombie.broker.thaw()
        await asyncio.sleep(30)
        owners = [worker for worker in (zombie, successor) if worker.runner.status().tasks]
        assert len(owners) == 1
        await owners[0].settled()
        await asyncio.sleep(2 * TIMER_MS / 1000)
        check(cluster, stage)
        for worker in (zombie, successor):
            await worker.stop()

    simulate(main())


@pytest.mark.parametrize("ending", ["commit", "abort", "empty", "compacted", "open"])
def test_restoring_ends_and_is_exact_whatever_the_changelog_ends_in(ending):
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        changelog = cluster.logs["changelog", 0]
        if ending != "empty":
            _fill(cluster, 30)
            first = Worker(cluster, stage, Options(batch_records=10))
            await first.settled()
            await first.stop()
        if ending == "abort":
            cluster.append_aborted("changelog", b"lead-1", b"[99, 0, 0]")
        if ending == "compacted":
            changelog.compact()
            changelog.delete_before(changelog.entries[0].offset)
        if ending == "open":
            # A worker that died between changelog and commit, and nobody aborted it yet.
            dead = await cluster.connect().writer("app-count-0", "app-count")
            doomed = asyncio.create_task(dead.commit(Commit(("changelog", 0), [(b"lead-1", b"[99, 0, 0]")], [], {})))
            await until(lambda: changelog.stable() < changelog.end)
            doomed.cancel()
        _fill(cluster, 30, start=30)
        second = Worker(cluster, stage)
        await second.settled()
        await asyncio.sleep(2 * TIMER_MS / 1000)
        check(cluster, stage)
        await second.stop()

    simulate(main())


def test_restoring_waits_for_another_task_that_has_a_transaction_open_in_the_same_changelog_partition():
    async def main() -> None:
        cluster = _cluster()
        neighbour = await cluster.connect().writer("neighbour", "other")
        held = asyncio.Event()

        async def fault(name: str, broker: MemoryBroker) -> None:
            if name == "commit" and broker is neighbour._broker:
                await held.wait()

        cluster.fault = fault
        job = asyncio.create_task(neighbour.commit(Commit(("changelog", 0), [(b"\x00position/count/9", b"{}")], [], {})))
        await asyncio.sleep(1)
        worker = Worker(cluster, Counting())
        await asyncio.sleep(5)
        (task,) = worker.runner.status().tasks
        assert task.state is TaskState.RESTORING and task.remaining == 1
        held.set()
        await job
        await worker.settled()
        await worker.stop()

    simulate(main())


def test_a_slow_restore_is_no_reason_to_lose_the_task_and_is_not_ready_meanwhile():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        _fill(cluster, 600)
        first = Worker(cluster, stage)
        await first.settled()
        await first.stop()

        async def slow(name: str, broker: MemoryBroker) -> None:
            if name == "restore":
                await asyncio.sleep(20)

        for number in range(300):
            cluster.append("changelog", b"other-%d" % number, None)
        cluster.fault = slow
        second = Worker(cluster, stage)
        await asyncio.sleep(60)
        assert "restoring" in second.runner.status().not_ready[0]
        await second.settled(600)
        assert cluster.steps.count("fence") == 2
        await second.stop()

    simulate(main())


def test_lost_or_reset_group_offsets_change_nothing():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        _fill(cluster, 30)
        first = Worker(cluster, stage)
        await first.settled()
        await first.stop()
        cluster.offsets["app-count"] = {("in", 0): 3}
        _fill(cluster, 5, start=30)
        second = Worker(cluster, stage)
        await second.settled()
        await asyncio.sleep(2 * TIMER_MS / 1000)
        check(cluster, stage)
        await second.stop()

    simulate(main())


def test_positions_advance_over_aborted_records_though_nothing_is_delivered():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        worker = Worker(cluster, stage)
        await worker.settled()
        for _ in range(4):
            cluster.append_aborted("in", b"lead-1", b"never seen")
        await asyncio.sleep(10)
        assert position(cluster, stage, 0) == {"in": 8}
        _fill(cluster, 5)
        await asyncio.sleep(2 * TIMER_MS / 1000)
        check(cluster, stage)
        await worker.stop()

    simulate(main())


def test_poison_goes_to_the_dead_letters_once_and_its_neighbours_are_processed():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        for number in range(30):
            cluster.append("in", None if number % 10 == 0 else b"lead-%d" % (number % 3), b"poison" if number % 7 == 0 else b"x")
        worker = Worker(cluster, stage, Options(batch_records=4))
        await asyncio.sleep(0.01)
        worker.kill()
        second = Worker(cluster, stage)
        await asyncio.sleep(2 * TIMER_MS / 1000)
        await second.settled()
        check(cluster, stage)
        await second.stop()

    simulate(main())


class _Failing(Table):
    def process(self, records, wall_ms) -> Effects:
        if any(record.value == b"bug" for record in records):
            raise ValueError("somebody@example.org")
        return super().process(records, wall_ms)


class _FailingStage(Counting):
    def processor(self, task: int) -> Table:
        return _Failing(self.outputs, self.dead_letters)


def test_a_processor_that_keeps_failing_is_stuck_loudly_commits_nothing_and_its_data_stays_out_of_the_log(caplog):
    async def main() -> None:
        cluster = _cluster()
        stage = _FailingStage()
        _fill(cluster, 3)
        cluster.append("in", b"lead-1", b"bug")
        worker = Worker(cluster, stage)
        await asyncio.sleep(120)
        (task,) = worker.runner.status().tasks
        assert task.state is TaskState.STUCK and "ValueError at " in task.reason
        assert "processing 4 records, the first in[0] offset 0" in task.reason
        assert "commit" not in cluster.steps
        await worker.stop()

    with caplog.at_level(logging.WARNING):
        simulate(main())
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert 2 <= len(errors) <= 3, "once a minute"
    assert "somebody" not in caplog.text


class _Old(Table):
    def process(self, records, wall_ms):
        if any(record.value == b"new" for record in records):
            raise Unable("in[0] offset 3 is written in a newer language")
        return super().process(records, wall_ms)


class _OldStage(Counting):
    def processor(self, task: int) -> Table:
        return _Old(self.outputs, self.dead_letters)


def test_a_worker_that_is_too_old_for_what_comes_next_is_not_ready_says_why_and_a_newer_one_goes_on(caplog):
    async def main() -> None:
        cluster = _cluster()
        _fill(cluster, 3)
        cluster.append("in", b"lead-1", b"new", timestamp=cluster.now_ms())
        old = Worker(cluster, _OldStage())
        await asyncio.sleep(2)
        assert old.runner.status().not_ready == ("count task 0 is stuck: in[0] offset 3 is written in a newer language",)
        assert "commit" not in cluster.steps
        await old.stop()
        stage = Counting()
        new = Worker(cluster, stage)
        await asyncio.sleep(2 * TIMER_MS / 1000)
        await new.settled()
        check(cluster, stage)
        await new.stop()

    with caplog.at_level(logging.ERROR):
        simulate(main())
    assert "count[0] is stuck at the same place: in[0] offset 3 is written in a newer language" in caplog.text


def test_a_record_the_broker_refuses_is_not_committed_and_the_task_is_stuck_until_it_is_taken(caplog):
    async def main() -> None:
        cluster = _cluster()
        cluster.max_bytes["changelog"] = 200
        stage = Counting()
        cluster.append("in", b"k" * 300, b"x", timestamp=cluster.now_ms())
        _fill(cluster, 3)
        worker = Worker(cluster, stage)
        await asyncio.sleep(30)
        (task,) = worker.runner.status().tasks
        assert task.state is TaskState.STUCK and "changelog[0] refuses a record of" in task.reason
        assert not cluster.committed("changelog") and not cluster.offsets["app-count"]
        del cluster.max_bytes["changelog"]
        await asyncio.sleep(2 * TIMER_MS / 1000)
        await worker.settled()
        check(cluster, stage)
        await worker.stop()

    with caplog.at_level(logging.ERROR):
        simulate(main())
    assert "count[0] is stuck at the same place: changelog[0] refuses" in caplog.text


def test_a_topic_that_was_deleted_and_created_again_is_noticed_not_skipped():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        _fill(cluster, 30)
        first = Worker(cluster, stage)
        await first.settled()
        await first.stop()
        cluster.logs["in", 0] = type(cluster.logs["in", 0])()
        _fill(cluster, 3)
        second = Worker(cluster, stage)
        await asyncio.sleep(10)
        (task,) = second.runner.status().tasks
        assert task.state is TaskState.STUCK and "in[0] ends at offset 3, but the position in changelog is 30" in task.reason
        await second.stop()

    simulate(main())


def test_records_deleted_unread_are_an_error_in_the_log_and_the_task_goes_on(caplog):
    async def main() -> None:
        cluster = _cluster()
        _fill(cluster, 10)
        first = Worker(cluster, Counting())
        await first.settled()
        await first.stop()
        _fill(cluster, 30)
        cluster.logs["in", 0].delete_before(25)
        second = Worker(cluster, Counting())
        await second.settled()
        assert position(cluster, Counting(), 0) == {"in": 40}
        await second.stop()

    with caplog.at_level(logging.ERROR):
        simulate(main())
    assert "in[0] begins at offset 25, 15 offsets deleted unread" in caplog.text


def test_a_quiet_task_commits_at_once_and_a_busy_one_once_an_interval():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        commits: list[float] = []

        async def note(name: str, broker: MemoryBroker) -> None:
            if name == "begin":
                commits.append(loop.time())

        cluster = _cluster(fault=note)
        worker = Worker(cluster, Counting(), Options(commit_interval_ms=100))
        await worker.settled()
        await asyncio.sleep(10)
        began = loop.time()
        _fill(cluster, 1)
        await asyncio.sleep(0.02)
        assert len(commits) == 1 and commits[0] - began < 0.02
        for _ in range(100):
            await asyncio.sleep(0.01)
            _fill(cluster, 1)
        assert 10 <= len(commits) <= 12, "a second of a hundred records, in transactions of a tenth of a second"
        await worker.stop()

    simulate(main())


def test_the_groups_offsets_follow_once_a_second_and_to_the_end_when_it_grows_quiet_or_the_task_ends():
    async def main() -> None:
        cluster = _cluster()
        told: list[float] = []

        async def note(name: str, broker: MemoryBroker) -> None:
            if name == "begin":
                before.update(cluster.offsets["app-count"])
            elif name == "answer" and before != cluster.offsets["app-count"]:
                told.append(asyncio.get_running_loop().time())

        before: dict[tuple[str, int], int] = {}
        cluster.fault = note
        worker = Worker(cluster, Counting(), Options(commit_interval_ms=100))
        await worker.settled()
        for _ in range(350):
            await asyncio.sleep(0.01)
            _fill(cluster, 1)
        assert [round(later - earlier) for earlier, later in pairwise(told)] == [1, 1, 1]
        await asyncio.sleep(2)
        assert cluster.offsets["app-count"] == {("in", 0): 350}, "nothing came after these"
        _fill(cluster, 1)
        await asyncio.sleep(0.3)
        _fill(cluster, 1)
        await asyncio.sleep(0.3)
        assert position(cluster, Counting(), 0)["in"] == 352 and cluster.offsets["app-count"] == {("in", 0): 351}
        await worker.stop()
        assert cluster.offsets["app-count"] == {("in", 0): 352}

    simulate(main())


async def _told_of_one_of_two() -> tuple[MemoryCluster, Worker]:
    """A worker that has committed two records, of which the group's offsets have heard of one."""
    cluster = _cluster()
    worker = Worker(cluster, Counting())
    await worker.settled()
    for number in range(2):
        _fill(cluster, 1, start=number)
        await asyncio.sleep(0.2)
    assert position(cluster, Counting(), 0) == {"in": 2} and cluster.offsets["app-count"] == {("in", 0): 1}
    return cluster, worker


def test_a_broker_that_is_away_at_the_end_costs_two_seconds_and_no_failure(caplog):
    async def main() -> None:
        cluster, worker = await _told_of_one_of_two()

        async def hang(name: str, broker: MemoryBroker) -> None:
            if name == "begin":
                await asyncio.sleep(3600)

        cluster.fault = hang
        began = asyncio.get_running_loop().time()
        await worker.stop()
        assert asyncio.get_running_loop().time() - began < 2.5
        assert cluster.offsets["app-count"] == {("in", 0): 1}

    simulate(main())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_killed_tasks_successor_tells_the_group_where_it_is_though_nothing_comes():
    async def main() -> None:
        cluster, first = await _told_of_one_of_two()
        first.kill()
        second = Worker(cluster, Counting())
        await asyncio.sleep(60)
        assert cluster.offsets["app-count"] == {("in", 0): 2}
        await second.stop()

    simulate(main())


def test_a_full_batch_does_not_wait_for_the_interval():
    async def main() -> None:
        cluster = _cluster()
        _fill(cluster, 1000)
        worker = Worker(cluster, Counting(), Options(commit_interval_ms=60_000, batch_records=100))
        await asyncio.sleep(20)
        assert position(cluster, Counting(), 0)["in"] > 900, "what is left is less than a batch"
        await worker.stop()

    simulate(main())


def test_timers_speak_only_once_the_task_has_caught_up():
    class Late(Table):
        def process(self, records, wall_ms) -> Effects:
            calls.append((len(records), wall_ms is not None))
            return super().process(records, wall_ms)

    class LateStage(Counting):
        def processor(self, task: int) -> Table:
            return Late(self.outputs, self.dead_letters)

    calls: list[tuple[int, bool]] = []

    async def main() -> None:
        cluster = _cluster()
        _fill(cluster, 95)
        worker = Worker(cluster, LateStage(), Options(batch_records=10))
        await worker.settled()
        assert calls[-1][1] and not any(caught_up for _, caught_up in calls[:-1])
        await asyncio.sleep(2 * TIMER_MS / 1000)
        assert calls[-1] == (0, True)
        check(cluster, Counting())
        await worker.stop()

    simulate(main())


def test_stopping_is_bounded_when_a_commit_never_ends_and_loses_nothing():
    async def main() -> None:
        async def hang(name: str, broker: MemoryBroker) -> None:
            if name == "commit":
                await asyncio.get_running_loop().create_future()

        cluster = _cluster(fault=hang)
        stage = Counting()
        _fill(cluster, 10)
        worker = Worker(cluster, stage, Options(drain_timeout_ms=3_000))
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await worker.stop()
        assert asyncio.get_running_loop().time() - began <= 3.5

        async def fine(name: str, broker: MemoryBroker) -> None:
            return None

        cluster.fault = fine
        second = Worker(cluster, stage)
        await second.settled()
        await asyncio.sleep(2 * TIMER_MS / 1000)
        check(cluster, stage)
        await second.stop()

    simulate(main())


def test_stopping_finishes_the_running_batch():
    async def main() -> None:
        reached = asyncio.Event()

        async def slow(name: str, broker: MemoryBroker) -> None:
            if name == "commit":
                reached.set()
                await asyncio.sleep(2)

        cluster = _cluster(fault=slow)
        _fill(cluster, 10)
        worker = Worker(cluster, Counting())
        await reached.wait()
        await worker.stop()
        assert position(cluster, Counting(), 0) == {"in": 10}

    simulate(main())


def test_a_deleted_key_stays_deleted_when_its_partition_moves_away_and_back():
    async def main() -> None:
        cluster = _cluster()
        stage = Counting()
        _fill(cluster, 14)
        for value in (b"x", b"x", b"delete"):
            cluster.append("in", b"visitor-1", value)
        first = Worker(cluster, stage)
        await first.settled()
        await first.stop()
        second = Worker(cluster, stage)
        await second.settled()
        await second.stop()
        cluster.logs["changelog", 0].compact()
        third = Worker(cluster, stage)
        cluster.append("in", b"visitor-1", b"x")
        await third.settled()
        await asyncio.sleep(2 * TIMER_MS / 1000)
        check(cluster, stage)
        await third.stop()

    simulate(main())


def test_outputs_without_a_partition_go_where_other_clients_of_kafka_would_put_them():
    class Echo(Table):
        def process(self, records: list[Record], wall_ms: int | None) -> Effects:  # type: ignore[override]
            return Effects(outputs=[Output("out", record.key, b"x") for record in records])

    class EchoStage(Counting):
        def processor(self, task: int) -> Table:
            return Echo(self.outputs, self.dead_letters)

    async def main() -> dict[bytes | None, int]:
        cluster = _cluster()
        for key in (b"21", b"foobar", b"abc", b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"):
            cluster.append("in", key, b"x")
        worker = Worker(cluster, EchoStage())
        await worker.settled()
        await worker.stop()
        return {record.key: record.partition for record in cluster.committed("out")}

    # The hashes that Kafka's own tests name: -973932308, -790332482, 479470107, -58897971; positive, modulo two.
    expected = {b"21": 0, b"foobar": 0, b"abc": 1, b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": 1}
    assert simulate(main()) == expected
