"""What broken systems write: each bad record becomes one dead letter as it came, and nothing beside it suffers."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.kafka import traffic
from tests.kafka.audit import check_against_story, check_ingest, program_of, story_of, until_reviewed, written
from tests.kafka.history import check_scores
from tests.kafka.installation import DEFINITIONS, Installation, Sent
from tests.kafka.malformed import Bad, bad_value, huge_value

DEFINITION = DEFINITIONS / "moody.yaml"
MIB = 2**20
GOOD = 4_000
_HEADERS = ((("trace", b"\xff\x00"), ("empty", b""), ("none", None)), (("ce_id", b"1"), ("mqlstream.reason", b"fake")), ())
_CLOCKS = (0, 0, 0, 1, 1_000_000_000_000)  # of records, in epoch milliseconds; 0 is now
_KEYS = (None, b"", b"\xfe\xff", b"k" * 70_000, "é".encode())


def unusable(rng: random.Random, topic: str, number: int, huge_every: int) -> Sent:
    """A record that no topic can use, with a key and headers that are nobody's."""
    bad: Bad = huge_value(rng, number // huge_every) if number % huge_every == 0 else bad_value(rng, number)
    key = rng.choice(_KEYS) if len(bad.value or b"") < 900_000 else None
    return Sent(topic, bad.value, key, None, rng.choice(_CLOCKS), rng.choice(_HEADERS))


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [DEFINITION])
    yield made
    made.clear_away()


async def run_malformed(installation: Installation, each_topic: int, huge_every: int, rounds: int) -> None:
    rng = random.Random(20261102)
    installation.apply_topics()
    installation.keep_records()  # odd clocks of their own
    history = traffic.events(rng, GOOD, leads=300)
    good = [replace(traffic.sent(rng, installation.topics, event), timestamp=rng.choice((0, 1))) for event in history]
    bad = [unusable(rng, topic, number, huge_every) for number in range(each_topic) for topic in installation.topics.inputs]
    worker = installation.worker("one")
    await worker.ready()
    memory = []
    for some_good, some_bad in zip(traffic.portions(good, rounds), traffic.portions(bad, rounds), strict=True):
        mixed = [*some_good, *some_bad]
        rng.shuffle(mixed)
        installation.write(mixed)
        await installation.until_done()
        memory.append(worker.memory_bytes())
    await until_reviewed(installation)
    assert worker.metric("mqlstream_dead_letters_total") == len(bad)
    await installation.drain()

    events, refused = check_ingest(installation)
    assert refused == len(bad)
    found = written(installation)
    program = program_of([DEFINITION])
    check_against_story(found, story_of(found.log, program))
    check_scores(found, program, history)
    assert worker.complaints() == []
    told = ", ".join(f"{now // MIB}/{most // MIB}" for now, most in memory)
    print(f"{refused} bad records, {events} good events, {len(found.states)} leads; memory now/most in MiB after each round: {told}")
    first, last = memory[0][0], memory[-1][0]
    assert last - first < 150 * MIB


@pytest.mark.kafka
async def test_bad_records_on_every_topic_are_dead_letters_once_and_the_good_ones_between_them_are_scored(
    installation: Installation,
) -> None:
    await run_malformed(installation, each_topic=100, huge_every=25, rounds=2)


@pytest.mark.kafka
async def test_a_long_run_of_huge_records_does_not_fill_the_memory(installation: Installation) -> None:
    rng = random.Random(20261103)
    installation.apply_topics()
    topic = installation.topics.web_visits
    for number in range(100):
        installation.write([Sent(topic, huge_value(rng, number).value, None, 0)])
    worker = installation.worker("one")
    await worker.ready()
    await installation.until_done()
    now, most = worker.memory_bytes()
    assert worker.metric("mqlstream_dead_letters_total") == 100
    await installation.drain()
    assert check_ingest(installation) == (0, 100)
    assert worker.complaints() == []
    print(f"100 records of a megabyte; memory now/most in MiB: {now // MIB}/{most // MIB}")
    assert most < 250 * MIB


@pytest.mark.kafka
async def test_a_record_that_unpacks_to_more_than_a_worker_has_is_a_dead_letter_and_its_neighbours_are_scored(
    installation: Installation,
) -> None:
    installation.apply_topics()
    topic = installation.topics.web_visits
    event = b'{"id": "%s", "source": "web", "kind": "web_visit", "time": 1793610000000, "lead_id": "ann"}'
    installation.write([Sent(topic, event % b"before", None, 0)])
    for codec in ("gzip", "lz4", "zstd"):
        size = 200 * MIB if codec == "lz4" else 400 * MIB  # what still fits into a megabyte
        packing = Producer({"bootstrap.servers": installation.bootstrap, "compression.type": codec, "message.max.bytes": 10**9})
        packing.produce(topic, bytes(size), partition=0)
        assert packing.flush(60) == 0
        del packing
    installation.write([Sent(topic, event % b"after", None, 0)])
    worker = installation.worker("one")
    await worker.ready()
    await installation.until_done()
    now, most = worker.memory_bytes()
    listed = installation.command("dlq", "list", "--format", "jsonl").stdout.splitlines()
    rows = sorted((json.loads(line) for line in listed), key=lambda row: row["offset"])
    assert [(row["reason"], row["offset"]) for row in rows] == [("too_large", 1), ("too_large", 2), ("too_large", 3)]
    assert rows[0]["detail"] == "a compressed batch of more than 67108864 bytes was not read, offsets 1 to 1"
    left = installation.command("dlq", "retry", "--all", "--format", "jsonl")
    assert {json.loads(line)["outcome"] for line in left.stdout.splitlines()} == {"left"}
    assert worker.metric("mqlstream_events_total", 'outcome="scored"') == 2
    assert worker.complaints() == []
    print(f"bombs of up to 400 MiB; memory now/most in MiB: {now // MIB}/{most // MIB}")
    assert most < 350 * MIB


@pytest.mark.kafka
@pytest.mark.chaos
async def test_very_many_bad_records_leave_memory_flat(installation: Installation, request: pytest.FixtureRequest) -> None:
    if "chaos" not in request.config.getoption("-m"):
        pytest.skip("a long run: only with `make chaos`")
    await run_malformed(installation, each_topic=10_000, huge_every=200, rounds=5)
