"""The role that takes webhooks: when a worker has it, and what has to be right before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest
from aiohttp import ClientSession
from aiokafka import AIOKafkaProducer

from mqlstream.app.webhooks import WebhookRole, webhook_role
from mqlstream.app.worker import ROLES
from mqlstream.config import kafka_kwargs, load
from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.errors import UsageError

SECRET = "a-secret-of-nobody-s"
TOPIC = "acme.hooks"


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker([TOPIC]) as broker:
        yield broker.bootstrap


def environ(bootstrap: str, topic: str = TOPIC, **more: str) -> dict[str, str]:
    return {
        "MQLSTREAM_BOOTSTRAP_SERVERS": bootstrap,
        "MQLSTREAM_SOURCES": f"{topic}=json",
        "MQLSTREAM_INGEST_BIND": "127.0.0.1:0",
        "MQLSTREAM_INGEST_WEBHOOKS": f"{topic}=bearer",
        "MQLSTREAM_INGEST_WEBHOOK_SECRETS": f"{topic}={SECRET}",
        **more,
    }


def made(variables: Mapping[str, str], *roles: str) -> list[WebhookRole]:
    settings = load(None, variables)
    return webhook_role(settings, kafka_kwargs(settings), roles or ROLES)


def test_it_is_off_without_an_address_and_without_the_role_web(bootstrap: str) -> None:
    assert made(environ(bootstrap, MQLSTREAM_INGEST_BIND="")) == []
    assert made(environ(bootstrap), "ingest", "score") == []
    assert len(made(environ(bootstrap), "web")) == 1


def test_an_address_without_webhooks_and_a_topic_that_is_missing_are_mistakes(bootstrap: str) -> None:
    with pytest.raises(UsageError) as caught:
        made(environ(bootstrap, MQLSTREAM_INGEST_WEBHOOKS="", MQLSTREAM_INGEST_WEBHOOK_SECRETS=""))
    assert str(caught.value) == "MQLSTREAM_INGEST_BIND is set and no source takes webhooks, expected some under ingest.webhooks"
    with pytest.raises(UsageError) as caught:
        made(environ(bootstrap, "acme.absent"))
    assert str(caught.value) == (
        "MQLSTREAM_INGEST_BIND: no topic acme.absent on the broker, expected the topics of all sources with webhooks"
    )


def test_told_to_stop_it_finishes_the_calls_at_work(bootstrap: str) -> None:
    (role,) = made(environ(bootstrap), "web")

    async def work() -> int:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            await producer.partitions_for(TOPIC)
        running = asyncio.create_task(role.run())
        await role.listening.wait()
        begun = asyncio.Event()

        async def slow():  # a body that arrives while the worker ends
            yield b'{"id":'
            begun.set()
            await asyncio.sleep(0.3)
            yield b" 1}"

        async with ClientSession(headers={"Authorization": f"Bearer {SECRET}"}) as session:
            calling = asyncio.create_task(session.post(f"{role.url}/v1/ingest/{TOPIC}", data=slow()))
            await begun.wait()
            await asyncio.sleep(0.1)
            await role.stop()
            response = await calling
            await running
            return response.status

    assert asyncio.run(work()) == 202
