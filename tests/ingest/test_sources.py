"""What the settings say of sources: which topic is read by which adapter, and the exact words when that can't be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mqlstream.cli import main
from mqlstream.config import load
from mqlstream.core.event import KINDS
from mqlstream.errors import UsageError
from mqlstream.ingest.adapters.registry import ADAPTERS, source_of
from mqlstream.ingest.results import IngestOptions
from mqlstream.program import ingest_options
from mqlstream.stages.ingest import IngestStage
from mqlstream.topics import Topics

TOPICS = Topics("mql.")
ALL_KINDS = "web_visit form_fill email_click webinar_attendance activity profile feedback command"
FORM = "a path, or one of {any: [paths]}, {all: [paths]}, {value: constant}, {path: ..., unit: ms|s|utc}"
PAGE = {"type": "page", "messageId": "1", "userId": "ann@acme.example", "timestamp": "2026-03-02T09:15:00Z"}


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({}, f"adapter: missing, expected one of {' '.join(ADAPTERS)}"),
        ({"adapter": "segmen"}, f'adapter: got "segmen", expected one of {" ".join(ADAPTERS)} (did you mean segment?)'),
        ({"adapter": 3}, f'adapter: got "3", expected one of {" ".join(ADAPTERS)}'),
        (
            {"adapter": "segment", "form": {}},
            '"form": no option of the adapter segment, expected some of source forms (did you mean forms?)',
        ),
        ({"adapter": "segment", "forms": ["x"]}, "forms: got \"['x']\", expected a map of texts such as Signed Up: signup"),
        ({"adapter": "hubspot", "form": 7}, 'form: got "7", expected text such as demo'),
        ({"adapter": "sendgrid", "source": "x" * 513}, "source: got a text of 513 characters, expected at most 512"),
        ({"adapter": "json", "kind": "visit"}, f"kind: got 'visit', expected one of {ALL_KINDS} (did you mean web_visit?)"),
        ({"adapter": "json", "type": "t"}, "type: expected the path of the payload's type, and with it `types`, `ignore` or both"),
        ({"adapter": "json", "ignore": ["x"]}, "type: expected the path of the payload's type, and with it `types`, `ignore` or both"),
        ({"adapter": "json", "types": {"a": "b"}, "type": "t"}, f"types.a: got 'b', expected one of {ALL_KINDS}"),
        ({"adapter": "json", "type": "t", "ignore": "x"}, "ignore: expected a list of types"),
        ({"adapter": "json", "items": "a..b"}, "items: got 'a..b', expected keys with single dots between them"),
        ({"adapter": "json", "fields": {}}, f"fields: got '{{}}', expected 1 to 100 canonical fields, each with {FORM}"),
        ({"adapter": "json", "fields": {"id": 1}}, f"fields.id: got '1', expected {FORM}"),
        (
            {"adapter": "json", "fields": {"id": {"path": "a", "unit": "h"}}},
            f"fields.id: got \"{{'path': 'a', 'unit': 'h'}}\", expected {FORM}",
        ),
        ({"adapter": "json", "fields": {"id": {"any": [""]}}}, "fields.id: got '', expected a path such as user.email"),
        (
            {"adapter": "cloudevents", "types": {"a": "visit"}},
            f"types.a: got 'visit', expected one of {ALL_KINDS} (did you mean web_visit?)",
        ),
    ],
)
def test_a_wrong_source_is_one_clear_line(entry: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:
        source_of(entry)
    assert str(caught.value) == text


def test_the_place_in_the_settings_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mqlstream.yaml"
    path.write_text("partitions: 4\nsources:\n  acme.x: {adapter: segment, nope: 1}\n")
    with pytest.raises(UsageError) as caught:
        ingest_options(load(path, {}))
    assert str(caught.value) == (f'{path}:2: sources.acme.x: "nope": no option of the adapter segment, expected some of source forms')


@pytest.mark.parametrize("topic", [TOPICS.lead_events, TOPICS.handoff, TOPICS.dead_letters, TOPICS.definitions])
def test_topics_that_mqlstream_writes_are_no_sources(topic: str) -> None:
    with pytest.raises(UsageError) as caught:
        ingest_options(load(None, {"MQLSTREAM_SOURCES": f"{topic}=json"}))
    expected = f"MQLSTREAM_SOURCES: sources.{topic}: mqlstream itself writes this topic, expected one that platform teams write"
    assert str(caught.value) == expected


def test_ingest_reads_the_configured_topics_besides_its_own() -> None:
    options = ingest_options(load(None, {"MQLSTREAM_SOURCES": f"acme.x=segment,{TOPICS.web_visits}=snowplow"}))
    assert IngestStage(TOPICS, 12, options).inputs == (*TOPICS.inputs, "acme.x")


def test_workers_that_read_sources_differently_do_not_share_the_work() -> None:
    def digest(**entry: Any) -> str:
        return IngestStage(TOPICS, 12, IngestOptions(sources={"t": source_of(entry)})).digest

    first = digest(adapter="segment", forms={"a": "b", "c": "d"})
    assert first == digest(forms={"c": "d", "a": "b"}, adapter="segment")
    assert len({first, digest(adapter="segment"), digest(adapter="rudderstack"), digest(adapter="segment", source="s"), ""}) == 5


def test_every_adapter_says_all_that_its_users_must_know() -> None:
    done = CliRunner().invoke(main, ["adapters", "list", "--format", "json"])
    rows = json.loads(done.stdout)
    assert [row["adapter"] for row in rows] == list(ADAPTERS)
    for row in rows:
        assert set(row["kinds"].split()) <= set(KINDS)
        assert all(row[name] for name in ("title", "takes", "identity", "event_id", "time", "machine", "ignored")), row["adapter"]
        assert row["pages"] or row["adapter"] in ("json", "snippet")  # the others are vendors' formats
    table = CliRunner().invoke(main, ["adapters", "list"]).stdout.splitlines()
    assert len(table) == 1 + len(ADAPTERS)


def test_a_topic_of_the_settings_can_be_tried_with_its_options(tmp_path: Path) -> None:
    config, payload = tmp_path / "mqlstream.yaml", tmp_path / "payload.json"
    config.write_text("sources:\n  acme.web: {adapter: segment, source: site}\n")
    payload.write_text(json.dumps(PAGE, indent=2))
    arguments = ["adapters", "test", str(payload), "--source", "acme.web", "--config", str(config), "--format", "jsonl"]
    done = CliRunner().invoke(main, arguments)
    assert json.loads(done.stdout) == {
        "record": 1,
        "place": None,
        "outcome": "event",
        "source": "site",
        "id": "1",
        "kind": "web_visit",
        "time": 1772442900000,
        "lead_id": "ann@acme.example",
        "email": "ann@acme.example",
        "body": {"user_id": "ann@acme.example"},
    }
    assert (done.exit_code, done.stderr) == (0, "1 record: 1 event, 0 ignored, 0 rejected\n")


def test_headers_and_stdin_are_taken_too() -> None:
    arguments = ["adapters", "test", "-", "--source", "cloudevents", "--format", "jsonl"]
    for header in ("ce_type=visit", "ce_id=7", "ce_source=/site", "ce_time=2026-03-02T09:15:00Z"):
        arguments += ["--header", header]
    done = CliRunner().invoke(main, arguments, input='{"kind": "web_visit", "email": "ann@acme.example"}')
    assert json.loads(done.stdout)["id"] == "7"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["-", "--source", "segmnt"],
            f'--source: got "segmnt", expected a topic under `sources` or one of {" ".join(ADAPTERS)} (did you mean segment?)',
        ),
        (["-", "--source", "segment", "--header", "x"], '--header: got "x", expected NAME=VALUE'),
        (["none.json", "--source", "segment"], "none.json: No such file or directory"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_2(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(main, ["adapters", "test", *arguments])
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"Error: {text}\n")
