"""The packed form of a lead: nothing is lost in it, and it stays small."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mqlstream import offline
from mqlstream.core.event import Event
from mqlstream.core.packing import WELL_KNOWN, Packer, PackingError, unpack
from mqlstream.core.state import Answer, Entry, Fact, LeadState, Track
from mqlstream.core.step import open_lead, step

TIMES = st.integers(946_684_800_000, 4_102_444_800_000)
IDS = st.one_of(st.text(max_size=12), st.uuids().map(str), st.uuids().map(lambda each: str(each).upper()))
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(WELL_KNOWN))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(TEXTS, SCALARS, max_size=2))
SOURCES = 6
ENTRIES = st.builds(
    Entry,
    TIMES,
    st.integers(0, SOURCES - 1),
    IDS,
    st.integers(0, 4),
    st.integers(1, 99),
    st.integers(0, 3),
    st.lists(VALUES, max_size=3).map(tuple),
)
FACTS = st.builds(Fact, TIMES, st.integers(0, SOURCES - 1), IDS, st.dictionaries(TEXTS, VALUES, max_size=3))
TRACKS = st.builds(
    Track, st.sampled_from(["lead", "mql", "sal"]), st.integers(0, 3), st.just(-1) | TIMES, st.integers(0, 9), TIMES, TIMES, st.just(-1)
)
STATES = st.builds(
    LeadState,
    layout=st.integers(0, 9),
    as_of=TIMES,
    first_seen=TIMES,
    seq=st.integers(0, 999),
    sources=st.lists(TEXTS, min_size=SOURCES, max_size=SOURCES),
    entries=st.lists(ENTRIES, max_size=6).map(lambda entries: sorted(entries, key=lambda each: each.time)),
    facts=st.lists(FACTS, max_size=3),
    tracks=st.dictionaries(TEXTS, TRACKS, max_size=2),
    newest=st.dictionaries(TEXTS, TIMES, max_size=2),
)


ANSWER = Answer(5, "crm", "f1", "accepted", "model", "ann", None)


@given(STATES)
def test_a_state_comes_back_as_it_was_packed(state: LeadState) -> None:
    assert unpack(Packer().pack(state)) == state


@given(STATES, TIMES)
def test_what_is_known_of_a_lead_keeps_its_times_when_an_earlier_first_event_comes_to_light(state: LeadState, first_seen: int) -> None:
    packer = Packer()
    packer.pack(state)
    state.first_seen = first_seen
    assert unpack(packer.pack(state)) == state


@given(STATES, st.lists(ENTRIES, max_size=4))
def test_a_stream_that_grew_says_the_same_as_one_made_at_once(state: LeadState, more: list[Entry]) -> None:
    packer = Packer()
    for entry in sorted(more, key=lambda each: each.time):
        packer.pack(state)
        state.entries.append(entry)
    assert unpack(packer.pack(state)) == unpack(Packer().pack(state)) == state


@given(st.binary(max_size=64))
def test_bytes_that_are_no_state_are_refused(data: bytes) -> None:
    with pytest.raises(PackingError):
        unpack(data)


def test_a_state_of_the_first_format_knows_which_answers_it_has_heard() -> None:
    form, *fields, rest = msgspec.msgpack.decode(Packer().pack(LeadState(first_seen=1, as_of=1, heard=[ANSWER])))
    assert form == 2
    texts, sources, facts, tracks, newest, _ = msgspec.msgpack.decode(rest)
    old_rest = msgspec.msgpack.encode((texts, sources, facts, tracks, newest, ["crm\x1ff1"]))
    (heard,) = unpack(msgspec.msgpack.encode((1, *fields, old_rest))).heard
    assert (heard.source, heard.id) == ("crm", "f1")


def test_a_state_of_a_newer_format_says_so() -> None:
    record = bytearray(Packer().pack(LeadState(first_seen=0, as_of=0)))
    record[1] += 1
    with pytest.raises(PackingError, match="got format 3, expected 1 to 2; was it written by a newer version"):
        unpack(bytes(record))


DEFINITION = """
definition: b2b
version: 1
rules:
  - {id: pricing, on: web_visit, where: {path: {prefix: /pricing}, duration_seconds: {gte: 10}}, points: 25, decay: {half_life: 14d}}
  - {id: form, on: form_fill, where: {form: {in: [whitepaper, demo]}}, points: 15}
  - {id: click, on: email_click, where: {action: click}, points: 5}
fit:
  - {id: title, where: {title: {words_any: [vp]}}, points: 10}
qualify: {threshold: {total: 1000}}
"""
ATTRIBUTES = {
    "title": "VP Marketing",
    "department": "Marketing",
    "company": "Acme Inc",
    "company_size": 800,
    "industry": "software",
    "country": "DE",
}
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("web_visit", "mql.web-visits.v1", {"path": "/pricing", "duration_seconds": 40}),
    ("form_fill", "mql.form-fills.v1", {"form": "whitepaper"}),
    ("email_click", "mql.email-clicks.v1", {"action": "click"}),
]


# The second: ids that are UUIDs, sixteen bytes of chance each.
@pytest.mark.parametrize(("name", "limit"), [("evt-{:08d}", 400), ("{}", 450)])
def test_a_lead_with_ten_scoring_events_and_six_attributes_stays_small(name: str, limit: int) -> None:
    program = offline.compile_texts([DEFINITION])
    lead = open_lead(program, "ann@acme.example")
    start = 1_793_613_600_000
    named = [name.format(number) if ":" in name else str(UUID(int=(number + 1) << 64 | 0xABCDEF)) for number in range(11)]
    step(program, lead, Event("mql.profiles.v1", named[10], "profile", start, lead.id, attributes=ATTRIBUTES))
    for number in range(10):
        kind, source, body = KINDS[number % 3]
        step(program, lead, Event(source, named[number], kind, start + number * 25_201_234, lead.id, body=body, email=lead.id))
    assert len(lead.state.entries) == 10
    assert len(lead.ledger.packer.pack(lead.state)) <= limit
