"""Erasing a lead on a real broker: after compaction nothing of it is left in the segment files but that it is gone."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from mqlstream.handoff.contract import BECAME_MQL, ERASED, MQL_WITHDRAWN, parse
from tests.kafka.broker import KafkaServer, missing
from tests.kafka.installation import DEFINITIONS, Installation, Sent, Worker, eventually

pytestmark = pytest.mark.kafka

START = 1_793_610_000_000
LEAD, OTHER_ADDRESS = "gone@acme.example", "gone@private.example"
VISITOR = "cookie-of-the-one-who-is-gone"
OTHERS = 32  # their names fall into every partition, by whatever is hashed
TITLE = "Chief Vanishing Officer"
# What must be nowhere; a tombstone's key may still name a lead or visitor.
ATTRIBUTES = [TITLE, "vanishing-act"]
NAMES = [LEAD, OTHER_ADDRESS, VISITOR]
SHORT = {"segment.ms": "500", "max.compaction.lag.ms": "500", "min.cleanable.dirty.ratio": "0", "file.delete.delay.ms": "0"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KafkaServer]:
    if missing():
        pytest.skip("no real broker")
    with KafkaServer(tmp_path) as started:
        yield started


@pytest.fixture
def installation(server: KafkaServer, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(server.bootstrap, tmp_path, [DEFINITIONS / "steady.yaml"], more={"MQLSTREAM_PUBLISH_SCORES": "true"})
    yield made
    made.clear_away()


def event(topic: str, number: int, **fields: object) -> Sent:
    return Sent(topic, json.dumps({"id": f"e{number}", "source": "web", "time": START + number, **fields}).encode())


def life(installation: Installation) -> Iterator[Sent]:
    """The visitor becomes a lead, an MQL, and turns out to be a lead that was known by another address."""
    topics = installation.topics
    yield event(topics.form_fills, 2, anonymous_id=VISITOR, email=LEAD, form="demo")
    yield event(topics.form_fills, 3, email=LEAD, form="demo")
    yield event(topics.profiles, 4, email=LEAD, attributes={"title": TITLE, "company_size": 300})
    yield event(topics.profiles, 5, email=OTHER_ADDRESS, attributes={"title": TITLE})


def shorten(installation: Installation, topics: list[str]) -> None:
    """Let the broker compact these topics as soon as it can."""
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in SHORT.items()]
    resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics]
    for done in admin.incremental_alter_configs(resources).values():
        done.result()


def found(folder: Path, topics: list[str], texts: list[str]) -> set[tuple[str, str]]:
    """Which texts stand in the segment files of which topics. What a segment that was replaced held is in its file until it is deleted."""
    seen = set()
    for topic in topics:
        for file in folder.glob(f"{topic}-*/*.log*"):
            try:
                content = file.read_bytes()
            except FileNotFoundError:
                continue  # compacted meanwhile
            seen |= {(topic, text) for text in texts if text.encode() in content}
    return seen


def status(worker: Worker, lead: str) -> int:
    try:
        with urllib.request.urlopen(f"{worker.url}/v1/leads/{quote(lead)}", timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def others(installation: Installation) -> Iterator[Sent]:
    """Events of other people, in every partition of all tables: a broker closes a segment only when more is written."""
    for number in itertools.count(100):
        name = f"lead-{number % OTHERS}"
        yield event(installation.topics.form_fills, number, anonymous_id=name, lead_id=name, form="paper")


async def test_nothing_of_an_erased_lead_stays_in_the_tables_logs(server: KafkaServer, installation: Installation) -> None:
    topics = installation.topics
    installation.apply_topics()
    installation.keep_records()
    tables = [topics.lead_state, topics.scores, topics.identity]
    shorten(installation, tables)
    worker = installation.worker("one")
    await worker.ready()
    installation.write([event(topics.web_visits, 1, anonymous_id=VISITOR, url="https://us.example/vanishing-act")])
    await eventually(lambda: found(server.data, [topics.identity], ATTRIBUTES), "the visit does not wait for its lead")
    installation.write(life(installation))
    await eventually(lambda: status(worker, LEAD) == status(worker, OTHER_ADDRESS) == 200, "the leads are not known")
    assert installation.command("lead", "merge", OTHER_ADDRESS, "--into", LEAD).returncode == 0
    await installation.until_done()
    kept = {(topics.lead_state, text) for text in (*ATTRIBUTES[:1], LEAD, OTHER_ADDRESS)}
    kept |= {(topics.scores, f"steady/{LEAD}"), (topics.identity, VISITOR), (topics.identity, LEAD)}
    texts = [*ATTRIBUTES, *NAMES, f"steady/{LEAD}"]
    assert found(server.data, tables, texts) >= kept, "the files would show it"

    assert installation.command("lead", "erase", LEAD, "--yes", "--by", "dpo", "--reason", "asked to").returncode == 0
    await eventually(lambda: status(worker, LEAD) == status(worker, OTHER_ADDRESS) == 404, "the leads are still known")
    more = others(installation)

    def compacted() -> bool:
        installation.write(itertools.islice(more, OTHERS))
        return not found(server.data, tables, ATTRIBUTES) and tombs(installation, tables)

    await eventually(compacted, "it is still in the files", lambda: found(server.data, tables, texts))
    told = [parse(record.value, record.headers) for record in installation.read(topics.handoff)]
    assert [each.type for each in told if each.lead_id == LEAD] == [BECAME_MQL, MQL_WITHDRAWN, ERASED]
    assert [each.type for each in told if each.lead_id == OTHER_ADDRESS] == [ERASED]
    assert worker.complaints() == []


def tombs(installation: Installation, tables: list[str]) -> bool:
    """Whether every record that names the lead, the one merged into it or their visitor is a tombstone."""
    for topic in tables:
        for record in installation.stream(topic):
            text = (record.key or b"") + (record.value or b"")
            if record.value is not None and any(name.encode() in text for name in NAMES):
                return False
    return True
