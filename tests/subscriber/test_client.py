"""The subscriber against a broker: once per id, in order, nothing skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from mqlstream.errors import CheckFailed, UnreachableError
from mqlstream.handoff.contract import HandoffEvent
from mqlstream.subscriber.client import CannotDeliver, Failure, Retry, SeenLately, Subscriber
from tests.subscriber.handoffs import write

QUICKLY = Retry(first_ms=5, longest_ms=20)


async def committed(bootstrap: str, topic: str) -> int | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=topic)
    await consumer.start()
    offset: int | None = await consumer.committed(TopicPartition(topic, 0))
    await consumer.stop()
    return offset


class Tool:
    """A sales tool: keeps what it got, fails as told."""

    def __init__(self, *fails: str) -> None:
        self.got: list[str] = []
        self.fails = list(fails)
        self.arrived = asyncio.Condition()

    async def handle(self, event: HandoffEvent) -> None:
        async with self.arrived:
            self.arrived.notify_all()
            if event.id in self.fails:
                self.fails.remove(event.id)
                raise OSError("the tool is down")
            self.got.append(event.id)

    async def until(self, count: int) -> None:
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: len(self.got) >= count), 30)


@asynccontextmanager
async def running(subscriber: Subscriber) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(subscriber.run())
    try:
        yield task
    finally:
        subscriber.stop()
        await asyncio.wait({task})
    await task


def connection(bootstrap: str) -> dict[str, Any]:
    # The embedded broker lets the next member wait for a session timeout after one has left.
    return {"bootstrap_servers": bootstrap, "session_timeout_ms": 2000, "heartbeat_interval_ms": 400}


def subscriber(bootstrap: str, topic: str, tool: Tool, **options: Any) -> Subscriber:
    return Subscriber(topic, tool.handle, kafka=connection(bootstrap), topic=topic, retry=options.pop("retry", QUICKLY), **options)


async def test_events_come_in_order_and_a_second_run_goes_on_where_the_first_stopped(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a", "b", "c")
    tool = Tool()
    async with running(subscriber(bootstrap, topic, tool)):
        await tool.until(3)
    assert await committed(bootstrap, topic) == 3
    await write(bootstrap, topic, "d")
    async with running(subscriber(bootstrap, topic, tool)):
        await tool.until(4)
    assert tool.got == ["a", "b", "c", "d"]


async def test_an_id_is_handled_once_however_often_it_comes(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a", "b", "a", "b", "c")
    tool = Tool()
    async with running(subscriber(bootstrap, topic, tool)):
        await tool.until(3)
    assert tool.got == ["a", "b", "c"]
    assert await committed(bootstrap, topic) == 5


async def test_what_the_tool_s_own_store_knows_is_passed_over(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a", "b")
    seen, tool = SeenLately(), Tool()
    await seen.add("a")
    async with running(subscriber(bootstrap, topic, tool, seen=seen)):
        await tool.until(1)
    assert tool.got == ["b"]
    assert await seen.contains("b")


async def test_a_failing_handler_is_tried_again_and_nothing_overtakes(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a", "b", "c")
    tool = Tool("b", "b", "b")
    async with running(subscriber(bootstrap, topic, tool)):
        await tool.until(3)
    assert tool.got == ["a", "b", "c"]
    assert tool.fails == []


async def test_an_unhandled_event_is_not_committed_and_comes_again(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a", "b")
    tool = Tool(*["b"] * 1000)
    first = subscriber(bootstrap, topic, tool, retry=Retry(first_ms=60_000))
    async with running(first):
        await tool.until(1)
        async with tool.arrived:
            await tool.arrived.wait_for(lambda: len(tool.fails) < 1000)
        # stopped in the middle of a pause of half a minute at least: it must not wait for its end
    assert await committed(bootstrap, topic) == 1
    healed = Tool()
    async with running(subscriber(bootstrap, topic, healed)):
        await healed.until(1)
    assert healed.got == ["b"]


async def test_given_up_only_when_told_so_and_then_handed_over(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a", "b")
    tool, lost = Tool("a", "a", "a"), list[Failure]()

    async def give_up(failure: Failure) -> None:
        lost.append(failure)

    async with running(subscriber(bootstrap, topic, tool, retry=Retry(first_ms=1, longest_ms=1, attempts=3), give_up=give_up)):
        await tool.until(1)
    assert tool.got == ["b"]
    assert [(failure.event and failure.event.id, failure.attempts, str(failure.error)) for failure in lost] == [
        ("a", 3, "the tool is down")
    ]


async def test_a_record_that_is_no_handoff_stops_the_subscriber_and_names_the_place(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    await producer.send_and_wait(topic, b"hello", partition=0)
    await producer.stop()
    tool = Tool()
    with pytest.raises(CheckFailed) as caught:
        await subscriber(bootstrap, topic, tool).run()
    assert str(caught.value) == (
        f"{topic} partition 0 offset 1 holds no handoff event: "
        "no CloudEvents headers (ce_id, ce_type, ...), and content-type does not name CloudEvents"
    )
    assert tool.got == ["a"]
    assert await committed(bootstrap, topic) == 1


async def test_a_handler_that_can_never_deliver_again_ends_it(bootstrap: str, topic: str) -> None:
    await write(bootstrap, topic, "a")

    async def handle(_: HandoffEvent) -> None:
        raise CannotDeliver("stdout is closed")

    with pytest.raises(CannotDeliver):
        await Subscriber(topic, handle, kafka=connection(bootstrap), topic=topic).run()
    assert await committed(bootstrap, topic) is None


async def test_an_unreachable_cluster_is_one_clear_error(topic: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        await subscriber("127.0.0.1:1", topic, Tool()).run()
    assert str(caught.value).startswith("cannot reach Kafka at 127.0.0.1:1: ")


async def test_the_ids_remembered_are_bounded() -> None:
    seen = SeenLately(limit=2)
    for event_id in ("a", "b", "c"):
        await seen.add(event_id)
    assert [await seen.contains(event_id) for event_id in ("a", "b", "c")] == [False, True, True]
