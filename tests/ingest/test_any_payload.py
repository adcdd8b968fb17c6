"""Whatever a payload holds: events, ignored and rejected, never an exception, nothing without bounds. From the fixtures, spoilt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mqlstream.core.event import EARLIEST_MS, KINDS, LATEST_MS, Event
from mqlstream.ingest.adapters.base import Headers, Source
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import ADAPTERS, source_of
from mqlstream.ingest.results import Anonymous, Ignored, Rejected
from mqlstream.wire import decode, encode
from tests.ingest.test_adapters import FILES, records

PAYLOADS = {name: [value for path in FILES if path.stem == name for value in records(path)] for name in ADAPTERS}
MAPPED: dict[str, dict[str, Any]] = {
    "json": {
        "type": "kind",
        "types": {"activity": "activity", "visit": "web_visit"},
        "ignore": ["x"],
        "items": "a.b",
        "fields": {
            "id": {"all": ["id", "time"]},
            "time": {"path": "time", "unit": "s"},
            "email": {"any": ["email", "e.0"]},
            "name": {"value": "n"},
            "properties": ".",
        },
    },
    "cloudevents": {"types": {"com.acme.visit": "web_visit"}, "fields": {"email": "email", "url": "url"}},
    "gravity_forms": {"email": "3", "names": {"3": "email"}, "forms": {"7": "demo"}},
    "segment": {"forms": {"Demo Watched": "demo"}},
}
SPOILS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["", "x" * 600, "2026-03-02 09:15:00", "2026-13-40T99:99:99Z", "a@b.example", "\ud7ff\x00\n\t", "-1"]),
    st.lists(st.none() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=3),
)
RECORD_MS = st.none() | st.integers(EARLIEST_MS, LATEST_MS - 1)


def holds(source: Source, value: bytes, headers: Headers = (), record_ms: int | None = None) -> None:
    readings = read(source, value, headers, topic="t", record_ms=record_ms)
    assert readings
    assert len(readings) <= 5 + 5 * value.count(b"{") + value.count(b",")
    for reading in readings:
        result = reading.result
        assert isinstance(result, (Event, Anonymous, Ignored, Rejected))
        if isinstance(result, Event):
            assert decode(encode(result)) == result
            assert EARLIEST_MS <= result.time < LATEST_MS
            assert 0 < len(result.id) <= 512
            assert result.kind in KINDS
        else:
            assert result.detail
            assert "\n" not in result.detail
            assert len(result.detail) < 1_000
            assert result.kind in (*KINDS, "unknown")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all that a JSON value holds."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places(inner, (*path, number))
    return found


def spoil(value: Any, path: tuple[Any, ...], how: str, by: Any) -> None:
    """Drop, replace, wrap or repeat what stands at a path."""
    *way, last = path
    for key in way:
        value = value[key]
    if how == "drop":
        del value[last]
    elif how == "replace":
        value[last] = by
    elif how == "wrap":
        value[last] = {"a": [value[last]]}
    elif how == "list":
        value[last] = [value[last], by]
    elif how == "text":
        value[last] = json.dumps(value[last])
    elif isinstance(value, dict):
        value[f"{last}x"] = value.pop(last)


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_spoilt_payloads_have_an_outcome(name: str, data: st.DataObject) -> None:
    source = source_of({"adapter": name, **data.draw(st.sampled_from([{}, MAPPED.get(name, {})]))})
    raw = data.draw(st.sampled_from(PAYLOADS[name]))
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    for _ in range(data.draw(st.integers(1, 4))):
        known = places(value)
        if not known:
            break
        how = data.draw(st.sampled_from(["drop", "replace", "replace", "wrap", "list", "text", "rename"]))
        spoil(value, data.draw(st.sampled_from(known)), how, data.draw(SPOILS))
    holds(source, raw if value is None else json.dumps(value).encode(), (), data.draw(RECORD_MS))


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_spoilt_bytes_have_an_outcome(name: str, data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from(PAYLOADS[name])))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(0, len(raw) - 1)))
        raw[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=6))
    holds(source_of({"adapter": name}), bytes(raw))


@pytest.mark.parametrize("name", ADAPTERS)
@given(value=st.binary(max_size=200), header=st.binary(max_size=20))
def test_any_bytes_have_an_outcome(name: str, value: bytes, header: bytes) -> None:
    holds(source_of({"adapter": name}), value, (("ce_type", header), ("ce_specversion", header), ("ce_id", header), ("x", header)))


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_largest_payloads_of_nothing_come_to_an_end(name: str) -> None:
    source = source_of({"adapter": name})
    lists = (b"[" + b"{}," * 300_000 + b"{}]", b"[" + b"0," * 400_000 + b"0]")
    for part in (*lists, b"&a=b" * 240_000, b"a[b]" * 240_000 + b"=1", b"\t" * 999_999):
        readings = read(source, part)
        assert len(readings) == 1
        assert not isinstance(readings[0].result, Event)
    (reading,) = read(source, b" " * 1_000_001)
    assert isinstance(reading.result, Rejected)
