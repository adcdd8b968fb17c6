"""Reviews that are put off while older events may still come: in the end the same happens to a lead as in sorted order."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mqlstream import offline
from mqlstream.core.deferral import catch_up
from mqlstream.core.event import Event, order
from mqlstream.core.outputs import BECAME_MQL, Output
from mqlstream.core.plan import Program
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.ingest.canonical import canonical
from tests.oracle.events import Json
from tests.oracle.strategies import ALL, definitions, histories, text_of

START = 1_793_610_000_000
HOUR = 3_600_000
END = 2**62

FADING = """
definition: fading
version: 1
dimensions: {engagement: {cap: 120}, fit: {}}
rules:
  - {id: visit, on: web_visit, points: 30, decay: {half_life: 2d}}
  - {id: demo, on: form_fill, points: 60, decay: {half_life: 5d}}
fit: [{id: boss, where: {title: {words_any: [boss]}}, points: 20}]
qualify: {threshold: {total: 100}}
"""
LIMITED = """
definition: limited
version: 1
horizon: 10d
rules:
  - {id: visit, on: web_visit, points: 40, limit: {count: 1, per: 1d}, decay: {expire_after: 3d}}
  - {id: left, on: email_click, points: -20, decay: {half_life: 1d}}
  - {id: demo, on: form_fill, where: {form: demo}, points: 50, decay: {linear: 10d}}
disqualify: [{id: rival, where: {title: {words_any: [rival]}}}]
qualify: {threshold: {total: 90}, fast_track: [demo]}
"""
RETURNING = """
definition: returning
version: 1
rules:
  - {id: visit, on: web_visit, points: 60, decay: {half_life: 1d}}
  - {id: demo, on: form_fill, points: 30, decay: {half_life: 3d}}
qualify: {threshold: {total: 100}, rearm: {below: 40, cooldown: 1d}}
sla: {accept_within: 2d}
"""
PROGRAMS = {text: offline.compile_texts([text]) for text in (FADING, LIMITED, RETURNING)}
PROGRAMS["all"] = offline.compile_texts([FADING, LIMITED, RETURNING])

WHAT: list[tuple[str, dict[str, Any], dict[str, Any] | None]] = [
    ("web_visit", {"path": "/"}, None),
    ("form_fill", {"form": "demo"}, None),
    ("email_click", {"action": "unsubscribe"}, None),
    ("profile", {}, {"title": "boss {}"}),
    ("profile", {}, {"title": "rival {}"}),
]


class Told(NamedTuple):
    """What an output says, but for ids that number its lead's events as they arrived."""

    lead: str
    time: int
    type: str
    definition: str
    cycle: int
    qualified_at: int | None
    total: float | None


def told(outputs: list[Output]) -> list[Told]:
    found = []
    for output in outputs:
        data = output["data"]
        total = data["score"]["total"] if "score" in data else None
        found.append(
            Told(
                output["lead_id"], output["time"], output["type"], data["definition"]["id"], data["cycle"], data.get("qualified_at"), total
            )
        )
    return sorted(found, key=lambda each: (each.lead, each.definition, each.time, each.type))


@st.composite
def streams(draw: st.DrawFn) -> list[list[Event]]:
    """The events of a few leads, spread over a few streams, in order of time within each."""
    count = draw(st.integers(1, 30))
    time = START
    found: list[list[Event]] = [[] for _ in range(draw(st.integers(1, 4)))]
    for number in range(count):
        time += draw(st.sampled_from([1, HOUR, 9 * HOUR, 30 * HOUR, 80 * HOUR]))
        kind, body, attributes = draw(st.sampled_from(WHAT))
        if attributes is not None:  # never the same again: of news that is repeated only the ends are kept
            attributes = {name: value.format(number) for name, value in attributes.items()}
        lead = draw(st.sampled_from(["ann", "bob"]))
        event = Event("s", f"e{number}", kind, time, lead, body, attributes=attributes)
        draw(st.sampled_from(found)).append(event)
    return found


class Scoring:
    """A table of leads to which streams come, one event after the other, each with the knowledge of what is still to come."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.outputs: list[Output] = []
        self.table = LeadTable(program)
        self.table.settle_layout()
        self.leads: set[str] = set()

    def apply(self, event: Event, before_ms: int) -> None:
        lead = self.table.open(event.lead)
        self.leads.add(event.lead)
        self.outputs += step(self.program, lead, event, before_ms).outputs

    def catch_up(self, until_ms: int) -> None:
        for lead_id in sorted(self.leads):
            self.outputs += catch_up(self.program, self.table.open(lead_id), until_ms)

    def restart(self) -> None:
        records = self.table.packed_changes()
        self.table = LeadTable(self.program)
        self.table.settle_layout()
        for lead_id in self.leads:
            self.table.load(lead_id, dict(records)[lead_id])
            self.table.open(lead_id)


def in_order(program: Program, events: list[Event]) -> list[Output]:
    """What is said until each lead's last event."""
    outputs: list[Output] = []
    for lead in {event.lead for event in events}:
        replay = offline.Replay(program)
        for event in sorted(events, key=order):
            if event.lead == lead:
                outputs += replay.apply(event)
    return outputs


def interleaved(rng: random.Random, program: Program, found: list[list[Event]]) -> list[Output]:
    """Read the streams in a random order, with reviews and restarts in between."""
    scoring = Scoring(program)
    waiting = [list(stream) for stream in found if stream]
    read = {id(stream): 0 for stream in waiting}
    while waiting:
        stream = rng.choice(waiting)
        event = stream.pop(0)
        scoring.apply(event, min(read[id(each)] for each in waiting))
        read[id(stream)] = event.time
        waiting = [each for each in waiting if each]
        if rng.random() < 0.5:
            scoring.catch_up(min((read[id(each)] for each in waiting), default=END))
        if rng.random() < 0.2:
            scoring.restart()
    scoring.catch_up(END)
    return scoring.outputs


def mqls(outputs: list[Output]) -> list[Told]:
    return [each._replace(total=None) for each in told(outputs) if each.type == BECAME_MQL]


QUICK = settings(deadline=None, max_examples=150, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
CHANCE = st.integers(0, 2**32).map(random.Random)


@QUICK
@given(CHANCE, st.sampled_from(sorted(PROGRAMS)), streams())
def test_streams_in_any_interleaving_say_what_sorted_events_say(rng: random.Random, name: str, found: list[list[Event]]) -> None:
    program = PROGRAMS[name]
    assert told(interleaved(rng, program, found)) == told(in_order(program, [event for stream in found for event in stream]))


@QUICK
@given(CHANCE, definitions(ALL - {"stage"}), histories(conflicts=False))
def test_under_any_definition_they_qualify_the_same_leads_at_the_same_moments(
    rng: random.Random, definition: Json, history: list[Json]
) -> None:
    program = offline.compile_texts([text_of(definition)])
    found: list[list[Event]] = [[] for _ in range(rng.randint(1, 3))]
    for number, raw in enumerate(history):
        event = canonical(dict(raw))
        assert isinstance(event, Event)
        rng.choice(found).append(replace(event, time=event.time + number))  # no two at the very same moment
    expected = in_order(program, [event for stream in found for event in stream])
    assert mqls(interleaved(rng, program, found)) == mqls(expected)
