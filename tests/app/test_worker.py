"""A worker on the embedded broker, as a process: what it refuses, when it is ready, and how it goes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.topics import Topics

DEFINITION = Path(__file__).parents[2] / "config" / "b2b-default.yaml"
PATIENCE_S = 60


class Worker:
    """A running `mqlstream run`; its log is read until it says where it listens."""

    def __init__(self, bootstrap: str, *arguments: str, **variables: str) -> None:
        settings = {
            "MQLSTREAM_BOOTSTRAP_SERVERS": bootstrap,
            "MQLSTREAM_PARTITIONS": "4",
            "MQLSTREAM_DEFINITIONS": str(DEFINITION),
            "MQLSTREAM_HTTP_BIND": "127.0.0.1:0",
            **variables,
        }
        environ = {**os.environ, **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mqlstream", "run", *arguments], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def url(self) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"listening on (http://\S+)", line)
            if found:
                return found[1]
        raise AssertionError(f"the worker ended with {self.process.wait()} before it listened")

    def until(self, url: str, status: int, reason: str = "") -> dict[str, Any]:
        """The answer of /readyz once it has this status, and the reason among its reasons."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
                    got, body = response.status, json.load(response)
            except urllib.error.HTTPError as error:
                got, body = error.code, json.load(error)
            if got == status and reason in " ".join(body["reasons"]):
                answer: dict[str, Any] = body
                return answer
            assert time.monotonic() < deadline, (got, body)
            time.sleep(0.05)


@contextmanager
def working(bootstrap: str, *arguments: str, **variables: str) -> Iterator[Worker]:
    worker = Worker(bootstrap, *arguments, **variables)
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(Topics().all) as running:
        yield running


def test_a_worker_gets_ready_and_a_sigterm_drains_it(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap) as worker:
        url = worker.url()
        assert worker.until(url, 200) == {"ready": True, "reasons": []}
        worker.process.send_signal(signal.SIGTERM)
        out, log = worker.process.communicate(timeout=PATIENCE_S)
        assert (worker.process.returncode, out) == (0, "")
        assert log.splitlines()[-1].endswith("drained")


def test_a_worker_that_is_cut_off_from_the_broker_says_so_and_still_drains(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap) as worker:
        url = worker.url()
        worker.until(url, 200)
        broker.close()
        for stage in ("ingest", "score"):
            worker.until(url, 503, f"{stage}: cut off from the broker")
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as response:
            assert response.status == 200
        worker.process.send_signal(signal.SIGTERM)
        worker.process.communicate(timeout=PATIENCE_S)
        assert worker.process.returncode == 0


def test_a_worker_does_only_what_its_roles_say(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap, "--roles", "web,ingest", MQLSTREAM_DEFINITIONS="") as worker:
        url = worker.url()
        worker.until(url, 200)
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
            text = response.read().decode()
        assert 'mqlstream_task_state{stage="ingest",state="running"} 4.0' in text
        assert 'stage="score"' not in text


def test_a_taken_port_ends_the_worker_with_2_and_one_line(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap) as worker:
        taken = worker.url().removeprefix("http://")
        with working(broker.bootstrap, "--roles", "web", MQLSTREAM_HTTP_BIND=taken) as second:
            _, log = second.process.communicate(timeout=PATIENCE_S)
            assert second.process.returncode == 2
            assert log.splitlines()[-1].startswith(f"Error: MQLSTREAM_HTTP_BIND: cannot listen on {taken}: ")
            assert "worker of" not in log, "it has taken over nothing that another worker does"
            assert "Traceback" not in log


def test_another_partition_count_is_refused_before_anything_starts(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap, MQLSTREAM_PARTITIONS="6") as worker:
        assert worker.process.communicate(timeout=PATIENCE_S)[1] == (
            "Error: topic mql.internal.lead-events.v1 has 4 partitions, expected 6 (MQLSTREAM_PARTITIONS): "
            "either the setting or the topic is wrong; the number is fixed when the topic is created\n"
        )
        assert worker.process.returncode == 2


def test_missing_topics_are_refused_with_the_command_that_creates_them(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap, MQLSTREAM_TOPIC_PREFIX="other.") as worker:
        assert worker.process.communicate(timeout=PATIENCE_S)[1] == (
            f"Error: no topic other.web-visits.v1 and {len(Topics().all) - 1} more on the broker; "
            "create what is missing: mqlstream topics apply\n"
        )
        assert worker.process.returncode == 2
