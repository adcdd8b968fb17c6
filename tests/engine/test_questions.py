"""Questions to tasks, in simulated time: an answer shows what is committed, from the owner, or there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mqlstream.engine.manual_time import simulate
from mqlstream.engine.memory import MemoryBroker, MemoryCluster
from mqlstream.engine.questions import AT_ONCE, WAITING_MAX, Unavailable
from mqlstream.engine.status import Options
from tests.engine.counting import Counting, Table
from tests.engine.world import Worker, check, position, until

TOPICS = {"in": 1, "changelog": 1, "out": 2, "dead": 1}


class Telling(Table):
    """Answers with the number of records seen under a key."""

    def answer(self, question: Any) -> Any:
        if question == b"defect":
            raise ZeroDivisionError("of the processor")
        return self.rows[question][0] if question in self.rows else 0


class Asked(Counting):
    def processor(self, task: int) -> Table:
        return Telling(self.outputs, self.dead_letters)


def _cluster(**settings: Any) -> MemoryCluster:
    return MemoryCluster(TOPICS, **settings)


async def _applied(cluster: MemoryCluster, worker: Worker) -> None:
    """Until all records are read and committed."""
    await until(lambda: position(cluster, Asked(), 0).get("in") == cluster.logs["in", 0].end)
    await worker.settled()


def _fill(cluster: MemoryCluster, count: int) -> None:
    for _ in range(count):
        cluster.append("in", b"ann", b"x", timestamp=cluster.now_ms())


def test_an_idle_task_answers_and_commits_its_position_to_see_that_it_is_still_the_owner() -> None:
    async def main() -> None:
        cluster = _cluster()
        _fill(cluster, 3)
        worker = Worker(cluster, Asked())
        await worker.settled()
        cluster.steps.clear()
        assert await worker.runner.ask(0, b"ann") == 3
        assert [step for step in cluster.steps if step in ("begin", "commit")] == ["begin", "commit"]
        assert await worker.runner.ask(0, b"bob") == 0
        assert position(cluster, Asked(), 0) == {"in": 3}
        await worker.stop()
        check(cluster, Asked())

    simulate(main())


@pytest.mark.parametrize("step", ["changelog", "outputs", "offsets", "commit", "answer"])
def test_what_is_being_committed_shows_only_once_it_is(step: str) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        held: list[str] = []

        async def fault(name: str, broker: MemoryBroker) -> None:
            if name == step and cluster.logs["in", 0].end == 5 and not held:
                held.append(name)
                await gate.wait()

        cluster = _cluster(fault=fault)
        _fill(cluster, 2)
        worker = Worker(cluster, Asked())
        await worker.settled()
        _fill(cluster, 3)
        await until(lambda: bool(held))
        asking = asyncio.create_task(worker.runner.ask(0, b"ann"))
        await asyncio.sleep(1)
        assert not asking.done(), "the table has changed in memory, and nothing of it is committed"
        gate.set()
        assert await asking == 5
        await worker.stop()

    simulate(main())


def test_a_batch_that_fails_takes_the_questions_before_it_along() -> None:
    async def main() -> None:
        failed: list[str] = []

        async def fault(name: str, broker: MemoryBroker) -> None:
            if name == "commit" and cluster.logs["in", 0].end == 3 and not failed:
                failed.append(name)
                await asyncio.sleep(1)
                raise ConnectionError("cut off")

        cluster = _cluster(fault=fault)
        worker = Worker(cluster, Asked())
        await worker.settled()
        _fill(cluster, 3)
        await until(lambda: bool(failed))
        with pytest.raises(Unavailable) as caught:
            await worker.runner.ask(0, b"ann")
        assert str(caught.value) == "the task has stopped working"
        with pytest.raises(Unavailable) as caught:
            await worker.runner.ask(0, b"ann")
        assert str(caught.value) == "task 0 is waiting"
        await worker.settled()
        assert await worker.runner.ask(0, b"ann") == 3
        await worker.stop()

    simulate(main())


def test_a_zombie_tells_nothing_of_what_it_remembers() -> None:
    async def main() -> None:
        cluster = _cluster()
        zombie = Worker(cluster, Asked(), Options(fenced_backoff_ms=20_000))
        await zombie.settled()
        zombie.broker.freeze()
        successor = Worker(cluster, Asked())
        await asyncio.sleep(30)
        _fill(cluster, 3)
        await _applied(cluster, successor)
        zombie.broker.thaw()
        with pytest.raises(Unavailable):
            await zombie.runner.ask(0, b"ann")
        assert await successor.runner.ask(0, b"ann") == 3
        await zombie.stop()
        await successor.stop()

    simulate(main())


def test_a_question_waits_no_longer_than_is_bearable() -> None:
    async def main() -> None:
        async def fault(name: str, broker: MemoryBroker) -> None:
            if name == "commit" and worker.runner.status().tasks and asked:
                await asyncio.sleep(20)

        asked: list[bool] = []
        cluster = _cluster(fault=fault)
        worker = Worker(cluster, Asked())
        await worker.settled()
        asked.append(True)
        with pytest.raises(Unavailable) as caught:
            await worker.runner.ask(0, b"ann")
        assert str(caught.value) == "no answer within 5 s"
        await worker.stop()

    simulate(main())


def test_many_questions_are_answered_a_few_at_a_time_and_too_many_are_turned_away() -> None:
    async def main() -> None:
        cluster = _cluster()
        _fill(cluster, 1)
        worker = Worker(cluster, Asked())
        await worker.settled()
        cluster.steps.clear()
        answers = await asyncio.gather(*(worker.runner.ask(0, b"ann") for _ in range(WAITING_MAX + 1)), return_exceptions=True)
        assert answers[:-1] == [1] * WAITING_MAX
        assert str(answers[-1]) == f"{WAITING_MAX} questions are waiting already"
        assert cluster.steps.count("commit") == WAITING_MAX // AT_ONCE
        await worker.stop()

    simulate(main())


def _no_such_task(worker: Worker) -> tuple[int, bytes, str]:
    return 7, b"ann", "task 7 is not with this worker"


def _defect(worker: Worker) -> tuple[int, bytes, str]:
    return 0, b"defect", "of the processor"


@pytest.mark.parametrize("case", [_no_such_task, _defect])
def test_a_question_that_goes_wrong_is_the_askers_alone(case: Callable[[Worker], tuple[int, bytes, str]]) -> None:
    async def main() -> None:
        cluster = _cluster()
        worker = Worker(cluster, Asked())
        await worker.settled()
        task, question, told = case(worker)
        with pytest.raises((Unavailable, ZeroDivisionError)) as caught:
            await worker.runner.ask(task, question)
        assert str(caught.value) == told
        _fill(cluster, 3)
        await _applied(cluster, worker)
        assert await worker.runner.ask(0, b"ann") == 3
        await worker.stop()

    simulate(main())


def test_a_stage_that_answers_nothing_says_so() -> None:
    async def main() -> None:
        worker = Worker(_cluster(), Counting())
        await worker.settled()
        with pytest.raises(Unavailable) as caught:
            await worker.runner.ask(0, b"ann")
        assert str(caught.value) == "the stage answers no questions"
        await worker.stop()

    simulate(main())
