"""The embedded broker: librdkafka's mock cluster, in a process of its own. A real TCP broker without Java or Docker.

Good for a demo and for fast tests: transactions and groups work, everything is kept in memory, and topics appear when
they are first named. It is no proof of exactly-once: it keeps no offsets sent in a transaction, and compacts nothing.
"""

from __future__ import annotations

import ctypes
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from mqlstream.demo.lifeline import end_with_parent, start_child, stop_children
from mqlstream.errors import UnreachableError

PARTITIONS = 4  # of every topic; the mock cluster's default for those that appear by themselves
FIRST_JOIN_MS = 100  # how long a group waits for more members when the first one joins; the default of 3 s is felt


class EmbeddedBroker:
    """Starts when made, with these topics, all empty, and is gone on leaving; ``bootstrap`` is its ``host:port``."""

    def __init__(self, topics: Iterable[str] = ()) -> None:
        self._process = start_child("mqlstream.demo.broker", *topics)
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
    bootstrap = _start_cluster(sys.argv[1:])
    sys.stdout.write(f"{bootstrap}\n")
    sys.stdout.flush()
    while True:
        time.sleep(3600)


def _start_cluster(topics: Sequence[str]) -> str:
    """Start a cluster of one broker for the rest of the process's life; returns its ``host:port``.

    Through librdkafka's own C interface (rdkafka_mock.h): the Python client can start a cluster, but not tune it.
    """
    from confluent_kafka import cimpl

    library = ctypes.CDLL(cimpl.__file__)  # finds the librdkafka that the wheel brings along
    pointer, text, size, whole = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int

    def function(name: str, result: Any, *arguments: Any) -> Any:
        found = getattr(library, name)
        found.restype, found.argtypes = result, arguments
        return found

    error = ctypes.create_string_buffer(512)
    settings = function("rd_kafka_conf_new", pointer)()
    set_ = function("rd_kafka_conf_set", whole, pointer, text, text, text, size)
    for name, value in ((b"test.mock.num.brokers", b"1"), (b"log_level", b"3")):
        set_(settings, name, value, error, len(error))
    producer = function("rd_kafka_new", pointer, whole, pointer, text, size)(0, settings, error, len(error))
    if not producer:
        sys.exit(f"librdkafka: {error.value.decode()}")
    cluster = function("rd_kafka_handle_mock_cluster", pointer, pointer)(producer)
    function("rd_kafka_mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32)(cluster, FIRST_JOIN_MS)
    create = function("rd_kafka_mock_topic_create", whole, pointer, text, whole, whole)
    for topic in topics:
        create(cluster, topic.encode(), PARTITIONS, 1)
    bootstrap: bytes = function("rd_kafka_mock_cluster_bootstraps", text, pointer)(cluster)
    return bootstrap.decode()


if __name__ == "__main__":
    serve()
