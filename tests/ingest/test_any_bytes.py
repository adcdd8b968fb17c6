"""Whatever a record holds: an event, an ignored or a rejected, never an exception; and every event can be written and read back."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.core.event import EARLIEST_MS, KINDS, LATEST_MS, Event
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.fields import COMMANDS, DECISIONS, EMAIL_ACTIONS, TYPES, WEBINAR_ACTIONS
from mqlstream.ingest.results import Anonymous, Ignored, IngestOptions, Rejected
from mqlstream.wire import decode, encode, partition_of

FORMS = IngestOptions({"a": "title", "b": "company"})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(sorted({"id", "source", "kind", "time", "lead_id", "email", "machine"} | {n for t in TYPES.values() for n in t}))
words = st.sampled_from([*KINDS, *EMAIL_ACTIONS, *WEBINAR_ACTIONS, *DECISIONS, *COMMANDS, "a@b.example", "https://a.example/?utm_x=1"])
times = st.integers(EARLIEST_MS, LATEST_MS - 1) | st.datetimes().map(lambda moment: moment.isoformat() + "Z")


def holds(value: bytes, record_ms: int | None) -> None:
    for kind in ("web_visit", "form_fill", None):
        result = canonical(value, kind=kind, source="mql.web-visits.v1", record_ms=record_ms, options=FORMS)
        assert isinstance(result, (Event, Anonymous, Ignored, Rejected))
        if isinstance(result, Event):
            assert decode(encode(result)) == result
            assert EARLIEST_MS <= result.time < LATEST_MS
            assert result.id
            assert result.lead
            assert 0 <= partition_of(result.lead.encode(), 12) < 12
        else:
            assert result.detail
            assert "\n" not in result.detail
            assert result.kind in (*KINDS, "unknown")


@given(st.binary(max_size=300), st.none() | st.integers(-1, LATEST_MS))
def test_any_bytes_have_an_outcome(value: bytes, record_ms: int | None) -> None:
    holds(value, record_ms)


@given(json_values)
def test_any_json_value_has_an_outcome(value: Any) -> None:
    holds(json.dumps(value).encode(), None)


@given(
    st.dictionaries(names | st.text(max_size=5), words | json_values, max_size=8),
    st.fixed_dictionaries(
        {}, optional={"id": st.text(max_size=5), "time": times, "lead_id": st.text(max_size=5), "kind": st.sampled_from(KINDS)}
    ),
    st.none() | st.integers(EARLIEST_MS, LATEST_MS),
)
def test_any_object_with_the_contracts_names_has_an_outcome(fields: dict[str, Any], common: dict[str, Any], record_ms: int | None) -> None:
    holds(json.dumps({**fields, **common}).encode(errors="replace"), record_ms)


@given(st.dictionaries(names, words | json_values, max_size=6))
def test_an_object_is_read_as_its_text_would_be(fields: dict[str, Any]) -> None:
    try:
        text = orjson.dumps(fields)
    except TypeError:
        assert isinstance(canonical(fields, kind="activity"), Rejected)
    else:
        assert canonical(dict(fields), kind="activity") == canonical(text, kind="activity")
