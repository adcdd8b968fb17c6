"""`mqlstream subscribe` as a process, on the embedded broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.handoff.contract import BECAME_MQL
from mqlstream.topics import Topics
from tests.cli.conftest import run_here
from tests.subscriber.handoffs import write

TOPIC = Topics().handoff
PATIENCE_S = 60
AS_PRINTED = [
    {"type": BECAME_MQL, "id": event_id, "lead_id": "ann@acme.example", "time": 1_793_610_000_000, "data": {"cycle": 1}}
    for event_id in ("one", "two")
]


@pytest.fixture
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker([TOPIC]) as broker:
        asyncio.run(write(broker.bootstrap, TOPIC, "one", "two"))
        yield broker.bootstrap


@contextmanager
def subscribing(bootstrap: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "mqlstream", "subscribe", *arguments],
        env={**os.environ, "MQLSTREAM_BOOTSTRAP_SERVERS": bootstrap},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until_lines(file: Path, count: int) -> list[bytes]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        lines = file.read_bytes().splitlines() if file.exists() else []
        if len(lines) >= count:
            return lines
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_events_are_printed_as_json_lines_until_a_signal(bootstrap: str, number: signal.Signals, exit_code: int) -> None:
    with subscribing(bootstrap) as process:
        assert process.stdout is not None
        assert [orjson.loads(process.stdout.readline()) for _ in AS_PRINTED] == AS_PRINTED
        process.send_signal(number)
        rest, log = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, rest) == (exit_code, "")
        assert "Traceback" not in log


def test_events_are_an_array_that_a_signal_closes(bootstrap: str) -> None:
    with subscribing(bootstrap, "--format", "json") as process:
        assert process.stdout is not None
        begun = [process.stdout.readline() for _ in ("[", "one,")]
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()  # `communicate` would pass over what stands in its buffer already
        assert process.wait(PATIENCE_S) == 0
    assert orjson.loads("".join(begun) + rest) == AS_PRINTED


def test_events_are_rows_of_a_table(bootstrap: str) -> None:
    with subscribing(bootstrap, "--format", "table") as process:
        assert process.stdout is not None
        rows = [process.stdout.readline().split() for _ in range(3)]
    assert rows[0] == ["TIME", "TYPE", "ID", "LEAD", "ID"]
    assert rows[1:] == [["2026-11-02", "09:00:00Z", BECAME_MQL, event_id, "ann@acme.example"] for event_id in ("one", "two")]


@pytest.mark.parametrize(
    ("command", "topic"),
    [
        (["subscribe"], "none.handoff.v1"),
        (["feedback", "ann@acme.example", "accepted"], "none.feedback.v1"),
        (["lead", "freeze", "ann@acme.example"], "none.commands.v1"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_a_topic_that_is_missing_is_told_and_not_created_by_asking(bootstrap: str, command: list[str], topic: str) -> None:
    environ = {**os.environ, "MQLSTREAM_BOOTSTRAP_SERVERS": bootstrap, "MQLSTREAM_TOPIC_PREFIX": "none."}
    done = subprocess.run([sys.executable, "-m", "mqlstream", *command], env=environ, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Error: no topic {topic} on the broker; create what is missing: mqlstream topics apply\n"
    assert asyncio.run(KafkaBroker({"bootstrap_servers": bootstrap}).partitions([topic])) == {}


def test_a_reader_that_goes_away_ends_it_quietly_and_loses_nothing(bootstrap: str) -> None:
    with subscribing(bootstrap) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=PATIENCE_S) == 141
    with subscribing(bootstrap) as process:
        assert process.stdout is not None
        assert [orjson.loads(process.stdout.readline()) for _ in AS_PRINTED] == AS_PRINTED


def test_what_needs_a_shell_goes_through_one_as_the_help_says(bootstrap: str, tmp_path: Path) -> None:
    got = tmp_path / "handoffs.jsonl"
    assert """--exec "sh -c 'cat >> handoffs.jsonl'\"""" in run_here("subscribe", "--help").stdout
    with subscribing(bootstrap, "--exec", f"sh -c 'cat >> {got}'"):
        assert [orjson.loads(line) for line in until_lines(got, 2)] == AS_PRINTED


def test_a_program_runs_for_each_event_and_is_tried_again_when_it_fails(bootstrap: str, tmp_path: Path) -> None:
    tries, got = tmp_path / "tries", tmp_path / "got"
    script = tmp_path / "tool.sh"
    script.write_text(f"#!/bin/sh\necho try >> {tries}\n[ $(wc -l < {tries}) -gt 1 ] || exit 1\ncat >> {got}\n")
    script.chmod(0o755)
    with subscribing(bootstrap, "--exec", str(script)):
        lines = until_lines(got, 2)
    assert [orjson.loads(line) for line in lines] == AS_PRINTED
    assert tries.read_text() == "try\n" * 3


def test_events_given_up_are_kept_with_the_reason(bootstrap: str, tmp_path: Path) -> None:
    given_up = tmp_path / "given-up.jsonl"
    with subscribing(bootstrap, "--exec", "false", "--attempts", "2", "--given-up", str(given_up)):
        lines = [orjson.loads(line) for line in until_lines(given_up, 2)]
    assert [line["event"] for line in lines] == AS_PRINTED
    assert {(line["error"], line["attempts"]) for line in lines} == {("false ended with exit code 1", 2)}


async def _write_foreign(bootstrap: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    await producer.send_and_wait(TOPIC, b"hello", partition=0)
    await producer.stop()


def test_a_foreign_record_ends_it_with_its_place(bootstrap: str) -> None:
    asyncio.run(_write_foreign(bootstrap))
    with subscribing(bootstrap) as process:
        out, log = process.communicate(timeout=PATIENCE_S)
    assert [orjson.loads(line) for line in out.splitlines()] == AS_PRINTED
    assert process.returncode == 1
    assert log.splitlines()[-1].startswith(f"Error: {TOPIC} partition 0 offset 2 holds no handoff event: ")
    assert "Traceback" not in log
