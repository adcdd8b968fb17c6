"""Reviews that are put off while older events may still come: in the end the same happens to a lead as in sorted order."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mqlstream import offline
from mqlstream.core.deferral import catch_up
from mqlstream.core.event import Event, order
from mqlstream.core.outputs import Output
from mqlstream.core.plan import Program
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable

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


@settings(
    deadline=None, max_examples=150, derandomize=True, phases=[Phase.generate], print_blob=False, suppress_health_check=list(HealthCheck)
)
@given(st.data(), st.sampled_from(sorted(PROGRAMS)), streams())
def test_streams_in_any_interleaving_lead_to_what_sorted_events_lead_to(data: st.DataObject, name: str, found: list[list[Event]]) -> None:
    program = PROGRAMS[name]
    everything = [event for stream in found for event in stream]
    scoring = Scoring(program)
    waiting = [list(stream) for stream in found if stream]
    read = {id(stream): 0 for stream in waiting}
    while waiting:
        stream = data.draw(st.sampled_from(waiting))
        event = stream.pop(0)
        before_ms = min(read[id(each)] for each in waiting)
        scoring.apply(event, before_ms)
        read[id(stream)] = event.time
        waiting = [each for each in waiting if each]
        if data.draw(st.booleans()):
            scoring.catch_up(min((read[id(each)] for each in waiting), default=END))
        if data.draw(st.integers(0, 3)) == 0:
            scoring.restart()
    scoring.catch_up(END)
    assert told(scoring.outputs) == told(in_order(program, everything))
