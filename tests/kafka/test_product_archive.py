"""Reading an archive of 60 days at full speed, one topic after the other: the same MQLs as the sorted archive, scored offline.

Points are never negative, and half-lives let them fade: a late event can only raise what a lead had at some time. The archive
can't be read as it happened: topics are filled completely one after the other, two workers read them side by side.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.kafka import traffic
from tests.kafka.audit import Written, check_against_story, check_ingest, program_of, story_of, until_reviewed, written
from tests.kafka.history import check_qualified, check_scores
from tests.kafka.installation import DEFINITIONS, Installation, Sent
from tests.kafka.traffic import DAY_MS, DAYS, Json

pytestmark = pytest.mark.kafka
DEFINITION = DEFINITIONS / "steady.yaml"
EVENTS = 12_000
LEADS = 700


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [DEFINITION])
    yield made
    made.clear_away()


def archive(seed: int) -> list[Json]:
    """60 days of events up to yesterday, in order of time; sales has no part in it."""
    start_ms = (int(time.time() * 1000) // DAY_MS - DAYS - 1) * DAY_MS
    history = traffic.events(random.Random(seed), EVENTS, LEADS, start_ms)
    return [event for event in history if event["kind"] not in ("feedback", "command")]


def lead_key(event: Json) -> bytes:
    return str(event.get("lead_id") or event.get("email", event.get("anonymous_id"))).strip().lower().encode()


def filled(installation: Installation, arriving: Iterable[Json], keyed: bool, dated: bool) -> list[list[Sent]]:
    """The topics' records, in the order in which the topics are filled: profiles last.

    ``keyed``: all of a lead's records are in partitions of one number. ``dated``: records have their arrival's time, else
    that at which their topic was filled, ten minutes after the one before.
    """
    names = [topic for topic in installation.topics.inputs if topic != installation.topics.profiles]
    topics: dict[str, list[Sent]] = {topic: [] for topic in [*names, installation.topics.profiles]}
    filled_ms = {topic: int(time.time() * 1000) - (len(topics) - number) * 600_000 for number, topic in enumerate(topics)}
    now_ms = 0
    for event in arriving:
        now_ms = max(now_ms, event["time"])  # an archive's records came to stand there in order
        topic = traffic.topic_of(installation.topics, event)
        key = lead_key(event) if keyed else None
        topics[topic].append(Sent(topic, orjson.dumps(event), key, None, now_ms if dated else filled_ms[topic]))
    return list(topics.values())


async def caught_up(
    installation: Installation, topics: list[list[Sent]], history: list[Json]
) -> tuple[Written, dict[str, tuple[int, int]]]:
    """Fill the topics, let two workers read them, and check all that must hold in any order; the leads that qualified later."""
    installation.apply_topics()
    for records in topics:
        installation.write(records)
    installation.worker("one")
    installation.worker("two")
    await installation.until_done()
    await until_reviewed(installation)
    await installation.drain()
    check_ingest(installation)
    found = written(installation)
    program = program_of([DEFINITION])
    story = story_of(found.log, program)
    check_against_story(found, story)
    check_scores(found, program, history)
    later = check_qualified(found, story, DEFINITION, history)
    mqls = len(found.mqls("steady"))
    print(f"{len(history)} events, {len(found.states)} leads, {mqls} MQLs, {len(later)} of them later than in sorted order")
    return found, later


async def test_an_archive_with_dates_is_read_as_it_happened(installation: Installation) -> None:
    history = archive(1)
    _, later = await caught_up(installation, filled(installation, history, keyed=True, dated=True), history)
    assert later == {}


async def test_an_archive_without_dates_and_keys_qualifies_the_same_leads_at_the_same_moments(installation: Installation) -> None:
    # Topic after topic is read: the last of them decides of leads what was 60 days ago.
    history = archive(2)
    _, later = await caught_up(installation, filled(installation, history, keyed=False, dated=False), history)
    assert later == {}


async def test_an_archive_spread_over_partitions_qualifies_the_same_leads_at_the_same_moments(installation: Installation) -> None:
    history = archive(5)
    _, later = await caught_up(installation, filled(installation, history, keyed=False, dated=True), history)
    assert later == {}


async def test_an_archive_that_came_late_in_parts_qualifies_the_same_leads(installation: Installation) -> None:
    history = archive(3)
    arriving = traffic.disorder(random.Random(3), history)
    found, later = await caught_up(installation, filled(installation, arriving, keyed=True, dated=True), history)
    # A handoff that is out can't be taken back to an earlier moment: with so much late, some moments differ.
    assert len(later) < len(found.mqls("steady")) / 3
