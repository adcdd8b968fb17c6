"""The embedded broker: librdkafka's mock cluster, in a process of its own. A real TCP broker without Java or Docker.

Good for a demo and for fast tests: transactions, groups and compaction-free logs work, everything is kept in memory,
and topics appear when they are first named. It is no proof of exactly-once: it keeps no offsets sent in a transaction.
"""

from __future__ import annotations

import signal
import sys
import time
from types import TracebackType

from confluent_kafka import Producer

from mqlstream.demo.lifeline import end_with_parent, start_child, stop_children
from mqlstream.errors import UnreachableError

PARTITIONS = 4  # of every topic; fixed by the mock cluster


class EmbeddedBroker:
    """Starts on entering, with all topics empty, and is gone on leaving; ``bootstrap`` is its ``host:port``."""

    def __init__(self) -> None:
        self._process = start_child("mqlstream.demo.broker")
        self._bootstrap = ""

    @property
    def bootstrap(self) -> str:
        """Where it listens; waits until it does. Raises `UnreachableError` when it did not come up."""
        if not self._bootstrap:
            assert self._process.stdout is not None
            self._bootstrap = self._process.stdout.readline().decode().strip()
            if not self._bootstrap:
                raise UnreachableError(f"the embedded broker did not start: exit code {self._process.wait()}")
        return self._bootstrap

    def close(self) -> None:
        """End the process; all records are gone."""
        stop_children([self._process])

    def __enter__(self) -> EmbeddedBroker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve() -> None:
    """In the broker's process: come up, say where, and stay until told to end."""
    end_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    cluster = Producer({"test.mock.num.brokers": 1, "log_level": 3})
    brokers = list(cluster.list_topics(timeout=10).brokers.values())
    sys.stdout.write(f"{brokers[0].host}:{brokers[0].port}\n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    serve()
