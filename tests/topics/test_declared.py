"""The declaration of topics: its names, its limits, and that its schemas say what ingest does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mqlstream.core.event import EARLIEST_MS, KINDS, LATEST_MS, Event
from mqlstream.ingest import canonical as reading
from mqlstream.ingest import fields
from mqlstream.ingest.canonical import canonical
from mqlstream.stages.dead_letter import LIMIT_BYTES
from mqlstream.topics import Topics, declared, largest_message_bytes, schema, schemas

NOON = 1_767_268_800_000
INPUTS = [topic for topic in declared() if topic.role == "input"]
EXAMPLES: dict[str, dict[str, Any]] = {
    "web_visit": {"email": "jane@acme.example", "url": "https://acme.example/pricing?utm_source=ads", "duration_seconds": 40.5},
    "form_fill": {"lead_id": "l", "form": "demo", "fields": {"company": "Acme"}, "trace": ["a"], "own": {"x": 1}},
    "email_click": {"lead_id": "l", "action": "click", "campaign": "spring", "machine": True, "time": "2026-01-01T12:00:00Z"},
    "webinar_attendance": {"lead_id": "l", "webinar": "w", "action": "attended", "attended_seconds": 1800},
    "activity": {"lead_id": "l", "name": "chat", "properties": {"agent": None}, "source": None},
    "profile": {"lead_id": "l", "attributes": {"title": "VP", "company": None}},
    "feedback": {"lead_id": "l", "handoff_id": "h", "decision": "accepted", "by": "Kim"},
    "command": {"lead_id": "l", "do": "merge", "into": "l2"},
}
WRONG: list[tuple[str, dict[str, Any]]] = [
    ("web_visit", {"id": ""}),
    ("web_visit", {"id": 1}),
    ("web_visit", {"time": 12}),
    ("web_visit", {"time": True}),
    ("web_visit", {"duration_seconds": "40"}),
    ("web_visit", {"lead_id": "x" * 513}),
    ("web_visit", {"title": "x" * 20_000}),
    ("web_visit", {"machine": "no"}),
    ("form_fill", {"fields": []}),
    ("email_click", {"action": "opened"}),
    ("webinar_attendance", {"action": "open"}),
    ("activity", {"properties": "none"}),
    ("profile", {"attributes": None}),
    ("profile", {"attributes": {str(number): 0 for number in range(201)}}),
    ("feedback", {"decision": "maybe"}),
    ("feedback", {"decision": None}),
    ("feedback", {"lead_id": None}),
    ("command", {"do": "explode"}),
    ("command", {"do": "retract"}),
    ("command", {"into": None}),
]


def schema_of(kind: str) -> dict[str, Any]:
    (topic,) = [topic for topic in INPUTS if topic.kind == kind]
    assert topic.schema is not None
    return schema(topic.schema)


def validator(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(kind))


def test_names_follow_the_prefix() -> None:
    topics = Topics("eu.")
    assert topics.handoff == "eu.handoff.v1"
    assert topics.lead_events == "eu.internal.lead-events.v1"
    assert topics.inputs[0] == "eu.web-visits.v1"
    assert len(topics.inputs) == 8
    assert Topics("").handoff == "handoff.v1"


def test_every_declared_topic_has_a_name_and_none_twice() -> None:
    topics = Topics()
    assert [getattr(topics, topic.key) for topic in declared()] == list(topics.all)
    assert len(set(topics.all)) == len(topics.all)


def test_every_kind_has_its_topic() -> None:
    assert tuple(Topics().kinds.values()) == KINDS


def test_internal_topics_have_the_configured_partitions_and_others_say_how_many() -> None:
    assert {topic.role for topic in declared()} == {"input", "internal", "output"}
    for topic in declared():
        assert topic.partitions is None or topic.role != "internal"
        assert topic.config["cleanup.policy"] in ("delete", "compact", "compact,delete")
        assert int(topic.config["max.message.bytes"]) > 0
        assert ("retention.ms" in topic.config) == topic.config["cleanup.policy"].endswith("delete")
        assert topic.description.endswith(".")


def test_one_replica_fewer_than_there_are_must_be_in_sync() -> None:
    topic = declared()[0]
    assert [topic.config_for(replicas)["min.insync.replicas"] for replicas in (1, 2, 3)] == ["1", "1", "2"]


def test_whatever_ingest_writes_fits_its_topic() -> None:
    limits = {topic.key: int(topic.config["max.message.bytes"]) for topic in declared()}
    framing_and_key = 4_096
    assert reading.MAX_EVENT_BYTES + framing_and_key <= limits["lead_events"]
    assert limits["web_visits"] >= reading.MAX_BYTES
    assert LIMIT_BYTES + framing_and_key <= limits["dead_letters"]
    assert largest_message_bytes() == limits["dead_letters"]


def test_every_schema_is_one_and_belongs_to_a_topic() -> None:
    folder = Path(__file__).parent.parent.parent / "topics" / "schemas"
    named = {content["$id"] for topic in declared() for content in schemas(topic).values()}
    for path in folder.iterdir():
        content = json.loads(path.read_text())
        jsonschema.Draft202012Validator.check_schema(content)
        assert content["$id"] == f"urn:mqlstream:schema:{path.stem}"
        assert content["$id"] in named


@pytest.mark.parametrize("kind", KINDS)
def test_an_example_of_each_kind_is_valid_and_is_read(kind: str) -> None:
    example = {"id": "1", "time": NOON, **EXAMPLES[kind]}
    for record in (example, {**example, "kind": kind}):
        validator(kind).validate(record)
        assert isinstance(canonical(record, kind=kind), Event)


@pytest.mark.parametrize(("kind", "fields"), WRONG)
def test_what_is_rejected_is_not_valid_either(kind: str, fields: dict[str, Any]) -> None:
    record = {"id": "1", "time": NOON, **EXAMPLES[kind], **fields}
    assert not validator(kind).is_valid(record)
    assert not isinstance(canonical(record, kind=kind), Event)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_name_the_fields_and_types_that_ingest_checks(kind: str) -> None:
    described = schema_of(kind)["properties"]
    own = {"id", "source", "kind", "time", "lead_id", "email", "machine", "trace"}
    assert set(described) - own == set(fields.TYPES[kind])
    for name, types in fields.TYPES[kind].items():
        told = described[name].get("type", ["string", "null"] if "enum" in described[name] else [])
        expected = {fields.TEXT: "string", fields.NUMBER: "number", fields.OBJECT: "object"}[types]
        assert expected in told, name


def test_the_schemas_name_the_limits_and_words_of_ingest() -> None:
    visit = schema_of("web_visit")["properties"]
    assert (visit["id"]["maxLength"], visit["title"]["maxLength"]) == (fields.MAX_ID, fields.MAX_TEXT)
    ms = visit["time"]["oneOf"][0]
    assert (ms["minimum"], ms["exclusiveMaximum"]) == (EARLIEST_MS, LATEST_MS)
    assert schema_of("profile")["properties"]["attributes"]["maxProperties"] == fields.MAX_ATTRIBUTES
    words = {
        "email_click": ("action", (*fields.EMAIL_ACTIONS, None)),
        "webinar_attendance": ("action", (*fields.WEBINAR_ACTIONS, None)),
        "feedback": ("decision", fields.DECISIONS),
        "command": ("do", fields.COMMANDS),
    }
    for kind, (name, known) in words.items():
        assert tuple(schema_of(kind)["properties"][name]["enum"]) == known
