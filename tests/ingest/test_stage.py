"""The ingest stage by its effects: what goes where, and what is counted."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from mqlstream import metrics
from mqlstream.core.event import Event
from mqlstream.core.outcome import Reason
from mqlstream.engine.interfaces import Effects, Headers, Output
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import IngestOptions
from mqlstream.stages.dead_letter import LIMIT_BYTES, dead_letter
from mqlstream.stages.ingest import IngestStage
from mqlstream.topics import Topics
from mqlstream.wire import decode

NOON = 1_767_268_800_000
TOPICS = Topics("mql.")


@dataclass
class Got:
    value: bytes | None
    topic: str = TOPICS.web_visits
    partition: int = 3
    offset: int = 17
    timestamp: int = NOON
    key: bytes | None = b"a producer's key"
    headers: Headers = (("trace", b"t-1"), ("trace", b"t-2"))


def visit(**fields: Any) -> bytes:
    return orjson.dumps({"id": "v1", "time": NOON, "email": "Jane@acme.example", "path": "/pricing"} | fields)


def process(*records: Got, options: IngestOptions | None = None) -> Effects:
    stage = IngestStage(TOPICS, 12, options or IngestOptions())
    return stage.processor(3).process(records, NOON)


def headers(output: Output) -> dict[str, str]:
    return {name: value.decode() for name, value in output.headers}


def test_an_event_goes_to_its_leads_partition_with_the_input_records_timestamp() -> None:
    effects = process(Got(visit(), timestamp=NOON + 5))
    (output,) = effects.outputs
    key = b"jane@acme.example"
    assert (output.topic, output.key, output.headers) == ("mql.internal.lead-events.v1", key, ())
    assert (output.partition, output.timestamp) == (zlib.crc32(key) % 12, NOON + 5)
    assert output.value is not None
    assert decode(output.value) == Event(
        "mql.web-visits.v1", "v1", "web_visit", NOON, "jane@acme.example", {"path": "/pricing"}, "jane@acme.example"
    )
    assert effects.changelog == []


def test_every_input_topic_lends_its_kind_and_its_name() -> None:
    extra: dict[str, dict[str, Any]] = {"profile": {"attributes": {}}, "feedback": {"decision": "won"}, "command": {"do": "reset"}}
    records = [Got(visit(**extra.get(kind, {})), topic) for topic, kind in TOPICS.kinds.items()]
    events = [decode(output.value or b"") for output in process(*records).outputs]
    assert [(event.source, event.kind) for event in events] == list(TOPICS.kinds.items())


def test_an_unusable_record_becomes_a_dead_letter_with_everything_it_had() -> None:
    (output,) = process(Got(b"{]")).outputs
    assert (output.topic, output.key, output.value) == ("mql.dead-letters.v1", b"a producer's key", b"{]")
    assert (output.partition, output.timestamp) == (None, None)
    assert list(output.headers[:2]) == [("trace", b"t-1"), ("trace", b"t-2")]
    assert headers(output) == {
        "trace": "t-2",
        "__connect.errors.topic": "mql.web-visits.v1",
        "__connect.errors.partition": "3",
        "__connect.errors.offset": "17",
        "__connect.errors.connector.name": "mqlstream",
        "__connect.errors.task.id": "3",
        "__connect.errors.stage": "ingest",
        "__connect.errors.exception.class.name": "mqlstream.not_json",
        "__connect.errors.exception.message": "value: unexpected character, expected a string key: column 2, expected a JSON object",
        "mqlstream.reason": "not_json",
        "mqlstream.detail": "value: unexpected character, expected a string key: column 2, expected a JSON object",
        "mqlstream.stage": "ingest",
        "mqlstream.timestamp": str(NOON),
    }


def test_a_record_without_key_value_and_headers_becomes_a_dead_letter_without_them() -> None:
    (output,) = process(Got(None, key=None, headers=())).outputs
    assert (output.key, output.value, headers(output)["mqlstream.reason"]) == (None, None, "empty")


def test_order_is_kept_and_neighbours_of_an_unusable_record_are_read() -> None:
    effects = process(Got(visit(id="1")), Got(b"[]"), Got(visit(id="2", email=None)), Got(visit(id="3")))
    assert [output.topic for output in effects.outputs] == [TOPICS.lead_events, TOPICS.dead_letters, TOPICS.lead_events]
    assert effects.note.ended == {("web_visit", "rejected", "not_an_object"): 1, ("web_visit", "ignored", "no_lead"): 1}


def test_a_defect_of_ours_costs_one_record_only(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def sometimes(data: Any, **rest: Any) -> Any:
        if data == b"boom":
            raise KeyError("jane@acme.example")
        return canonical(data, **rest)

    monkeypatch.setattr("mqlstream.stages.ingest.canonical", sometimes)
    effects = process(Got(b"boom"), Got(visit()), Got(b"boom"))
    assert [output.topic for output in effects.outputs] == [TOPICS.dead_letters, TOPICS.lead_events, TOPICS.dead_letters]
    told = headers(effects.outputs[0])
    assert told["mqlstream.reason"] == "failed"
    assert told["__connect.errors.exception.class.name"] == "builtins.KeyError"
    assert effects.note.ended == {("web_visit", "rejected", "failed"): 2}
    (line,) = caplog.messages
    assert "mql.web-visits.v1 [3] offset 17: builtins.KeyError at " in line
    assert "jane" not in line


def test_a_record_with_a_broken_clock_is_written_with_the_time_of_writing() -> None:
    for timestamp in (-1, 0, 1_767_268_800, 10**15):
        (output,) = process(Got(visit(), timestamp=timestamp)).outputs
        assert output.timestamp is None


def test_a_dead_letter_too_large_for_its_topic_is_cut_and_says_so() -> None:
    record = Got(b"x" * (LIMIT_BYTES - 100))
    (output,) = process(record).outputs
    size = len(output.key or b"") + len(output.value or b"") + sum(len(name) + len(value) + 10 for name, value in output.headers)
    assert size <= LIMIT_BYTES
    assert output.value == b"x" * len(output.value or b"")
    assert headers(output)["mqlstream.truncated"] == f"headers=36,value={LIMIT_BYTES - 100}"
    assert headers(output)["mqlstream.reason"] == "too_large"


def test_a_key_and_headers_too_large_for_the_topic_are_cut_too() -> None:
    record = Got(b"", key=b"k" * 3_000_000, headers=(("h", b"v" * 2_000_000),))
    output = dead_letter("dead", "ingest", record, Reason.EMPTY, "empty", limit=1_000_000)
    assert (len(output.key or b""), output.value) == (65_536, b"")
    assert headers(output)["mqlstream.truncated"] == "headers=2000011,key=3000000"


def test_a_record_that_just_fits_is_not_cut() -> None:
    record = Got(b"y" * 900_000, key=b"k" * 99_000, headers=())
    output = dead_letter("dead", "ingest", record, Reason.EMPTY, "empty", limit=1_000_000)
    assert (output.key, output.value) == (record.key, record.value)
    assert "mqlstream.truncated" not in headers(output)


def test_what_ended_here_is_counted_once_it_is_committed() -> None:
    def counted() -> tuple[float, float]:
        events = metrics.EVENTS.labels(kind="unknown", outcome="rejected", reason="unknown_kind")
        return events._value.get(), metrics.DEAD_LETTERS.labels(reason="unknown_kind")._value.get()

    stage = IngestStage(TOPICS, 12)
    processor = stage.processor(0)
    before = counted()
    effects = processor.process([Got(visit(kind="visit")), Got(visit(kind="visit"))], None)
    assert counted() == before
    processor.committed(effects)
    assert counted() == (before[0] + 2, before[1] + 2)


def test_workers_that_map_forms_differently_do_not_share_the_work() -> None:
    plain, mapped = IngestStage(TOPICS, 12), IngestStage(TOPICS, 12, IngestOptions({"job": "title"}))
    assert plain.digest == ""
    assert mapped.digest != IngestStage(TOPICS, 12, IngestOptions({"job": "role"})).digest
    assert mapped.digest == IngestStage(TOPICS, 12, IngestOptions({"job": "title"})).digest


def test_the_stage_names_its_topics() -> None:
    stage = IngestStage(TOPICS, 12)
    assert stage.inputs == TOPICS.inputs
    assert (stage.name, stage.changelog) == ("ingest", "mql.internal.ingest-positions.v1")
    processor = stage.processor(0)
    processor.restore(b"key", b"value")
    assert processor.due_ms() is None
