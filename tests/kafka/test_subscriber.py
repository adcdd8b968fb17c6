"""The subscriber's group on a real broker: members share, rebalances lose and reorder nothing, aborted events stay unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from mqlstream.handoff.contract import HandoffEvent
from mqlstream.subscriber.client import Retry, Seen, SeenLately, Subscriber
from tests.subscriber.handoffs import write

pytestmark = pytest.mark.kafka
PARTITIONS = 4
PATIENCE_S = 120


@pytest.fixture
async def topic(kafka: str) -> str:
    """A topic of the test's own; its group is named as it is."""
    name = f"subscriber-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    await admin.close()
    return name


class Tool:
    """A sales tool of several members: keeps (member, id) of what each handled; ids in ``down`` fail."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.down: set[str] = set()
        self.failures: list[tuple[str, str]] = []
        self._news = asyncio.Condition()

    @property
    def ids(self) -> list[str]:
        return [event_id for _, event_id in self.got]

    async def handle(self, member: str, event: HandoffEvent) -> None:
        async with self._news:
            self._news.notify_all()
            if event.id in self.down:
                self.failures.append((member, event.id))
                raise OSError("the tool is down")
            self.got.append((member, event.id))

    async def until_handled(self, *ids: str) -> None:
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: set(ids) <= set(self.ids)), PATIENCE_S)

    async def until_failed(self, count: int) -> None:
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: len(self.failures) >= count), PATIENCE_S)


@asynccontextmanager
async def member(name: str, kafka: str, topic: str, tool: Tool, seen: Seen) -> AsyncIterator[Subscriber]:
    """A member of the tool's group; all share what the tool has seen."""

    async def handle(event: HandoffEvent) -> None:
        await tool.handle(name, event)

    retry = Retry(first_ms=20, longest_ms=200)
    subscriber = Subscriber(topic, handle, kafka={"bootstrap_servers": kafka}, topic=topic, seen=seen, retry=retry)
    running = asyncio.create_task(subscriber.run())
    try:
        yield subscriber
    finally:
        subscriber.stop()
        await running


def one_in_each(turn: str) -> list[str]:
    return [f"{turn}-{partition}" for partition in range(PARTITIONS)]


async def write_one_in_each(kafka: str, topic: str, turn: str) -> None:
    for partition, event_id in enumerate(one_in_each(turn)):
        await write(kafka, topic, event_id, partition=partition)


async def test_members_share_the_work_and_a_leaver_s_part_is_taken_over(kafka: str, topic: str) -> None:
    tool, seen = Tool(), SeenLately()
    async with member("a", kafka, topic, tool, seen):
        await write_one_in_each(kafka, topic, "alone")
        await tool.until_handled(*one_in_each("alone"))
        async with member("b", kafka, topic, tool, seen) as second:
            await asyncio.wait_for(second.joined.wait(), PATIENCE_S)
            await write_one_in_each(kafka, topic, "together")
            await tool.until_handled(*one_in_each("together"))
        await write_one_in_each(kafka, topic, "again")
        await tool.until_handled(*one_in_each("again"))
    by = {event_id: name for name, event_id in tool.got}
    assert {by[event_id] for event_id in one_in_each("alone")} == {"a"}
    assert {by[event_id] for event_id in one_in_each("together")} == {"a", "b"}
    assert {by[event_id] for event_id in one_in_each("again")} == {"a"}
    assert sorted(tool.ids) == sorted([*one_in_each("alone"), *one_in_each("together"), *one_in_each("again")])


async def test_an_event_that_waits_for_another_attempt_survives_rebalances_and_nothing_overtakes_it(kafka: str, topic: str) -> None:
    tool, seen = Tool(), SeenLately()
    tool.down = {f"first-{partition}" for partition in range(PARTITIONS)}
    async with member("a", kafka, topic, tool, seen):
        await write_one_in_each(kafka, topic, "first")
        await write_one_in_each(kafka, topic, "second")
        await tool.until_failed(2)
        async with member("b", kafka, topic, tool, seen):
            await tool.until_failed(len(tool.failures) + 4)
            async with member("c", kafka, topic, tool, seen):
                await tool.until_failed(len(tool.failures) + 4)
        assert tool.ids == []
        tool.down = set()
        await tool.until_handled(*one_in_each("first"), *one_in_each("second"))
    assert sorted(tool.ids) == sorted([*one_in_each("first"), *one_in_each("second")])
    for partition in range(PARTITIONS):
        assert tool.ids.index(f"first-{partition}") < tool.ids.index(f"second-{partition}")


async def test_what_was_never_committed_is_never_seen(kafka: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic}-writer")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(topic, b"{}", headers=[("ce_id", b"aborted")], partition=0)
    await producer.abort_transaction()
    await producer.stop()
    await write(kafka, topic, "after")
    tool = Tool()
    async with member("a", kafka, topic, tool, SeenLately()):
        await tool.until_handled("after")
    assert tool.got == [("a", "after")]
