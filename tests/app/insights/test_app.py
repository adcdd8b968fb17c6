"""The Faust App of insights on the embedded broker, in this process: what is committed when, and what it passes over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from mqlstream.app.insights import exact
from mqlstream.app.insights.agents import InsightsApp
from mqlstream.app.insights.progress import Progress, Skipped
from mqlstream.app.insights.report import Window, report
from mqlstream.app.insights.role import InsightsRole
from mqlstream.config import load
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.handoff.cloudevents import encode
from mqlstream.topics import Topics
from tests.app.insights.lives import Json, events, expected, lives

TOPICS = Topics()
GROUP = "test-insights"
PATIENCE_S = 60


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker]:
    # The embedded broker keeps a group that was left waiting for as long as its last member might have been silent.
    monkeypatch.setattr(exact, "SESSION_MS", 1_000)
    with EmbeddedBroker(TOPICS.all) as running:
        yield running


@asynccontextmanager
async def running(bootstrap: str) -> AsyncIterator[InsightsApp]:
    app = InsightsApp("test", {"bootstrap_servers": bootstrap}, TOPICS, "http://127.0.0.1:1")
    starting = asyncio.create_task(app.start())
    try:
        await eventually(lambda: app.owned == frozenset(range(PARTITIONS)))
        yield app
    finally:
        await app.stop()
        await starting


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 looked at from outside, there is no event
            await asyncio.sleep(0.05)


async def write(bootstrap: str, told: Sequence[Json]) -> None:
    await put(bootstrap, [encode(event, "/test") for event in told])


async def put(bootstrap: str, records: Sequence[tuple[Any, Any, Any]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for key, value, headers in records:
            await producer.send(TOPICS.handoff, value, key=key, headers=list(headers))


async def committed(bootstrap: str) -> int:
    """How many offsets the group has committed, over all partitions."""
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=GROUP) as consumer:
        offsets = [await consumer.committed(TopicPartition(TOPICS.handoff, partition)) for partition in range(PARTITIONS)]
    return sum(offset or 0 for offset in offsets)


def answer(app: InsightsApp) -> Json:
    return report(app.book.days, Window())


async def test_what_one_app_counted_the_next_one_restores_and_repetition_changes_nothing(broker: EmbeddedBroker) -> None:
    told = lives(1, 60)
    right = expected(told)
    story = [event for life in told for event in events(life)]
    await write(broker.bootstrap, story)
    async with running(broker.bootstrap) as app:
        await eventually(lambda: answer(app) == right)
    assert await committed(broker.bootstrap) == len(story)
    async with running(broker.bootstrap) as app:
        assert answer(app) == right
        await write(broker.bootstrap, story)
        await eventually(lambda: sum(app.exact_consumer.progress.done.values()) == 2 * len(story))
        assert answer(app) == right


async def test_no_offset_is_committed_before_the_changelog_has_what_it_stands_for(broker: EmbeddedBroker) -> None:
    story = [event for life in lives(2, 5) for event in events(life)]
    async with running(broker.bootstrap) as app:
        way = asyncio.Event()
        send = app.producer.send

        async def held(*arguments: Any, **more: Any) -> Any:
            await way.wait()
            return await send(*arguments, **more)

        app.producer.send = held  # type: ignore[method-assign]
        await write(broker.bootstrap, story)
        await eventually(lambda: len(app.book) == len(story))
        committing = asyncio.create_task(app.exact_consumer.force_commit())
        await asyncio.sleep(0.5)
        assert not committing.done()
        assert await committed(broker.bootstrap) == 0
        way.set()
        assert await committing
        assert await committed(broker.bootstrap) == len(story)


async def test_a_refused_changelog_record_ends_the_app_and_nothing_is_committed(broker: EmbeddedBroker) -> None:
    story = [event for life in lives(3, 5) for event in events(life)]
    async with running(broker.bootstrap) as app:
        send = app.producer.send

        async def refused(*arguments: Any, **more: Any) -> Any:
            sent: asyncio.Future[None] = asyncio.Future()
            sent.set_exception(ValueError("too large"))
            return sent

        app.producer.send = refused  # type: ignore[method-assign]
        await write(broker.bootstrap, story)
        async with asyncio.timeout(PATIENCE_S):
            await app.has_crashed()
        assert str(app.crash_reason) == "too large"
        app.producer.send = send  # type: ignore[method-assign]
    assert await committed(broker.bootstrap) == 0


async def test_what_is_no_handoff_is_passed_over_and_its_neighbours_are_counted(broker: EmbeddedBroker) -> None:
    told = lives(4, 10)
    right = expected(told)
    story = [encode(event, "/test") for life in told for event in events(life)]
    _, value, headers = story[0]
    broken = [
        (None, b"", ()),
        (b"key", b"not json", headers),
        (b"key", None, headers),
        (None, b"{}", headers),
        (b"\xff", b"[1]", headers),
        (b"key", value, ()),
        (b"key", b'{"definition": 5, "cycle": "many"}', headers),
        (b"key", value, (("ce_id", b"\xff"),)),
    ]
    await put(broker.bootstrap, [*broken, *story, *broken])
    async with running(broker.bootstrap) as app:
        await eventually(lambda: answer(app) == right)
        await eventually(lambda: sum(app.exact_consumer.progress.done.values()) == len(story) + 2 * len(broken))
        assert not app.crashed


async def test_an_erased_lead_is_gone_after_a_restart_too(broker: EmbeddedBroker) -> None:
    told = lives(6, 6)
    gone = told[0].lead
    story = [event for life in told for event in events(life)]
    erased = {"type": "mqlstream.lead.erased.v1", "id": "erased", "lead_id": gone, "time": 2**42, "data": {}}
    right = expected([life for life in told if life.lead != gone])
    await write(broker.bootstrap, [*story, erased])
    for _ in range(2):
        async with running(broker.bootstrap) as app:
            await eventually(lambda: answer(app) == right)


async def test_thousands_of_handoffs_that_wait_are_all_counted(broker: EmbeddedBroker) -> None:
    told = lives(8, 2_000)
    right = expected(told)
    story = [event for life in told for event in events(life)]
    await write(broker.bootstrap, story)
    async with running(broker.bootstrap) as app:
        await eventually(lambda: answer(app) == right)


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.1, 0.4, 1.0])
def test_a_role_that_is_stopped_while_it_starts_leaves_no_thread_and_no_traceback(
    broker: EmbeddedBroker, capfd: pytest.CaptureFixture[str], after_s: float
) -> None:
    async def live() -> None:
        environ = {"MQLSTREAM_BOOTSTRAP_SERVERS": broker.bootstrap, "MQLSTREAM_PARTITIONS": str(PARTITIONS)}
        role = InsightsRole(load(None, environ), "http://127.0.0.1:1")
        running = asyncio.create_task(role.run())
        await asyncio.sleep(after_s)
        await role.stop()
        await running

    before = set(threading.enumerate())
    asyncio.run(live())
    assert [thread for thread in set(threading.enumerate()) - before if thread.is_alive()] == []
    assert "Traceback" not in capfd.readouterr().err


async def test_a_start_that_is_cancelled_leaves_no_thread(broker: EmbeddedBroker) -> None:
    before = set(threading.enumerate())
    app = InsightsApp("test", {"bootstrap_servers": broker.bootstrap}, TOPICS, "http://127.0.0.1:1")
    starting = asyncio.create_task(app.start())
    await eventually(lambda: bool(set(threading.enumerate()) - before))
    starting.cancel()
    await asyncio.wait({starting})
    async with asyncio.timeout(PATIENCE_S):
        await app.gone()
    assert not [thread for thread in set(threading.enumerate()) - before if "Thread" in thread.name and thread.is_alive()]
    await app.stop()


def test_a_record_that_does_not_come_in_its_turn_is_noticed() -> None:
    where: Any = TopicPartition("handoffs", 0)
    progress = Progress()
    for offset in (3, 4, 9):
        progress.read(where, offset)
    progress.handled(where, 3)
    assert progress.uncommitted() == {where: 4}
    with pytest.raises(Skipped, match="offset 9 came to the agent, expected 4"):
        progress.handled(where, 9)
    assert progress.uncommitted() == {where: 4}
