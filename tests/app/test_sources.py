"""A worker that reads a configured source: a vendor's batch on a topic of its own becomes events of leads, once each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, Producer

from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.topics import Topics
from mqlstream.wire import decode
from tests.app.test_worker import PATIENCE_S, working

TOPICS = Topics()
TRACK = {"type": "track", "userId": "ann@acme.example", "event": "Guide Read", "timestamp": "2026-03-02T09:15:00Z"}
BATCH = {
    "batch": [
        {**TRACK, "messageId": "1"},
        {**TRACK, "messageId": "2", "event": None},
        {"type": "page", "messageId": "3", "anonymousId": "a-1", "timestamp": "2026-03-02T09:15:00Z"},
        {**TRACK, "messageId": "4", "userId": "bob@acme.example"},
    ]
}
SETTINGS = """
sources:
  acme.segment: segment
  mql.form-fills.v1:
    {adapter: json, kind: form_fill, source: site, fields: {id: number, time: {path: at, unit: s}, email: mail, form: form}}
"""


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker([*TOPICS.all, "acme.segment"]) as running:
        yield running


def arrived(bootstrap: str, topic: str, count: int) -> list[Message]:
    """The first records of a topic, broadcasts to all partitions left out."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    )
    consumer.subscribe([topic])
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < deadline, found
        record = consumer.poll(0.5)
        if record is not None and record.error() is None and not (record.key() or b"").startswith(b"\x00"):
            found.append(record)
    consumer.close()
    return found


def test_a_vendors_batch_becomes_events_and_one_dead_letter(broker: EmbeddedBroker, tmp_path: Path) -> None:
    config = tmp_path / "mqlstream.yaml"
    config.write_text(SETTINGS)
    with working(broker.bootstrap, "--roles", "ingest,web", "--config", str(config), MQLSTREAM_DEFINITIONS="") as worker:
        worker.until(worker.url(), 200)
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        producer.produce("acme.segment", json.dumps(BATCH))
        producer.produce(TOPICS.form_fills, json.dumps({"number": 7, "at": 1772442900, "mail": "eve@acme.example", "form": "demo"}))
        producer.flush(30)
        events = sorted((decode(record.value() or b"") for record in arrived(broker.bootstrap, TOPICS.lead_events, 3)), key=lambda e: e.id)
        (letter,) = arrived(broker.bootstrap, TOPICS.dead_letters, 1)
    assert [(event.source, event.id, event.kind, event.lead) for event in events] == [
        ("acme.segment", "1", "activity", "ann@acme.example"),
        ("acme.segment", "4", "activity", "bob@acme.example"),
        ("site", "7", "form_fill", "eve@acme.example"),
    ]
    assert json.loads(letter.value() or b"") == BATCH
    headers = dict(letter.headers() or [])
    assert (headers["mqlstream.reason"], headers["mqlstream.places"]) == (b"missing_field", b"1")
    assert headers["mqlstream.detail"] == b"batch[1]: event: missing, expected what was done"


def test_a_source_whose_topic_is_missing_is_named(broker: EmbeddedBroker) -> None:
    with working(broker.bootstrap, "--roles", "ingest", MQLSTREAM_DEFINITIONS="", MQLSTREAM_SOURCES="acme.none=segment") as worker:
        _, log = worker.process.communicate(timeout=PATIENCE_S)
    assert worker.process.returncode == 2
    assert log.splitlines()[-1] == "Error: stage ingest: no topic acme.none on the broker; create it: mqlstream topics apply"
