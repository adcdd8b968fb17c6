"""A counting stage on a real broker: its topics, its worker processes, and the check of everything they wrote."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType

from mqlstream.engine.interfaces import Headers, Record
from tests.engine.counting import Counting, expected

ROOT = Path(__file__).parents[2]
POSITION = b"\x00position/"
PATIENCE_S = 120.0
_NO_LEADER = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)


@dataclass(slots=True)
class Stored:
    """A record as a read-committed reader sees it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def until(condition: Callable[[], Any], what: str) -> None:
    """Look again and again. Raises `AssertionError` when it takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.1)


def end_of(consumer: Consumer, place: TopicPartition) -> int:
    """The end offset of a partition, whose leader a young broker may still be looking for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, timeout=30)[1])
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class World:
    """Topics of its own on a shared broker."""

    def __init__(self, bootstrap: str, folder: Path, partitions: int = 3, counts: Mapping[str, int] | None = None) -> None:
        self.bootstrap = bootstrap
        self.prefix = f"e{uuid4().hex[:8]}-"
        self.stage = Counting(prefix=self.prefix)
        self.partitions = partitions
        self.group = f"{self.prefix}app-count"
        self._folder = folder
        self._workers: list[WorkerProcess] = []
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        sizes = {"in": partitions, "changelog": partitions, "out": 2, "dead": 1, **(counts or {})}
        compact = {"cleanup.policy": "compact"}
        topics = [NewTopic(self.prefix + name, n, 1, config=compact if name == "changelog" else {}) for name, n in sizes.items()]
        for created in self.admin.create_topics(topics).values():
            created.result()

    @contextmanager
    def producer(self, **settings: Any) -> Iterator[Producer]:
        """One that delivered everything when it is left."""
        producer = Producer({"bootstrap.servers": self.bootstrap, **settings})
        yield producer
        assert producer.flush(30) == 0

    def write(self, count: int, start: int = 0) -> None:
        """Records of 40 keys, outside any transaction."""
        with self.producer() as producer:
            for number in range(start, start + count):
                self.produce(producer, number)

    def produce(self, producer: Producer, number: int, value: bytes = b"x") -> None:
        """One record, of the key and in the partition that the number says."""
        key = number % 40
        producer.produce(self.stage.inputs[0], value, b"visitor-%d" % key, partition=key % self.partitions)
        producer.poll(0)

    def worker(self, *arguments: str) -> WorkerProcess:
        """A new process."""
        process = WorkerProcess([self.bootstrap, self.prefix, *arguments], self._folder / f"worker-{len(self._workers)}.log")
        self._workers.append(process)
        return process

    def configure(self, topic: str, **settings: str) -> None:
        """Set a topic's configuration."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        for done in self.admin.incremental_alter_configs([resource]).values():
            done.result()

    def ends(self, topic: str, count: int) -> list[int]:
        """The end offset of each partition."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "none"})
        try:
            return [end_of(consumer, TopicPartition(topic, number)) for number in range(count)]
        finally:
            consumer.close()

    def committed(self, topic: str, count: int) -> list[Stored]:
        """Everything committed in a topic, to its end as it is now."""
        ends = self.ends(topic, count)
        settings = {"group.id": "none", "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
        consumer = Consumer({"bootstrap.servers": self.bootstrap, **settings})
        found: list[Stored] = []
        try:
            left = {number for number, end in enumerate(ends) if end}
            consumer.assign([TopicPartition(topic, number, 0) for number in left])
            while left:
                for message in consumer.consume(5000, timeout=1):
                    error, number, offset = message.error(), message.partition(), message.offset()
                    if error is not None:
                        assert error.name() == "_PARTITION_EOF", error
                        if number is not None and offset is not None and offset >= ends[number]:
                            left.discard(number)
                    else:
                        found.append(_stored(message))
        finally:
            consumer.close()
        return found

    def positions(self) -> dict[int, int]:
        """By task, what the changelog says; later records supersede earlier ones."""
        found = {}
        for record in self.committed(self.stage.changelog, self.partitions):
            if record.key is not None and record.key.startswith(POSITION):
                found[int(record.key.rpartition(b"/")[2])] = json.loads(record.value or b"{}")[self.stage.inputs[0]]
        return found

    def settled(self) -> None:
        """Until every task's position is at its input's end."""
        ends = self.ends(self.stage.inputs[0], self.partitions)
        until(lambda: self.positions() == dict(enumerate(ends)), f"positions {ends}")

    def check(self) -> None:
        """Tables, outputs and dead letters are those of an oracle that saw every committed record once, in order."""
        records = self.committed(self.stage.inputs[0], self.partitions)
        changes = self.committed(self.stage.changelog, self.partitions)
        outputs: list[tuple[bytes | None, bytes | None]] = []
        for partition in range(self.partitions):
            mine: list[Record] = [record for record in records if record.partition == partition]
            rows, out = expected(self.stage, mine)
            outputs += out
            table = self.stage.processor(0)
            for change in changes:
                if change.partition == partition and change.key is not None and not change.key.startswith(POSITION):
                    table.restore(change.key, change.value)
            assert table.rows == rows, f"table of partition {partition}"
        written = self.committed(self.stage.outputs, 2) + self.committed(self.stage.dead_letters, 1)
        assert sorted(((each.key, each.value) for each in written), key=str) == sorted(outputs, key=str)

    def close(self) -> None:
        """Kill what still runs, and delete the topics."""
        for worker in self._workers:
            worker.kill()
        names = [*self.stage.inputs, self.stage.changelog, self.stage.outputs, self.stage.dead_letters]
        for deleted in self.admin.delete_topics(names).values():
            deleted.result()


class WorkerProcess:
    """A process of `tests.kafka.engine_worker`."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            command = [sys.executable, "-m", "tests.kafka.engine_worker", *arguments]
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.kill()

    @property
    def said(self) -> str:
        """Everything it has printed."""
        return self._log.read_text(errors="replace")

    @property
    def status(self) -> str:
        """The last status line."""
        return next((line for line in reversed(self.said.splitlines()) if line.startswith("joined=")), "")

    def until(self, text: str) -> None:
        """Wait until it has printed this."""

        def seen() -> bool:
            assert self.process.poll() is None or text in self.said, f"it exited:\n{self.said}"
            return text in self.said

        until(seen, f"{text!r} in\n{self.said}")

    def until_running(self, tasks: int) -> None:
        """Wait until it runs so many tasks, all of its own."""
        until(lambda: self.status.count(":") == self.status.count(":running") == tasks, f"{tasks} running tasks in\n{self.said}")

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT, ..."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def _stored(message: Message) -> Stored:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None and partition is not None and offset is not None
    return Stored(topic, partition, offset, message.timestamp()[1], message.key(), message.value())
