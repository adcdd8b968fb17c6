"""Events on the lead-events topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream.core.event import Event
from mqlstream.wire import WireError, decode, encode, key_of, partition_of


def test_defaults_are_left_out() -> None:
    event = Event("web", "1", "web_visit", 1_767_268_800_000, "lead-1")
    assert encode(event) == b'{"source":"web","id":"1","kind":"web_visit","time":1767268800000,"lead":"lead-1"}'
    assert decode(encode(event)) == event


def test_all_fields_come_back() -> None:
    event = Event("web", "1", "form_fill", 1, "l", {"fields": {"a": [1.5, None]}}, "a@b.example", True, {"title": None}, True)
    assert decode(encode(event)) == event


def test_a_leads_partition_is_fixed_for_good() -> None:
    assert [partition_of(key_of(lead), 12) for lead in ("lead-1", "jane@acme.example", "ü")] == [4, 1, 1]


@given(st.binary(max_size=100))
def test_other_bytes_are_refused_in_one_way(value: bytes) -> None:
    with pytest.raises(WireError, match=r"^no event of the lead-events topic: "):
        decode(value)


def test_an_event_with_a_field_of_a_wrong_type_is_refused() -> None:
    with pytest.raises(WireError, match=r"Expected `int`, got `str` - at `\$.time`"):
        decode(b'{"source":"web","id":"1","kind":"web_visit","time":"now","lead":"l"}')
    with pytest.raises(WireError):
        decode(b'{"body":' + b"[" * 100_000)
