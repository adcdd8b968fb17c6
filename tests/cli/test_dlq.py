"""`mqlstream dlq` on the embedded broker: what is shown, and that a record goes back as it was, once, with its history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord
from click.testing import CliRunner, Result

from mqlstream.cli import main
from mqlstream.core.outcome import Reason
from mqlstream.dead_letters.letter import HISTORY, RETRIED, RETRIES
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.engine.interfaces import Output
from mqlstream.ingest.adapters.registry import source_of
from mqlstream.ingest.results import IngestOptions
from mqlstream.stages.dead_letter import PLACES, dead_letter
from mqlstream.stages.ingest import IngestStage
from mqlstream.topics import Topics

AT = 1_793_610_000_000
VISIT = b'{"id": "v1", "source": "web", "time": 1793610000000, "lead_id": "ann", "path": "/"}'


@dataclass
class Read:
    """A record as a stage reads it."""

    topic: str
    value: bytes | None
    partition: int = 1
    offset: int = 41
    timestamp: int = AT
    key: bytes | None = b"\xff\x00"
    headers: Sequence[tuple[str, bytes]] = (("ce_id", b"7"), ("trace", b"\xfe"), ("ce_id", b"8"))


class Cluster:
    """Topics of a test's own on the shared broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.topics = Topics(f"t{uuid4().hex}.")

    def run(self, *arguments: str, **more: str) -> Result:
        environ = {"MQLSTREAM_BOOTSTRAP_SERVERS": self.bootstrap, "MQLSTREAM_TOPIC_PREFIX": self.topics.prefix, **more}
        return CliRunner().invoke(main, ["dlq", *arguments], env=environ)

    def rows(self, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
        done = self.run(*arguments, "--format", "jsonl")
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]

    def put(self, *letters: Output, partition: int = 0) -> list[str]:
        """Write dead letters as a stage does; their places."""
        return asyncio.run(self._put(letters, partition))

    async def _put(self, letters: Sequence[Output], partition: int) -> list[str]:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=2**24) as producer:
            stored = [
                await producer.send_and_wait(each.topic, each.value, each.key, partition, headers=list(each.headers)) for each in letters
            ]
        return [f"{each.partition}:{each.offset}" for each in stored]

    def letter(self, record: Read, reason: Reason = Reason.MISSING_FIELD, detail: str = "id: missing", **more: Any) -> Output:
        return dead_letter(self.topics.dead_letters, "ingest", record, reason, detail, **more)

    def stored(self, topic: str) -> list[ConsumerRecord]:
        """Every committed record of a topic."""
        return asyncio.run(self._stored(topic))

    async def _stored(self, topic: str) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        try:
            found: list[ConsumerRecord] = []
            for place in [TopicPartition(topic, number) for number in range(PARTITIONS)]:
                consumer.assign([place])
                await consumer.seek_to_beginning(place)
                end = (await consumer.end_offsets([place]))[place]
                while await consumer.position(place) < end:
                    found += (await consumer.getmany(place, timeout_ms=200)).get(place, ())
            return found
        finally:
            await consumer.stop()


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture
def cluster(bootstrap: str) -> Cluster:
    made = Cluster(bootstrap)
    for topic in (made.topics.web_visits, made.topics.form_fills, made.topics.dead_letters):
        asyncio.run(_touch(bootstrap, topic))
    return made


