"""Every adapter on payloads with its vendor's names: what comes of each, to the letter, and the same through the stage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from mqlstream.cli import main
from mqlstream.core.event import KINDS, Event
from mqlstream.core.outcome import Reason
from mqlstream.engine.interfaces import Effects, Headers
from mqlstream.ingest.adapters.base import MAX_PARTS
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import ADAPTERS, source_of
from mqlstream.ingest.results import Anonymous, Ignored, IngestOptions, Rejected
from mqlstream.stages.ingest import IngestStage
from mqlstream.topics import Topics
from mqlstream.wire import decode, decode_visit

FIXTURES = Path(__file__).with_name("fixtures")
FILES = sorted(path for path in FIXTURES.iterdir() if path.suffix in (".jsonl", ".tsv", ".txt"))
TOPICS = Topics("mql.")
NOON = 1_772_452_800_000


@dataclass
class Got:
    value: bytes | None
    topic: str
    headers: Headers = ()
    partition: int = 3
    offset: int = 17
    timestamp: int = 1_790_000_000_000
    key: bytes | None = None


def adapted(path: Path) -> list[dict[str, Any]]:
    """What `adapters test` prints for a file of payloads."""
    done = CliRunner().invoke(main, ["adapters", "test", str(path), "--source", path.stem, "--format", "jsonl"])
    assert done.exit_code in (0, 1), done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == any(row["outcome"] == "rejected" for row in rows)
    return rows


def records(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line]


def process(records: list[Got], entry: dict[str, Any]) -> Effects:
    topics = {record.topic for record in records}
    options = IngestOptions(sources={topic: source_of(entry) for topic in topics})
    return IngestStage(TOPICS, 12, options).processor(3).process(records, NOON)


def results(value: Any, adapter: str, headers: Headers = (), **options: Any) -> list[Any]:
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return [reading.result for reading in read(source_of({"adapter": adapter, **options}), raw, headers, topic="t")]


def test_every_adapter_has_payloads() -> None:
    assert {path.stem for path in FILES} == set(ADAPTERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_payloads_become_what_is_written_beside_them(path: Path) -> None:
    expected = FIXTURES / "expected" / f"{path.name}.json"
    assert adapted(path) == json.loads(expected.read_text()), f"adapters test {path} --source {path.stem} --format json"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_stage_makes_the_same_of_them(path: Path) -> None:
    rows = adapted(path)
    effects = process([Got(value, path.stem) for value in records(path)], {"adapter": path.stem})
    events = [decode(output.value or b"") for output in effects.outputs if output.topic == TOPICS.lead_events]
    told = [row for row in rows if "lead_id" in row]
    assert [(event.source, event.id, event.kind, event.time, event.lead) for event in events] == [
        (row["source"], row["id"], row["kind"], row["time"], row["lead_id"]) for row in told
    ]
    assert [event.body for event in events] == [row["body"] for row in told]
    spoilt = {row["record"] for row in rows if row["outcome"] == "rejected"}
    assert sum(output.topic == TOPICS.dead_letters for output in effects.outputs) == len(spoilt) == len(effects.note.letters)
    anonymous = [row["id"] for row in rows if "visitor" in row]
    visits = [decode_visit(output.value or b"") for output in effects.outputs if output.topic == TOPICS.visitor_events]
    assert [visit.id for visit in visits if isinstance(visit, Event)] == anonymous
    assert sum(effects.note.ended.values()) == len(rows) - len(told) - len(anonymous)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_payloads_show_an_event_and_a_refusal_of_every_adapter(path: Path) -> None:
    outcomes = {row["outcome"] for row in adapted(path)}
    assert "event" in outcomes
    if path.name != "rudderstack.jsonl":  # segment's file has its refusals
        assert "rejected" in outcomes


@pytest.mark.parametrize("name", ADAPTERS)
def test_kinds_are_those_that_the_adapter_names(name: str) -> None:
    adapter = ADAPTERS[name]
    got = {row["kind"] for path in FILES if path.stem == name for row in adapted(path) if row["outcome"] == "event"}
    assert got <= set(adapter.kinds) <= set(KINDS)
    if name not in ("json", "cloudevents"):
        assert not {"feedback", "command"} & set(adapter.kinds), "no webhook answers for sales or erases a lead"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_same_payload_has_the_same_ids_and_no_id_twice(path: Path) -> None:
    first = [row["id"] for row in adapted(path) if row["outcome"] == "event"]
    again = [row["id"] for row in adapted(path) if row["outcome"] == "event"]
    assert first == again
    if path.stem != "livestorm":  # the same person, seen again on purpose
        assert len(set(first)) == len(first)


def test_a_bad_part_spoils_no_other_and_its_place_is_told() -> None:
    value = orjson.dumps(
        [{"event": "open", "email": "a@acme.example", "timestamp": 1772442900 + n, "sg_event_id": str(n)} for n in range(6)]
    )
    spoilt = value.replace(b'"timestamp":1772442902', b'"timestamp":"x"').replace(b'"timestamp":1772442904', b'"timestamp":[]')
    effects = process([Got(spoilt, "mail")], {"adapter": "sendgrid"})
    letters = [output for output in effects.outputs if output.topic == TOPICS.dead_letters]
    events = [decode(output.value or b"").id for output in effects.outputs if output.topic == TOPICS.lead_events]
    assert events == ["0", "1", "3", "5"]
    (letter,) = letters
    headers = {name: value.decode() for name, value in letter.headers}
    assert letter.value == spoilt
    assert headers["mqlstream.places"] == "2,4"
    assert headers["mqlstream.reason"] == "bad_time"
    assert headers["mqlstream.detail"] == '[2]: timestamp: got "x", expected epoch seconds; and 1 more'
    assert effects.note.letters == ["bad_time"]
    assert effects.note.ended == {("unknown", "rejected", "bad_time"): 2}


def test_a_dead_letter_that_comes_back_is_read_only_where_it_was_bad() -> None:
    value = orjson.dumps([{"event": "open", "email": "a@acme.example", "timestamp": 1772442900, "sg_event_id": str(n)} for n in range(4)])
    history: Headers = (("mqlstream.places", b"0"), ("mqlstream.places", b"1,3"))
    effects = process([Got(value, "mail", history)], {"adapter": "sendgrid"})
    assert [decode(output.value or b"").id for output in effects.outputs] == ["1", "3"]
    for unusable in (b"", b"x", b"-1", b"9" * 40, None):
        headers: Any = (("mqlstream.places", unusable),)
        assert len(process([Got(value, "mail", headers)], {"adapter": "sendgrid"}).outputs) == 4


def test_the_name_of_the_source_is_the_topics_unless_it_is_set() -> None:
    value = b'[{"event":"open","email":"a@acme.example","timestamp":1772442900,"sg_event_id":"1"}]'
    plain, named = ({"adapter": "sendgrid"}, {"adapter": "sendgrid", "source": "newsletter"})
    assert [decode(process([Got(value, "mail")], entry).outputs[0].value or b"").source for entry in (plain, named)] == [
        "mail",
        "newsletter",
    ]


def test_a_time_ahead_of_its_record_is_taken_at_the_record() -> None:
    value = b'[{"event":"open","email":"a@acme.example","timestamp":1772442900,"sg_event_id":"1"}]'
    record = Got(value, "mail", timestamp=1_772_400_000_000)
    event = decode(process([record], {"adapter": "sendgrid"}).outputs[0].value or b"")
    assert (event.time, event.clock_skew) == (1_772_400_000_000, True)


def test_visitors_keep_their_id_though_they_are_no_lead_yet() -> None:
    (result,) = results({"type": "page", "messageId": "1", "anonymousId": "a-1", "timestamp": "2026-03-02T09:15:00Z"}, "segment")
    assert isinstance(result, Anonymous)
    assert result.event.body["anonymous_id"] == "a-1"
    (known,) = results(
        {"type": "page", "messageId": "1", "anonymousId": "a-1", "userId": "a@acme.example", "timestamp": "2026-03-02T09:15:00Z"}, "segment"
    )
    assert isinstance(known, Event)
    assert (known.lead, known.body["anonymous_id"]) == ("a@acme.example", "a-1")


def test_machines_are_marked_as_their_providers_mark_them() -> None:
    marked = {path.stem: [row["id"] for row in adapted(path) if row.get("machine")] for path in FILES if path.suffix != ".tsv"}
    assert {name: ids for name, ids in marked.items() if ids} == {
        "mailgun": ["20514|Ase7i2zsRYeDXztHGENqRA"],
        "mandrill": ["8606637.6692f6cac28e45a9b371e182d5ca0a35|click|1772443120|https://shop.example/pricing?a=1&b=2+3"],
        "posthog": ["ph-5", "ph-7"],
        "sendgrid": ["sg-2"],
        "snowplow": ["5d4cf2a9-0000-4000-8000-000000000011"],
    }


def test_a_batch_beyond_the_limit_is_refused_whole() -> None:
    (result,) = results([{}] * (MAX_PARTS + 1), "sendgrid")
    assert result == Rejected("unknown", Reason.TOO_LARGE, f"value: got {MAX_PARTS + 1} entries, expected at most {MAX_PARTS}")
    assert len(results([{}] * MAX_PARTS, "sendgrid")) == MAX_PARTS
    assert results([], "sendgrid") == [Ignored("unknown", Reason.NO_TOUCH, "an empty batch")]


@pytest.mark.parametrize(
    ("adapter", "payload", "text"),
    [
        ("zoom", {"webinar_id": "w" * 513, "participants": []}, "webinar_id: got a text of 513 characters, expected at most 512"),
        ("gotowebinar", {"sessionKey": "s" * 513, "attendees": []}, "sessionKey: got a text of 513 characters, expected at most 512"),
        ("hubspot", {"formId": "f" * 513, "results": []}, "formId: got a text of 513 characters, expected at most 512"),
        (
            "ses",
            {"eventType": "Delivery", "delivery": {"recipients": [f"{n}@a.example" for n in range(51)]}, "mail": {"messageId": "m"}},
            "delivery: got 51 recipients, expected at most 50",
        ),
    ],
)
def test_what_every_event_of_a_record_gets_a_copy_of_is_bounded(adapter: str, payload: dict[str, Any], text: str) -> None:
    (result,) = results(payload, adapter)
    assert isinstance(result, Rejected)
    assert result.detail == text


def test_a_payload_nested_too_deep_is_refused() -> None:
    deep = b'{"a":' * 70 + b"1" + b"}" * 70
    for value in (deep, b"[" * 2000, b'[{"event":"open","x":' + deep + b"}]"):
        (result,) = results(value, "sendgrid")
        assert isinstance(result, Rejected)
        assert result.reason is Reason.TOO_DEEP
    inside = {"eventType": "Open", "Message": deep.decode(), "Type": "Notification"}
    (result,) = results(inside, "ses")
    assert (result.reason, result.detail) == (Reason.TOO_DEEP, "Message: nested too deep, expected at most 64 levels")


def test_a_binary_cloudevent_has_its_attributes_in_the_headers() -> None:
    headers: Headers = (
        ("ce_specversion", b"1.0"),
        ("ce_type", b"com.acme.signup"),
        ("ce_source", b"/site"),
        ("ce_id", b"A-9"),
        ("ce_time", b"2026-03-02T09:15:00Z"),
        ("content-type", b"application/json"),
    )
    (event,) = results({"mail": "ann@acme.example", "form": "demo"}, "cloudevents", headers, types={"com.acme.signup": "form_fill"},
                       fields={"email": "mail", "form": "form"})  # fmt: skip
    assert isinstance(event, Event)
    assert (event.source, event.id, event.kind, event.time, event.lead) == ("/site", "A-9", "form_fill", 1772442900000, "ann@acme.example")
    assert event.body == {"form": "demo", "ce_type": "com.acme.signup"}


def test_any_json_is_read_as_the_settings_map_it() -> None:
    payload = {
        "data": {
            "list": [
                {"no": 7, "at": 1772442900.25, "type": "signup", "who": {"mail": "Ann@acme.example"}, "x": 1},
                {"no": 8, "at": 1772442901, "type": "ping"},
                {"no": 9, "at": 1772442902, "type": "visit", "who": {"cookie": "c"}, "page": {"at": ["/pricing"]}},
                {"no": 10, "at": "x", "type": "signup", "who": {"mail": "bob@acme.example"}},
                {"no": 11, "type": "other"},
            ]
        }
    }
    first, skipped, visit, late, other = results(
        payload,
        "json",
        type="type",
        types={"signup": "form_fill", "visit": "web_visit"},
        ignore=["ping"],
        items="data.list",
        fields={
            "id": {"all": ["type", "no"]},
            "time": {"path": "at", "unit": "s"},
            "email": {"any": ["mail", "who.mail"]},
            "form": {"value": "signup"},
            "path": "page.at.0",
            "fields": ".",
        },
    )
    assert isinstance(first, Event)
    assert (first.id, first.kind, first.time, first.lead) == ("signup|7", "form_fill", 1772442900250, "ann@acme.example")
    assert first.body["fields"]["x"] == 1
    assert skipped == Ignored("unknown", Reason.NO_TOUCH, "data.list[1]: ping: the settings say so")
    assert (visit.reason, visit.kind) == (Reason.NO_LEAD, "web_visit")
    assert late == Rejected("unknown", Reason.BAD_TIME, 'data.list[3]: time: got "x", expected epoch seconds')
    assert other.detail == 'data.list[4]: type: got "other", expected one of signup visit'


def test_an_id_is_made_of_one_part_at_least() -> None:
    fields = {"id": {"all": ["type", "at.no"]}, "anonymous_id": {"all": ["tenant", "cookie"]}, "time": "time", "email": "mail"}
    known = {"time": NOON, "mail": "ann@acme.example"}
    parts = [known, known | {"type": "", "at": {"no": 1.5}}, known | {"at": {"no": 7}}, known | {"type": "a", "cookie": "c"}]
    none, useless, second, first = results(parts, "json", kind="activity", fields=fields)
    for refused, place in ((none, 0), (useless, 1)):
        assert refused == Rejected("unknown", Reason.MISSING_FIELD, f"[{place}]: id: missing, expected at least one of type at.no")
    assert [(event.id, event.body) for event in (second, first)] == [("|7", {}), ("a|", {"anonymous_id": "|c"})]
    headers: Headers = (("ce_type", b"t"), ("ce_id", b"7"), ("ce_source", b"/site"))
    (event,) = results(known, "cloudevents", headers, types={"t": "activity"}, fields=fields)
    assert event.id == "7"


@pytest.mark.parametrize(
    ("adapter", "payload", "named", "text"),
    [
        (
            "sendgrid",
            {"event": "open", "timestamp": 1772442900},
            {"email": "ann@acme.example"},
            "sg_event_id: missing, expected the event's id, or sg_message_id or email to make one of",
        ),
        (
            "posthog",
            {"event": "$pageview", "timestamp": "2026-03-02T09:15:00Z", "properties": {"$device_id": "d", "email": "ann@acme.example"}},
            {"distinct_id": "d"},
            "uuid: missing, expected the event's id, or distinct_id to make one of",
        ),
    ],
)
def test_what_nothing_tells_from_others_has_no_id(adapter: str, payload: dict[str, Any], named: dict[str, Any], text: str) -> None:
    assert results(payload, adapter) == [Rejected("unknown", Reason.MISSING_FIELD, text)]
    (event,) = results(payload | named, adapter)
    assert isinstance(event, Event)


def test_track_events_can_be_form_fills() -> None:
    call = {
        "type": "track",
        "messageId": "1",
        "userId": "a@acme.example",
        "event": "Signed Up",
        "properties": {"plan": "x"},
        "timestamp": "2026-03-02T09:15:00Z",
    }
    (event,) = results(call, "segment", forms={"Signed Up": "signup"})
    assert isinstance(event, Event)
    assert (event.kind, event.body["form"], event.body["fields"]) == ("form_fill", "signup", {"plan": "x"})


def test_who_leaves_a_webinar_and_comes_back_attended_once_for_the_sum() -> None:
    (row,) = [row for row in adapted(FIXTURES / "zoom.jsonl") if row["record"] == 4 and row.get("lead_id") == "ann@acme.example"]
    # 15:05 to 15:10, 15:20 to 15:50, and on a second device 15:40 to 16:00: 5 + 40 minutes.
    assert (row["body"]["attended_seconds"], row["body"]["stays"]) == (2700, 3)
    eve, kim = (row for row in adapted(FIXTURES / "gotowebinar.jsonl") if row["record"] == 2)
    assert (eve["body"]["attended_seconds"], kim["body"]["action"]) == (2400, "no_show")


def test_no_part_of_an_id_can_be_taken_for_two() -> None:
    def ids(*pairs: tuple[str, str]) -> set[str]:
        found = set()
        for message, link in pairs:
            payload = {"event": "click", "ts": 1772442900, "_id": message, "url": link, "msg": {"email": "a@acme.example"}}
            (event,) = results(payload, "mandrill")
            assert isinstance(event, Event)
            assert len(event.id) <= 512
            found.add(event.id)
        return found

    assert len(ids(("a|b", "c"), ("a", "b|c"), ("a\\", "|c"), ("a", "\\|c"), ("a", "x" * 9000), ("a", "x" * 9001))) == 6
