"""Versions pushed into a running installation: two workers, one killed right after a push, and rolled back in the end.

Whatever happened, states and handoffs are what the events of lead-events lead to when each partition is read once, and the
program changes where the activations stand.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from mqlstream import wire
from mqlstream.core.event import KINDS, Event
from mqlstream.handoff.contract import BECAME_MQL
from tests.kafka import traffic
from tests.kafka.audit import check_against_story, check_ingest, program_of, story_of, until_reviewed, written
from tests.kafka.engine_world import end_of
from tests.kafka.installation import DEFINITIONS, PARTITIONS, Installation, Worker, eventually
from tests.kafka.traffic import DAY_MS

pytestmark = pytest.mark.kafka
STEADY = DEFINITIONS / "steady.yaml"
EVENTS, LEADS = 9_000, 500


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [STEADY])
    yield made
    made.clear_away()


def push(installation: Installation, folder: Path, version: int, total: int, handoff: str) -> None:
    """Publish the definition with another threshold."""
    text = STEADY.read_text().replace("version: 1", f"version: {version}").replace("{total: 100,", f"{{total: {total},")
    (folder / "pushed.yaml").write_text(text)
    done = installation.command("definitions", "push", str(folder / "pushed.yaml"), "--on-activate", handoff, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert [(row["action"], row["version"]) for row in json.loads(done.stdout)] == [("pushed", version)]


def has_rescored(worker: Worker) -> bool:
    return worker.metric("mqlstream_rescoring_remaining_leads") == 0


async def test_versions_pushed_amid_events_and_a_kill_count_from_their_places_on(installation: Installation, tmp_path: Path) -> None:
    rng = random.Random(5)
    history = traffic.events(rng, EVENTS, leads=LEADS, start_ms=time.time_ns() // 1_000_000 - 60 * DAY_MS)
    records = [traffic.sent(rng, installation.topics, event) for event in traffic.disorder(rng, history)]
    installation.apply_topics()
    one, two = installation.worker("one"), installation.worker("two")
    await one.ready()
    await two.ready()
    parts = list(traffic.portions(records, 4))
    installation.write(parts[0])
    push(installation, tmp_path, 2, 60, "new")
    installation.write(parts[1])
    push(installation, tmp_path, 3, 40, "all")
    one.send(signal.SIGKILL)
    await one.ended()
    installation.write(parts[2])
    one.start()
    push(installation, tmp_path, 4, 100, "none")
    installation.write(parts[3])
    await installation.until_done()
    await until_reviewed(installation)
    for worker in (one, two):
        await worker.ready()
        await eventually(partial(has_rescored, worker), "leads are not rescored")
        assert worker.metric("mqlstream_definition_info", 'version="4"') == 1
    await installation.drain()

    check_ingest(installation)
    found = written(installation)
    for partition in found.log:
        assert [each.version for each in partition if isinstance(each, wire.Activation)] == [2, 3, 4]
    assert len(found.log) == PARTITIONS
    check_against_story(found, story_of(found.log, program_of([STEADY])))
    mqls = Counter(event["data"]["definition"]["version"] for event in found.handoffs.values() if event["type"] == BECAME_MQL)
    assert all(mqls[version] for version in (2, 3, 4)), mqls
    assert [worker.complaints() for worker in (one, two)] == [[], []]


async def test_earlier_events_are_read_again_once_though_the_push_and_a_worker_are_killed_meanwhile(
    installation: Installation, tmp_path: Path
) -> None:
    rng = random.Random(8)
    history = traffic.events(rng, EVENTS, leads=LEADS, start_ms=time.time_ns() // 1_000_000 - 60 * DAY_MS)
    records = [traffic.sent(rng, installation.topics, event) for event in traffic.disorder(rng, history)]
    installation.apply_topics()
    one, two = installation.worker("one"), installation.worker("two")
    await one.ready()
    await two.ready()
    before, after = traffic.portions(records, 2)
    installation.write(before)
    await installation.until_done()
    await until_reviewed(installation)
    file = tmp_path / "campaign.yaml"
    file.write_text(STEADY.read_text().replace("version: 1", "version: 2").replace("{action: click}", "{action: click, campaign: spring}"))
    pushing = partial(installation.command, "definitions", "push", str(file), "--backfill", "--on-activate", "all", "--format", "json")

    with prepared(installation) as is_prepared:
        first = installation.process("push", "definitions", "push", str(file), "--backfill", "--on-activate", "all")
        await eventually(is_prepared, "nothing is prepared")
        first.send(signal.SIGKILL)
    assert await first.ended() == -signal.SIGKILL
    assert json.loads(installation.command("definitions", "list", "--format", "json").stdout) == [], "killed before it was through"
    writing = asyncio.create_task(asyncio.to_thread(installation.write, after))
    one.send(signal.SIGKILL)
    await one.ended()
    done = await asyncio.to_thread(pushing)
    one.start()
    assert done.returncode == 0, done.stderr
    await writing
    await installation.until_done()
    await until_reviewed(installation)
    for worker in (one, two):
        await worker.ready()
        await eventually(partial(has_rescored, worker), "leads are not rescored")
    await installation.drain()

    check_ingest(installation)
    found = written(installation)
    for partition in found.log:
        assert [each.prepares for each in partition if isinstance(each, wire.Activation)] == [True, True, False]
    check_against_story(found, story_of(found.log, program_of([STEADY])))
    campaigns = {
        (each.lead, each.source, each.id): each.body["campaign"]
        for partition in found.log
        for each in partition
        if isinstance(each, Event) and each.kind == "email_click"
    }
    (place,) = {paths.index("campaign") for paths in program_of([file]).layout.paths if "campaign" in paths}
    kept = {
        (lead, state.sources[entry.source], entry.id): entry.values[place]
        for lead, state in found.states.items()
        for entry in state.entries
        if KINDS[entry.kind] == "email_click"
    }
    assert len(kept) > EVENTS // 10
    assert kept == {key: campaigns[key] for key in kept}, "every click in a ledger has the campaign that it told"
    assert [worker.complaints() for worker in (one, two)] == [[], []]


@contextmanager
def prepared(installation: Installation) -> Iterator[Callable[[], bool]]:
    """Tells whether lead-events has got a preparation since."""
    consumer = Consumer({"bootstrap.servers": installation.bootstrap, "group.id": "none", "isolation.level": "read_committed"})
    topic = installation.topics.lead_events
    ends = [end_of(consumer, TopicPartition(topic, partition)) for partition in range(PARTITIONS)]
    consumer.assign([TopicPartition(topic, partition, end) for partition, end in enumerate(ends)])

    def look() -> bool:
        message = consumer.poll(10.0)
        return message is not None and message.key() == wire.ACTIVATION_KEY

    try:
        yield look
    finally:
        consumer.close()
