"""One installation of the product on a real broker, for one test: topics of its own, workers as processes, what they wrote.

Everything is started as a user would: `python -m mqlstream`, set up by environment variables. What the records mean, and
what should be in them, is not decided here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from mqlstream.core.plan import HandoffShape
from mqlstream.topics import Topics

DEFINITIONS = Path(__file__).with_name("definitions")
PARTITIONS = 4
SHAPE = HandoffShape(identity=("email",), attributes=("title", "company_size"))
_PATIENCE_S = 120.0  # a machine may be slow; what does not happen by then never will


class Stored(NamedTuple):
    """A record as it stands in a topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[Any]  # pairs of name and content


@dataclass(frozen=True, slots=True)
class Sent:
    """A record to write: ``topic`` is its full name, ``partition`` None leaves the choice to the key, ``timestamp`` 0 is now."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    timestamp: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Process:
    """A `mqlstream` command that goes on until it is ended; can be killed, frozen, and started again. stdout and log are kept."""

    def __init__(self, name: str, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.out = folder / f"{name}.out"
        self._arguments = arguments
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log, self.out.open("ab") as out:
            command = [sys.executable, "-m", "mqlstream", *self._arguments]
            environ = {**inherited(), **self._environ}
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=environ)

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the process to be gone; its exit code, negative for a signal."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, _PATIENCE_S)

    def clear_away(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Worker(Process):
    """A `mqlstream run` with further ``options``, and with a port of its own."""

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path, *options: str) -> None:
        port = free_port()
        super().__init__(name, ["run", *options], {**environ, "MQLSTREAM_HTTP_BIND": f"127.0.0.1:{port}"}, folder)
        self.url = f"http://127.0.0.1:{port}"

    async def ready(self) -> None:
        """Wait until it has its share of the work, and does it."""
        await eventually(self.is_ready, f"worker {self.name} is not ready", lambda: self._get("/readyz") + self.log.read_text()[-4000:])

    def is_ready(self) -> bool:
        return self._get("/readyz").startswith("200")

    def insights(self) -> Any:
        """What it answers about all workers' handoffs; None while that is not whole."""
        status, _, body = self._get("/v1/insights").partition(" ")
        return json.loads(body) if status == "200" else None

    def metric(self, name: str, label: str = "") -> float:
        """The sum of a metric's series that have this label, as the worker tells it."""
        lines = [line for line in self._get("/metrics").splitlines() if line.startswith((name + " ", name + "{")) and label in line]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def memory_bytes(self) -> tuple[int, int]:
        """Resident memory: now, and the most since the process began. From Linux's /proc; (0, 0) where there is none."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status")
        if not status.exists():
            return 0, 0
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmRSS"].split()[0]) * 1024, int(lines["VmHWM"].split()[0]) * 1024

    def complaints(self) -> list[str]:
        """What its log tells of data at risk or of a defect: the line and what stands around it."""
        marks = (" ERROR mqlstream", " CRITICAL ", "Traceback", "Task exception was never", "Future exception was never")
        lines = self.log.read_text().splitlines()
        found = [place for place, line in enumerate(lines) if any(mark in line for mark in marks)]
        return ["\n".join(lines[max(0, place - 3) : place + 60]) for place in found]

    def _get(self, path: str) -> str:
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return f"{answer.status} {answer.read().decode()}"
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read().decode()}"
        except OSError as error:
            return f"no answer: {error}"


class Installation:
    """Topics and groups of one test on a shared broker; ``more`` are further settings. `clear_away` ends its processes."""

    def __init__(self, bootstrap: str, folder: Path, definitions: Sequence[Path] = (), more: Mapping[str, str] | None = None) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.name = f"t{uuid4().hex[:12]}"
        self.topics = Topics(f"{self.name}.")
        self.definitions = tuple(definitions)
        self._more = dict(more or {})
        self.workers: list[Worker] = []
        self.others: list[Process] = []
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 20,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.max.bytes": 1_048_588,
                "log_level": 0,  # what fails is told by the records' own reports
            }
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """The settings, as variables."""
        return {
            "MQLSTREAM_BOOTSTRAP_SERVERS": self.bootstrap,
            "MQLSTREAM_APP_ID": self.name,
            "MQLSTREAM_TOPIC_PREFIX": self.topics.prefix,
            "MQLSTREAM_PARTITIONS": str(PARTITIONS),
            "MQLSTREAM_REPLICATION_FACTOR": "1",
            "MQLSTREAM_DEFINITIONS": ",".join(map(str, self.definitions)),
            "MQLSTREAM_HANDOFF_ATTRIBUTES": ",".join(SHAPE.attributes),
            **self._more,
        }

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Carry out a `mqlstream` command to its end; ``more`` are further variables."""
        environ = {**inherited(), **self.environ, **more}
        return subprocess.run(
            [sys.executable, "-m", "mqlstream", *arguments], env=environ, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )

    def apply_topics(self) -> None:
        done = self.command("topics", "apply")
        assert done.returncode == 0, done.stderr

    def keep_records(self) -> None:
        """Records of any date stay in the topics; the broker would soon delete those older than a topic's retention."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        keep = [ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)]
        topics = (*self.topics.inputs, self.topics.lead_events)
        resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=keep) for topic in topics]
        for done in admin.incremental_alter_configs(resources).values():
            done.result()

    def worker(self, name: str, *options: str) -> Worker:
        """A worker, started."""
        worker = Worker(name, self.environ, self.folder, *options)
        self.workers.append(worker)
        worker.start()
        return worker

    def process(self, name: str, *arguments: str) -> Process:
        """Another command that goes on until it is ended, started."""
        process = Process(name, arguments, self.environ, self.folder)
        self.others.append(process)
        process.start()
        return process

    async def drain(self) -> None:
        """Stop all workers as a deployment would; each must end by itself, and without complaint."""
        for worker in self.workers:
            worker.send(signal.SIGTERM)
        for worker in self.workers:
            assert await worker.ended() == 0, worker.log.read_text()[-4000:]

    def clear_away(self) -> None:
        for process in (*self.workers, *self.others):
            process.clear_away()

    def write(self, records: Iterable[Sent]) -> None:
        """Write records, in order for each partition; returns when the broker has them all."""
        failures: list[str] = []

        def told(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failures.append(str(error))

        producer = self._producer
        for record in records:
            while True:
                try:
                    producer.produce(
                        record.topic,
                        record.value,
                        record.key,
                        -1 if record.partition is None else record.partition,
                        timestamp=record.timestamp,
                        headers=list(record.headers),
                        on_delivery=told,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        producer.flush()
        assert not failures, failures[:3]

    def read(self, topic: str) -> list[Stored]:
        """All that is committed in a topic, each partition in its order, one partition after the other."""
        return sorted(self.stream(topic), key=lambda record: (record.partition, record.offset))

    def stream(self, topic: str) -> Iterator[Stored]:
        """All that is committed in a topic, in order within each partition."""
        settings = {
            "bootstrap.servers": self.bootstrap,
            "group.id": f"{self.name}-reader",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
        }
        consumer = Consumer(settings)
        try:
            left = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
            consumer.assign([TopicPartition(topic, partition, 0) for partition in sorted(left)])
            while left:
                for message in consumer.consume(2_000, timeout=0.1):
                    error = message.error()
                    if error is None:
                        yield _stored(message)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        left.discard(message.partition())
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()

    async def until_done(self) -> None:
        """Wait until everything written so far is scored: all stages have committed the ends of what they read."""
        identify = ("identify", (self.topics.visitor_events,))  # twice: it writes to its own input, too
        last = ("score", (self.topics.lead_events,)), ("accounts", (self.topics.account_leads,))
        for stage, topics in (("ingest", self.topics.inputs), identify, identify, *last):
            group = f"{self.name}-{stage}"
            done = partial(self._is_read, group, topics)
            await eventually(done, f"stage {stage} does not come to the end", lambda: self._logs())

    def _is_read(self, group: str, topics: Sequence[str]) -> bool:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            partitions = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
            for place in consumer.committed(partitions, timeout=30):
                _, end = consumer.get_watermark_offsets(TopicPartition(place.topic, place.partition), timeout=30)
                if max(place.offset, 0) < end:
                    return False
            return True
        except KafkaException:
            return False  # a young broker still looks for its coordinators
        finally:
            consumer.close()

    def _logs(self) -> str:
        return "\n".join(worker.log.read_text()[-3000:] for worker in self.workers)


async def eventually(holds: object, otherwise: str, more: object = None) -> None:
    """Wait for a condition, looked at in a thread; fails when it does not come about in any reasonable time."""
    assert callable(holds)
    until = time.monotonic() + _PATIENCE_S
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < until, f"{otherwise} after {_PATIENCE_S:g} s: {more() if callable(more) else ''}"
        await asyncio.sleep(0.2)


def inherited() -> dict[str, str]:
    """The variables around us, without settings of the product's: a test decides these alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MQLSTREAM_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stored(message: Message) -> Stored:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    return Stored(topic, partition, offset, message.timestamp()[1], message.key(), message.value(), list(message.headers() or []))
