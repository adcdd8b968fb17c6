"""What a worker says about itself and its group, in simulated time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import pytest

from mqlstream.engine.interfaces import Assignment, Member
from mqlstream.engine.manual_time import simulate
from mqlstream.engine.memory import MemoryBroker, MemoryCluster, MemorySource
from mqlstream.engine.runner import StageRunner
from mqlstream.engine.status import Options, StageStatus, TaskState, TaskStatus, Unwatched
from mqlstream.errors import UsageError
from tests.engine.counting import TIMER_MS, Counting
from tests.engine.world import Worker, check

TOPICS = {"in": 4, "changelog": 4, "out": 2, "dead": 1}


def _fill(cluster: MemoryCluster, count: int) -> None:
    for number in range(count):
        cluster.append("in", b"lead-%d" % (number % 8), b"x", partition=number % 4, timestamp=cluster.now_ms())


@pytest.mark.parametrize(
    ("topics", "partitions", "text"),
    [
        ({**TOPICS, "changelog": 3}, None, "in has 4 partitions, its changelog changelog has 3: expected the same"),
        ({**TOPICS, "in": 5, "changelog": 5}, {"in": 4}, "topic in has 5 partitions, expected 4: either the setting or the topic is wrong"),
        ({"out": 1}, None, "stage count: no topic in, changelog on the broker; create it: mqlstream topics apply"),
    ],
)
def test_topics_that_do_not_fit_are_refused_at_the_start(topics, partitions, text):
    async def main() -> None:
        runner = StageRunner(Counting(), broker=MemoryCluster(topics).connect(), app_id="app", options=Options(partitions=partitions))
        await runner.run()

    with pytest.raises(UsageError, match=text):
        simulate(main())


def test_a_topic_that_appears_a_moment_later_is_waited_for():
    async def main() -> None:
        cluster = MemoryCluster(TOPICS)
        count = cluster.topics.pop("out")
        asyncio.get_running_loop().call_later(1, cluster.topics.__setitem__, "out", count)
        await StageRunner(Counting(), broker=cluster.connect(), app_id="app").check()
        count = cluster.topics.pop("in")
        asyncio.get_running_loop().call_later(1, cluster.topics.__setitem__, "in", count)
        await StageRunner(Counting(), broker=cluster.connect(), app_id="app").check()

    simulate(main())


def test_an_input_that_grows_while_it_runs_stops_a_stage_that_keeps_a_table():
    async def main() -> None:
        cluster = MemoryCluster(TOPICS)
        first = Worker(cluster, Counting())
        await asyncio.sleep(5)
        cluster.topics["in"] = 5
        another = cluster.connect().source(Member("app-count", ["in"], "one", ""))
        await another.start()  # makes the group decide again
        await first.job

    with pytest.raises(UsageError, match="in has 5 partitions, its changelog changelog has 4"):
        simulate(main())


def test_workers_share_the_tasks_and_say_who_has_which():
    async def main() -> None:
        cluster = MemoryCluster(TOPICS)
        workers = [Worker(cluster, Counting(), Options(url=f"http://{name}")) for name in "ab"]
        await asyncio.sleep(30)
        for worker in workers:
            status = worker.runner.status()
            assert len(status.tasks) == 2 and not status.not_ready
            mine = {task for task, url in status.owners.items() if url == worker.runner._options.url}
            assert mine == {task.task for task in status.tasks}
        for worker in workers:
            await worker.stop()

    simulate(main())


def test_a_worker_with_other_definitions_gets_nothing_says_so_and_takes_over_when_the_others_are_gone(caplog):
    async def main() -> None:
        cluster = MemoryCluster(TOPICS)
        old = Worker(cluster, Counting(digest="one"))
        await asyncio.sleep(10)
        new = Worker(cluster, Counting(digest="two"))
        await asyncio.sleep(10)
        refusal = "definitions or settings of this stage differ: this worker runs two, the group runs one"
        assert new.runner.status().refused == refusal and not new.runner.status().tasks
        assert new.runner.status().not_ready == (f"count: refused: {refusal}",)
        assert len(old.runner.status().tasks) == 4
        await old.stop()
        await asyncio.sleep(10)
        assert len(new.runner.status().tasks) == 4 and not new.runner.status().not_ready
        await new.stop()

    with caplog.at_level(logging.ERROR):
        simulate(main())
    assert "stage count gets no tasks: definitions or settings of this stage differ" in caplog.text


def test_losing_the_membership_costs_no_task_its_memory():
    """As when the coordinator dies: the worker joins anew, its tasks go on from where they are."""

    class Flaky(MemorySource):
        async def changed(self, timeout: float) -> Assignment | None:
            assignment = await super().changed(timeout)
            if assignment is None and lost and self.attached():
                lost.pop()
                raise ConnectionError("the group's coordinator is gone")
            return assignment

        def attached(self) -> bool:
            return len(self._inboxes) == 4

    class FlakyBroker(MemoryBroker):
        def source(self, member: Member) -> MemorySource:
            return Flaky(self, member)

    lost = [1, 2, 3]

    async def main() -> None:
        cluster = MemoryCluster(TOPICS)
        runner = StageRunner(Counting(), broker=FlakyBroker(cluster), app_id="app")
        job = asyncio.create_task(runner.run())
        for _ in range(20):
            _fill(cluster, 20)
            await asyncio.sleep(1)
        assert not lost
        await asyncio.sleep(2 * TIMER_MS / 1000)
        assert cluster.steps.count("join") == 4 and cluster.steps.count("fence") == 4
        check(cluster, Counting())
        await runner.stop()
        await job

    simulate(main())


def test_the_monitor_hears_of_states_batches_lag_and_failures():
    heard: list[tuple] = []

    class Listening(Unwatched):
        def task_state(self, stage: str, task: int, state: TaskState | None) -> None:
            heard.append((task, str(state)))

        def batch(self, stage: str, task: int, records: Mapping[str, int], process_s: float, total_s: float) -> None:
            assert 0 <= process_s <= total_s
            heard.append(("batch", dict(records)))

        def failure(self, stage: str, task: int) -> None:
            heard.append(("failure", task))

        def lag(self, stage: str, topic: str, partition: int, records: int | None) -> None:
            heard.append((topic, partition, records))

    async def main() -> None:
        failing = [1]

        async def fault(name: str, broker: MemoryBroker) -> None:
            if name == "offsets" and failing:
                failing.pop()
                raise ConnectionError("cut off")

        cluster = MemoryCluster({**TOPICS, "in": 1, "changelog": 1}, fault=fault)
        for _ in range(5):
            cluster.append("in", b"visitor-1", b"x")
        runner = StageRunner(Counting(), broker=cluster.connect(), app_id="app", monitor=Listening())
        job = asyncio.create_task(runner.run())
        await asyncio.sleep(20)
        await runner.stop()
        await job

    simulate(main())
    states = [state for task, state in (each for each in heard if each[0] == 0)]
    once = ["fencing", "restoring", "running"]
    assert states == ["assigned", *once, "waiting", *once, "None"]
    assert heard.count(("batch", {"in": 5})) == heard.count(("failure", 0)) == 1
    assert ("in", 0, 0) in heard and heard[-1] == ("in", 0, None)


def test_what_is_not_ready_is_said_in_one_line_each():
    def status(**changes) -> StageStatus:
        whole = {"stage": "score", "joined": True, "connected": True, "refused": "", "tasks": (), "owners": {}}
        return StageStatus(**{**whole, **changes})

    restoring = TaskStatus(0, TaskState.RESTORING, 12, "", {})
    stuck = TaskStatus(3, TaskState.STUCK, 0, "changelog[3] refuses a record", {})
    assert status(joined=False).not_ready == ("score: not in its group yet",)
    assert status(connected=False).not_ready == ("score: cut off from the broker",)
    assert status(tasks=(restoring, TaskStatus(1, TaskState.RUNNING, 0, "", {}), stuck)).not_ready == (
        "score task 0 is restoring, 12 records to go",
        "score task 3 is stuck: changelog[3] refuses a record",
    )