async def _touch(bootstrap: str, topic: str) -> None:
    """The embedded broker makes a topic when it is first named."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.partitions_for(topic)


def as_it_was(record: ConsumerRecord) -> Read:
    return Read(record.topic, record.value, record.partition, record.offset, record.timestamp, record.key, record.headers)


def test_dead_letters_are_listed_by_reason_topic_and_time(cluster: Cluster) -> None:
    visits, forms = cluster.topics.web_visits, cluster.topics.form_fills
    one, two = cluster.put(cluster.letter(Read(visits, b"{}")), cluster.letter(Read(forms, b"{", offset=7), Reason.NOT_JSON, "value: bad"))
    (three,) = cluster.put(cluster.letter(Read(visits, b"[]"), Reason.NOT_AN_OBJECT, "value: got a list"), partition=3)
    rows = cluster.rows("list")
    assert {row["place"] for row in rows} == {one, two, three}
    assert [row["place"] for row in cluster.rows("list", "--reason", "not_json", "--reason", "failed")] == [two]
    assert {row["place"] for row in cluster.rows("list", "--topic", visits)} == {one, three}
    assert cluster.rows("list", "--source", visits) == cluster.rows("list", "--topic", visits), "a source is named by its topic"
    assert cluster.rows("list", "--until", "2026-11-01T00:00:00Z") == []
    first = min(row["put_aside"] for row in rows)
    assert len(cluster.rows("list", "--since", str(first))) == 3
    assert cluster.rows("list", "--until", str(first)) == []
    row = next(row for row in rows if row["place"] == two)
    assert row == {
        "place": two,
        "put_aside": row["put_aside"],
        "reason": "not_json",
        "topic": forms,
        "partition": 1,
        "offset": 7,
        "stage": "ingest",
        "retries": 0,
        "retried": False,
        "cut": None,
        "detail": "value: bad",
    }
    done = cluster.run("list", "--limit", "1")
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "3 dead letters, 1 shown\n")
    rows = cluster.rows("list", "--count")
    counted = {(row["reason"], row["topic"]): (row["dead_letters"], row["retried"]) for row in rows}
    assert {type(row[name]) for row in rows for name in ("oldest", "newest")} == {int}, "times are epoch milliseconds in JSON"
    assert counted == {("missing_field", visits): (1, 0), ("not_json", forms): (1, 0), ("not_an_object", visits): (1, 0)}


def test_a_table_marks_a_detail_that_it_cuts(cluster: Cluster) -> None:
    whole, longer = "a" * 100, "b" * 101
    cluster.put(cluster.letter(Read("x", b"{"), detail=whole), cluster.letter(Read("x", b"{"), detail=longer))
    lines = cluster.run("list").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:]] == [whole, "b" * 97 + "..."]
    assert [row["detail"] for row in cluster.rows("list")] == [whole, longer]


def test_a_whole_dead_letter_is_shown_with_its_bytes_and_no_terminal_obeys_it(cluster: Cluster) -> None:
    (place, other) = cluster.put(
        cluster.letter(Read(cluster.topics.web_visits, b"\x1b[2J{}")), cluster.letter(Read("x", None, key=b"", headers=()))
    )
    first, second = cluster.rows("show", place, other)
    assert first["value"] == "\x1b[2J{}"
    assert (first["key"], first["timestamp"]) == ({"base64": "/wA="}, AT)
    assert first["headers"] == [["ce_id", "7"], ["trace", {"base64": "/g=="}], ["ce_id", "8"]]
    assert (second["key"], second["value"], second["headers"]) == ("", None, [])
    done = cluster.run("show", place)
    assert "\x1b" not in done.stdout
    assert "\\x1b[2J{}" in done.stdout
    assert '               key  {"base64": "/wA="}\n           headers  [["ce_id", "7"], ' in done.stdout
    assert "               cut  -\n" in done.stdout
    done = cluster.run("show", place, "2:99")
    assert done.exit_code == 1
    assert "no dead letter at 2:99, expected places as `mqlstream dlq list` prints them" in done.stderr


def test_a_record_goes_back_to_its_partition_as_it_was_with_its_history_and_only_once(cluster: Cluster) -> None:
    visits = cluster.topics.web_visits
    original = Read(visits, VISIT)
    (place,) = cluster.put(cluster.letter(original, Reason.FAILED, "oops"))
    (dry,) = cluster.rows("retry", "--all", "--dry-run")
    assert (dry["place"], dry["outcome"], dry["topic"]) == (place, "to retry", visits)
    assert cluster.stored(visits) == []

    (told,) = cluster.rows("retry", "--reason", "failed")
    (record,) = cluster.stored(visits)
    assert told == {
        "place": place,
        "outcome": "retried",
        "reason": "failed",
        "topic": visits,
        "partition": record.partition,
        "offset": record.offset,
        "retries": 1,
        "why": None,
    }
    assert (record.partition, record.key, record.value, record.timestamp) == (1, original.key, original.value, original.timestamp)
    headers = list(record.headers)
    assert headers[: len(original.headers)] == list(original.headers)
    assert headers[len(original.headers)] == (RETRIES, b"1")
    (history,) = [json.loads(value) for name, value in headers if name == HISTORY]
    assert (history["reason"], history["detail"], history["stage"]) == ("failed", "oops", "ingest")
    assert history["dead_letter"] == f"{cluster.topics.dead_letters}:{place}"
    assert [dict(each.headers) for each in cluster.stored(cluster.topics.dead_letters)][-1] == {RETRIED: place.encode()}

    assert cluster.rows("list")[0]["retried"] is True
    (told,) = cluster.rows("retry", "--all", code=1)
    assert (told["outcome"], told["why"]) == ("left", "was retried before (--again retries it once more)")
    assert len(cluster.stored(visits)) == 1
    (told,) = cluster.rows("retry", "--place", place, "--again")
    assert told["outcome"] == "retried"
    assert len(cluster.stored(visits)) == 2


def test_a_record_that_keeps_coming_back_is_left_after_some_retries_with_all_its_history(cluster: Cluster) -> None:
    visits = cluster.topics.web_visits
    record = Read(visits, b"{}")
    for number in range(3):
        (place,) = cluster.put(cluster.letter(record, Reason.MISSING_FIELD, f"attempt {number}"))
        (told,) = cluster.rows("retry", "--place", place)
        assert (told["outcome"], told["retries"]) == ("retried", number + 1)
        record = as_it_was(cluster.stored(visits)[-1])
        assert list(record.headers)[:3] == list(Read(visits, None).headers)
    assert [json.loads(value)["detail"] for name, value in record.headers if name == HISTORY] == ["attempt 0", "attempt 1", "attempt 2"]
    (place,) = cluster.put(cluster.letter(record))
    (told,) = cluster.rows("retry", "--place", place, code=1)
    assert told["why"] == "came back after 3 retries (--most allows more)"
    assert cluster.rows("retry", "--place", place, "--most", "4")[0]["retries"] == 4
    assert cluster.rows("list")[-1]["retries"] == 3


def test_a_batch_goes_back_for_its_bad_parts_alone(cluster: Cluster) -> None:
    visits = cluster.topics.web_visits
    batch = json.dumps([{**json.loads(VISIT), "id": name} if name else {"kind": "web_visit"} for name in ("a", "", "b")]).encode()
    options = IngestOptions(sources={visits: source_of({"adapter": "json", "kind": "web_visit"})})
    processor = IngestStage(cluster.topics, PARTITIONS, options).processor(0)

    def letters(record: Read) -> list[Output]:
        return [each for each in processor.process([record], None).outputs if each.topic == cluster.topics.dead_letters]

    (first,) = letters(Read(visits, batch))
    (place,) = cluster.put(first)
    assert cluster.rows("show", place)[0]["places"] == "1"
    cluster.rows("retry", "--place", place)
    again = as_it_was(cluster.stored(visits)[-1])
    assert [value for name, value in again.headers if name == PLACES] == [b"1"]
    outputs = processor.process([again], None).outputs
    assert [each.topic for each in outputs] == [cluster.topics.dead_letters], "the good parts are not read twice"
    (place,) = cluster.put(*letters(again))
    cluster.rows("retry", "--place", place)
    assert [value for name, value in cluster.stored(visits)[-1].headers if name == PLACES] == [b"1"]


def test_what_cannot_go_back_is_left_and_told_and_the_others_go(cluster: Cluster) -> None:
    visits = cluster.topics.web_visits
    places = cluster.put(
        cluster.letter(Read(visits, b"x" * 9_000), Reason.FAILED, "", limit=2_000),
        cluster.letter(Read("no.such.topic", b"{}")),
        cluster.letter(Read(visits, None), Reason.EMPTY),
        cluster.letter(Read(visits, b"{}", partition=PARTITIONS)),
        cluster.letter(Read(visits, VISIT)),
    )
    told = {row["place"]: row for row in cluster.rows("retry", "--all", code=1)}
    assert [told[place]["outcome"] for place in places] == ["left"] * 4 + ["retried"]
    assert told[places[0]]["why"].startswith("was cut (headers=")
    assert told[places[0]]["why"].endswith(f"; the whole record stands at {visits} partition 1 offset 41")
    assert told[places[1]]["why"] == "there is no topic no.such.topic"
    assert told[places[2]]["why"] == "has no value, and would come back"
    assert told[places[3]]["why"] == f"topic {visits} has no partition {PARTITIONS}"
    assert [record.value for record in cluster.stored(visits)] == [VISIT]


def test_many_go_back_in_several_transactions_each_once(cluster: Cluster) -> None:
    visits = cluster.topics.web_visits
    for partition in (0, 2):
        cluster.put(
            *[cluster.letter(Read(visits, b"%d" % number)) for number in range(partition * 130, partition * 130 + 130)], partition=partition
        )
    rows = cluster.rows("retry", "--topic", visits)
    assert [row["outcome"] for row in rows] == ["retried"] * 260
    stored = {(record.partition, record.offset): record for record in cluster.stored(visits)}
    assert len({record.value for record in stored.values()}) == len(stored) == 260
    assert {(row["partition"], row["offset"]) for row in rows} == set(stored), "each is where it is said to be"


def test_foreign_records_and_forged_headers_do_no_harm(cluster: Cluster) -> None:
    topic = cluster.topics.dead_letters
    forged = Read(
        cluster.topics.web_visits, VISIT, headers=((RETRIES, b"x" * 99), ("__connect.errors.topic", b"other"), (HISTORY, b"\xff"))
    )
    cluster.put(
        Output(topic, b"k", b"hello", ()),
        Output(topic, None, b"hello", (("__connect.errors.topic", b"x"), ("__connect.errors.offset", b"-"))),
        Output(topic, None, b"", ((RETRIED, b"9:9:9"),)),
        cluster.letter(forged),
    )
    done = cluster.run("list", "--format", "jsonl")
    assert done.stderr == "1 dead letter, 1 shown; 3 records on the topic of another kind\n"
    (told,) = cluster.rows("retry", "--all")
    assert (told["topic"], told["retries"]) == (cluster.topics.web_visits, 1)
    (record,) = cluster.stored(cluster.topics.web_visits)
    assert ("__connect.errors.topic", b"other") in record.headers


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("retry",), "Error: dlq retry: expected --reason, --topic, --since, --until or --place, or else --all"),
        (
            ("retry", "--all", "--reason", "failed"),
            "Error: dlq retry: expected --reason, --topic, --since, --until or --place, or else --all",
        ),
        (("list", "--reason", "notjson"), "Error: --reason: got 'notjson', expected one of duplicate "),
        (("list", "--since", "tomorrow"), "Error: --since: got 'tomorrow', expected epoch milliseconds or RFC 3339"),
        (("show", "3"), "Error: got the place '3', expected PARTITION:OFFSET such as 3:17"),
        (("retry", "--place", "3:x"), "Error: got the place '3:x', expected PARTITION:OFFSET such as 3:17"),
    ],
)
def test_a_wrong_usage_is_one_line(arguments: Sequence[str], error: str) -> None:
    done = CliRunner().invoke(main, ["dlq", *arguments], env={"MQLSTREAM_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(error)


def test_without_a_broker_it_says_so() -> None:
    done = CliRunner().invoke(main, ["dlq", "list"], env={"MQLSTREAM_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert done.exit_code == 3
    assert done.stderr.startswith("Error: cannot reach Kafka at 127.0.0.1:1 with PLAINTEXT: ")


def test_without_the_topic_it_says_how_to_make_it(bootstrap: str) -> None:
    done = Cluster(bootstrap).run("list")
    assert done.exit_code == 2
    assert done.stderr.endswith(".dead-letters.v1 on the broker; create what is missing: mqlstream topics apply\n")
