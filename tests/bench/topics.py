"""The benchmark's topics: made anew, and filled with the same events for everyone."""

from __future__ import annotations

import time
from collections.abc import Iterable

import orjson
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from mqlstream import wire
from mqlstream.core.event import Event
from mqlstream.ingest.canonical import canonical
from mqlstream.topics import Topics, declared
from tests.bench import workload
from tests.bench.score_stage import LEAD_EVENTS

SIGNALS = "bench.signals"
_FOREVER = {"retention.ms": "-1"}


def create(bootstrap: str, names: Iterable[str], config: dict[str, str], partitions: int = workload.PARTITIONS) -> None:
    """Make topics, emptied if they were there."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    wanted = list(names)
    delete(bootstrap, set(wanted) & set(admin.list_topics(timeout=10).topics))
    for name in wanted:
        _until_it_is_gone(admin, NewTopic(name, partitions, 1, config=config))


def delete(bootstrap: str, names: Iterable[str]) -> None:
    """Remove topics that are there."""
    there = list(names)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if there:
        for future in admin.delete_topics(there).values():
            future.result()


def create_for_run(bootstrap: str, prefix: str) -> list[str]:
    """What a run of our own writes, as declared in topics/topics.yaml; the names."""
    keys = ("lead_state", "handoff", "scores", "dead_letters")
    for topic in declared():
        if topic.key in keys:
            create(bootstrap, [prefix + topic.name], topic.config_for(1))
    return [getattr(Topics(prefix), key) for key in keys]


def fill(bootstrap: str, events: int, leads: int) -> None:
    """Write the workload twice: as the peers read it, and as INGEST would have written it to lead-events."""
    create(bootstrap, [*(name for name, _ in workload.TOPICS.values()), LEAD_EVENTS, SIGNALS], _FOREVER)
    settings = {"bootstrap.servers": bootstrap, "linger.ms": 50, "queue.buffering.max.messages": 200_000, "partitioner": "murmur2"}
    producer = Producer(settings)
    end_ms = int(time.time() * 1000)
    for kind, lead, event in workload.inputs(events, leads, end_ms):
        value = orjson.dumps(event)
        topic, _ = workload.TOPICS[kind]
        read = canonical(value, kind=kind, source=topic, record_ms=event["time"])
        assert isinstance(read, Event), read
        key = wire.key_of(lead)
        _put(producer, topic, key, value, event["time"])
        _put(producer, LEAD_EVENTS, key, wire.encode(read), event["time"], wire.partition_of(key, workload.PARTITIONS))
    producer.flush()


def _put(producer: Producer, topic: str, key: bytes, value: bytes, time_ms: int, partition: int = -1) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition, timestamp=time_ms)
            return
        except BufferError:
            producer.poll(0.1)


def _until_it_is_gone(admin: AdminClient, topic: NewTopic) -> None:
    # A topic that was deleted a moment ago is still there for a while.
    for _ in range(60):
        try:
            admin.create_topics([topic])[topic.topic].result()
            return
        except KafkaException as error:
            if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
                raise
            time.sleep(0.5)
    raise TimeoutError(f"topic {topic.topic} was not deleted within 30 s")
