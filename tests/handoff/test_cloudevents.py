"""Handoff records: what is written is CloudEvents 1.0 in both content modes, and what is read is what was written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.core import outputs
from mqlstream.handoff.cloudevents import encode, schema_uri
from mqlstream.handoff.contract import BECAME_MQL, TYPES, HandoffEvent, NotAHandoff, parse

EVENT: dict[str, Any] = {
    "type": BECAME_MQL,
    "id": "5f0c",
    "lead_id": "jürgen@acme.example",
    "time": 1_793_610_000_007,
    "data": {"cycle": 1, "score": {"total": 101.5}},
}
SOURCE = "urn:mqlstream:acme"


def test_binary_mode_has_the_attributes_as_headers_and_the_data_as_value() -> None:
    key, value, headers = encode(EVENT, SOURCE)
    assert key == "jürgen@acme.example".encode()
    assert orjson.loads(value) == EVENT["data"]
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"5f0c",
        "ce_source": b"urn:mqlstream:acme",
        "ce_type": b"mqlstream.lead.became_mql.v1",
        "ce_time": b"2026-11-02T09:00:00.007Z",
        "ce_subject": "jürgen@acme.example".encode(),
        "ce_dataschema": b"urn:mqlstream:schema:mqlstream.lead.became_mql.v1",
        "content-type": b"application/json",
    }


def test_structured_mode_has_everything_in_the_value() -> None:
    key, value, headers = encode(EVENT, SOURCE, structured=True)
    assert key == "jürgen@acme.example".encode()
    assert dict(headers) == {"content-type": b"application/cloudevents+json; charset=UTF-8"}
    assert orjson.loads(value) == {
        "specversion": "1.0",
        "id": "5f0c",
        "source": "urn:mqlstream:acme",
        "type": "mqlstream.lead.became_mql.v1",
        "time": "2026-11-02T09:00:00.007Z",
        "subject": "jürgen@acme.example",
        "dataschema": "urn:mqlstream:schema:mqlstream.lead.became_mql.v1",
        "datacontenttype": "application/json",
        "data": {"cycle": 1, "score": {"total": 101.5}},
    }


@given(
    event_type=st.sampled_from(TYPES),
    lead=st.text("aé@日😀\n ", min_size=1),
    time_ms=st.integers(946_684_800_000, 4_102_444_799_999),
    data=st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(st.none(), st.integers(-(2**53), 2**53), st.text('é"\\', max_size=3))),
    structured=st.booleans(),
)
def test_what_is_written_is_read_back(event_type: str, lead: str, time_ms: int, data: dict[str, Any], structured: bool) -> None:
    _, value, headers = encode(
        {"type": event_type, "id": "x", "lead_id": lead, "time": time_ms, "data": data}, SOURCE, structured=structured
    )
    assert parse(value, headers) == HandoffEvent(event_type, "x", SOURCE, lead, time_ms, data, schema_uri(event_type))


def test_the_contract_names_every_type_that_scoring_puts_out() -> None:
    assert {outputs.BECAME_MQL, outputs.MQL_WITHDRAWN, outputs.STAGE_CHANGED} <= set(TYPES)


def test_an_event_prints_as_the_object_it_was_made_from() -> None:
    _, value, headers = encode(EVENT, SOURCE)
    assert parse(value, headers).as_json() == EVENT


def test_times_of_other_writers_may_have_an_offset_and_no_fraction() -> None:
    _, value, headers = encode(EVENT, SOURCE)
    moved = [(name, b"2026-11-02T10:00:00+01:00" if name == "ce_time" else text) for name, text in headers]
    assert parse(value, moved).time_ms == 1_793_610_000_000


def _binary(**changes: bytes | None) -> tuple[bytes, list[tuple[str, bytes]]]:
    _, value, headers = encode(EVENT, SOURCE)
    merged = {**dict(headers), **{f"ce_{name}": text for name, text in changes.items()}}
    return value, [(name, text) for name, text in merged.items() if text is not None]


@pytest.mark.parametrize(
    ("value", "headers", "text"),
    [
        (b"{}", [], "no CloudEvents headers (ce_id, ce_type, ...), and content-type does not name CloudEvents"),
        (None, _binary()[1], "the record has no value"),
        (b"{", _binary()[1], "the value is not JSON"),
        (b"[]", _binary()[1], "the value is no JSON object"),
        (*_binary(id=None), "attribute id is missing, expected text"),
        (*_binary(subject=b""), "attribute subject is missing, expected text"),
        (*_binary(specversion=b"0.3"), "specversion is '0.3', expected '1.0'"),
        (*_binary(time=b"yesterday"), "attribute time is no RFC 3339 time"),
        (*_binary(time=b"2026-11-02T06:00:00"), "attribute time has no offset from UTC"),
        (*_binary(type=b"\xff"), "a header is not UTF-8"),
        (
            b"[]",
            [("content-type", b"application/cloudevents-batch+json")],
            "content-type is application/cloudevents-batch+json, expected application/cloudevents+json or application/json",
        ),
        (b"{}", [("content-type", b"application/cloudevents+json")], "attribute id is missing, expected text"),
    ],
)
def test_what_is_no_handoff_is_refused_with_the_reason(value: bytes | None, headers: list[tuple[str, bytes]], text: str) -> None:
    with pytest.raises(NotAHandoff) as caught:
        parse(value, headers)
    assert str(caught.value) == text
