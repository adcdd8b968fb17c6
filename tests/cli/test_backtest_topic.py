"""`mqlstream backtest --topic` on the embedded broker: what the cluster has retained gives what a file of the same events gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from mqlstream import wire
from mqlstream.core.event import Event
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.ingest.canonical import canonical
from mqlstream.topics import Topics
from tests.cli.conftest import run_here
from tests.cli.test_backtest import NEW, OLD, lines, quarter

TOPICS = Topics()
Pair = tuple[bytes, bytes]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker(TOPICS.all) as broker:
        yield broker.bootstrap


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bootstrap: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MQLSTREAM_BOOTSTRAP_SERVERS", bootstrap)
    monkeypatch.delenv("MQLSTREAM_DEFINITIONS", raising=False)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    (tmp_path / "events.jsonl").write_text(lines(quarter()))
    return tmp_path


def events() -> list[Event]:
    found = [canonical(dict(each)) for each in quarter()]
    assert all(isinstance(each, Event) for each in found)
    return [each for each in found if isinstance(each, Event)]


def write(bootstrap: str, pairs: list[Pair]) -> None:
    """Records of lead-events: leads' in their partitions, broadcasts in all."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for key, value in pairs:
                everywhere = key in wire.BROADCASTS
                for partition in range(PARTITIONS) if everywhere else [wire.partition_of(key, PARTITIONS)]:
                    await producer.send_and_wait(TOPICS.lead_events, value, key=key, partition=partition)

    asyncio.run(send())


def ends(bootstrap: str) -> dict[TopicPartition, int]:
    """How far every topic goes."""

    async def ask() -> dict[TopicPartition, int]:
        async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
            places = [TopicPartition(topic, number) for topic in TOPICS.all for number in range(PARTITIONS)]
            return dict(await consumer.end_offsets(places))

    return asyncio.run(ask())


def backtest(*arguments: str, exit_code: int = 0) -> tuple[Any, str]:
    done = run_here("backtest", "--definition", "new.yaml", *arguments, "--format", "json")
    assert done.returncode == exit_code, done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_retained_events_against_the_version_that_was_pushed(bootstrap: str) -> None:
    expected, _ = backtest("--against", "old.yaml", "events.jsonl")
    told = [(wire.key_of(event.lead), wire.encode(event)) for event in reversed(events())]
    write(bootstrap, told)
    assert run_here("definitions", "push", "old.yaml").returncode == 0  # its activation is among the records from here on
    # What workers write for each other: how far they are, what a merged lead passed on, fields that ledgers lacked.
    passed_on = Event("web", "p", "form_fill", events()[0].time, "never", {"form": "demo"}, via=("gone",))
    completion = Event("mqlstream", "c", "command", events()[0].time, "never", {"do": "complete", "events": []})
    write(bootstrap, [wire.broadcast(wire.Frontier(0, 1, None)), *[(b"never", wire.encode(each)) for each in (passed_on, completion)]])
    before = ends(bootstrap)
    found, stderr = backtest("--topic")
    assert found == expected
    assert {row["change"] for row in found["leads"]} == {"becomes", "stops", "moves", "stays"}
    assert "(mql.definitions.v1)\n16 events: 14 scored, 2 ignored(out_of_turn)\n" in stderr
    assert ends(bootstrap) == before, "nothing is written"
    # A record that nobody can read is told and counted, as a line of a file is.
    write(bootstrap, [(b"never", b"nonsense")])
    found, stderr = backtest("--topic", exit_code=1)
    assert found == expected
    assert f"mql.internal.lead-events.v1[{wire.partition_of(b'never', PARTITIONS)}]:" in stderr
    assert ": bad_record: no event of the lead-events topic" in stderr


def test_a_missing_topic_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQLSTREAM_TOPIC_PREFIX", "other.")
    done = run_here("backtest", "--definition", "new.yaml", "--against", "old.yaml", "--topic")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Error: no topic other.internal.lead-events.v1 on the broker; create what is missing: mqlstream topics apply" in done.stderr
