"""One lead's life, step by step, against the plain model of `tests.core.life_model`: whatever comes, in whatever order, with restarts."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mqlstream import offline
from mqlstream.core.event import Event
from mqlstream.core.outputs import Output, handoff_id
from mqlstream.core.scoring import explain
from mqlstream.core.state import Track
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.core.timers import fire
from mqlstream.ingest.canonical import canonical
from tests.core.life_model import DAY, DEFINITION, HOUR, MINUTE, SALES, TABLE, Model, Thing, Told

Json = dict[str, Any]
START = 1_793_610_000_000  # a whole hour
PROGRAM = offline.compile_texts([DEFINITION])
(PLAN,) = PROGRAM.plans
PROFILES: list[Json] = [
    *({"title": title} for title in ("VP", "Intern")),
    *({"company": company} for company in ("rival", "acme")),
    *({"partner_status": status} for status in ("held", None)),
]
BODIES: dict[str, Json] = {"web_visit": {"url": "https://x.io/"}, "form_fill": {"form": "contact"}}
DECISIONS = ["accepted", "qualified", "opportunity", "won", "rejected", "recycled", "lost", "disqualified"]


class LifeMachine(RuleBasedStateMachine):
    """Does the same to a lead and to the model, and compares all that is told and known after each step."""

    taken: set[tuple[str, str]] = set()  # rows of the table that any example needed

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, bytes] = {}
        self.table = self.restored()
        self.clock = START
        self.number = 0
        self.model = Model(self.taken)
        self.outputs: list[Output] = []
        self.sent: list[tuple[Json, str]] = []  # what was scored, and may come again
        self.handoffs: list[str] = []
        self.open: set[str] = set()

    def restored(self) -> LeadTable:
        table = LeadTable(PROGRAM)
        table.settle_layout()
        for lead, record in self.records.items():
            table.load(lead, record)
        return table

    def pass_time(self) -> None:
        while (lead := self.table.pop_due(self.clock)) is not None:
            self.outputs += fire(PROGRAM, lead)
            self.table.schedule(lead)
        self.model.advance(self.clock)

    def send(self, raw: Json, expected: str) -> None:
        event = canonical(dict(raw))
        assert isinstance(event, Event), event
        lead = self.table.open("ann")
        result = step(PROGRAM, lead, event)
        self.table.schedule(lead)
        self.outputs += result.outputs
        assert str(result.outcome) == expected
        if expected == "scored":
            self.sent.append((raw, raw["id"]))

    def raw(self, kind: str, earlier_ms: int = 0, source: str = "s", **fields: Any) -> Json:
        self.number += 1
        return {
            "id": f"e{self.number:04}",
            "source": source,
            "kind": kind,
            "time": self.clock - earlier_ms,
            "lead_id": "ann",
            **fields,
        }

    def touch(self, kind: str, earlier_ms: int = 0, attributes: Json | None = None) -> None:
        self.pass_time()
        raw = self.raw(kind, earlier_ms, **({"attributes": attributes} if attributes is not None else BODIES[kind]))
        self.send(raw, self.model.event(Thing(raw["time"], raw["id"], kind, attributes or {}, 0)))

    LATE = st.sampled_from([0, 0, 0, HOUR, 2 * DAY, 6 * DAY])

    @rule(wait=st.sampled_from([MINUTE, HOUR, DAY, 3 * DAY, 5 * DAY, 20 * DAY]))
    def time_passes(self, wait: int) -> None:
        self.clock += wait
        self.pass_time()

    @rule(earlier_ms=LATE)
    def visits(self, earlier_ms: int) -> None:
        self.touch("web_visit", earlier_ms)

    @precondition(lambda self: len(self.model.things) < 50)  # a flood is another matter
    @rule()
    def visits_three_times(self) -> None:
        for _ in range(3):
            self.touch("web_visit")

    @rule(earlier_ms=LATE)
    def asks_for_contact(self, earlier_ms: int) -> None:
        self.touch("form_fill", earlier_ms)

    @rule(attributes=st.sampled_from(PROFILES), earlier_ms=LATE)
    def is_someone_else(self, attributes: Json, earlier_ms: int) -> None:
        self.touch("profile", earlier_ms, attributes)

    @rule(decision=st.sampled_from(DECISIONS), earlier_ms=LATE, handoff=st.sampled_from(["open", "open", "named", "older", "nobody's"]))
    def sales_says(self, decision: str, earlier_ms: int, handoff: str) -> None:
        self.pass_time()
        named = {"definition": "b2b"} if handoff == "open" else {"handoff_id": "nobody's"}
        if handoff in ("named", "older") and self.handoffs:
            named = {"handoff_id": self.handoffs[-1 if handoff == "named" else 0]}
        raw = self.raw("feedback", earlier_ms, decision=decision, **named)
        fits = handoff == "open" or named["handoff_id"] in self.open
        self.send(raw, self.model.feedback(decision, raw["time"], raw["id"]) if fits else "ignored(out_of_turn)")

    @precondition(lambda self: self.model.stage == "mql")
    @rule(first=st.sampled_from(DECISIONS[:3]), then=st.sampled_from(DECISIONS))
    def sales_goes_on(self, first: str, then: str) -> None:
        for decision in (first, then):
            raw = self.raw("feedback", decision=decision, definition="b2b")
            self.pass_time()
            self.send(raw, self.model.feedback(decision, raw["time"], raw["id"]))

    @rule(do=st.sampled_from(["freeze", "resume", "resume", "reset"]), earlier_ms=LATE)
    def an_operator_says(self, do: str, earlier_ms: int) -> None:
        self.pass_time()
        raw = self.raw("command", earlier_ms, "ops", do=do, by="sam")
        self.send(raw, self.model.command(do, raw["time"], raw["id"]))

    @rule(do=st.sampled_from(["retract", "machine_verdict"]), back=st.integers(1, 6))
    def an_event_is_corrected(self, do: str, back: int) -> None:
        self.pass_time()
        about = max(self.model.things, default="e0001") if back == 6 else f"e{max(self.number + 3 - back, 0):04}"  # also one still to come
        raw = self.raw("command", 0, "ops", do=do, event_source="s", event_id=about)
        self.send(raw, self.model.command(do, raw["time"], raw["id"], about))

    @rule(earlier_ms=st.sampled_from([0, 0, 6 * DAY]), sure=st.integers(0, 3))
    def is_erased(self, earlier_ms: int, sure: int) -> None:
        if sure:
            return
        self.pass_time()
        raw = self.raw("command", earlier_ms, "ops", do="erase")
        expected = self.model.command("erase", raw["time"], raw["id"])
        self.send(raw, expected)
        if expected == "scored":
            self.sent.clear()
            self.handoffs.clear()  # of a new lead, which may do the same things at the same times

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def something_comes_again(self, data: st.DataObject) -> None:
        self.pass_time()
        raw, event_id = data.draw(st.sampled_from(self.sent[-12:]))
        gone = raw["kind"] in BODIES and event_id in self.model.retracted
        if raw["kind"] != "profile":
            self.send(raw, "ignored(retracted)" if gone else "ignored(duplicate)")

    @rule()
    def the_worker_starts_again(self) -> None:
        for lead, record in self.table.packed_changes():
            if record is None:
                del self.records[lead]
            else:
                self.records[lead] = record
        self.table = self.restored()

    @invariant()
    def all_that_is_told_and_known_is_the_model_s(self) -> None:
        assert [told(output) for output in self.outputs] == self.model.told
        for output in self.outputs:
            self.follow(output)
        self.outputs, self.model.told = [], []
        self.compare()

    def follow(self, output: Output) -> None:
        """What holds of any life, whatever the model says."""
        data, what = output["data"], output["type"].split(".")[2]
        if what == "became_mql":
            assert not self.open, "two handoffs are open"
            assert data["handoff_id"] not in self.handoffs, "a handoff of that id was opened before"
            self.open = {data["handoff_id"]}
            self.handoffs.append(data["handoff_id"])
        elif what in ("mql_withdrawn", "cooled", "sla_breached"):
            assert {data["handoff_id"]} == self.open, f"{what} of no open handoff"
        if what in ("mql_withdrawn", "cooled", "erased") or (what == "stage_changed" and data["from"] in SALES and data["to"] not in SALES):
            self.open = set()

    def compare(self) -> None:
        """What is known of the lead."""
        lead, model = self.table.open("ann"), self.model
        track = lead.state.tracks.get("b2b") or Track()
        assert (track.stage, track.cycle) == (model.stage, model.cycle)
        assert lead.state.as_of == model.as_of
        if not model.seq:
            assert not lead.state.seq
            return
        assert explain(PLAN, lead, model.as_of).sums[PLAN.total] == model.total(model.as_of)
        assert (handoff_id(PLAN, lead, track) in self.open) == (track.stage in SALES)


def told(output: Output) -> Told:
    data, what = output["data"], output["type"].split(".")[2]
    stages = {"became_mql": "mql", "cooled": "lead", "sla_breached": "mql", "erased": "erased"}
    stage = data["to"] if what == "stage_changed" else data["stage"] if what == "mql_withdrawn" else stages[what]
    return Told(what, output["time"], stage, data.get("cycle", 0), data.get("qualified_at"))


COMMON: Any = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": False}


def test_a_life_keeps_to_the_table_whatever_comes_and_every_row_of_it_happens() -> None:
    LifeMachine.taken = set()
    for first, then in product(DECISIONS, DECISIONS):  # what chance alone would take long to come to
        machine = LifeMachine()
        machine.visits_three_times()
        machine.sales_goes_on(first, then)
        machine.all_that_is_told_and_known_is_the_model_s()
    quick = settings(max_examples=200, stateful_step_count=40, derandomize=True, phases=[Phase.generate, Phase.shrink], **COMMON)
    run_state_machine_as_test(LifeMachine, settings=quick)
    assert LifeMachine.taken == TABLE.keys(), TABLE.keys() - LifeMachine.taken


EARLIER = {"earlier_ms": 6 * DAY}
WENT_WRONG: dict[str, list[tuple[str, Json]]] = {
    "an event that was taken back before it came makes the lead older, and who is erased is the older one": [
        ("an_event_is_corrected", {"back": 1, "do": "retract"}),
        ("asks_for_contact", EARLIER),
        ("is_erased", {"sure": 0, **EARLIER}),
    ],
    "an event from before the scores started again is worth nothing, though it is the newest that is known": [
        ("an_operator_says", {"do": "reset", "earlier_ms": 0}),
        ("asks_for_contact", {"earlier_ms": HOUR}),
        ("asks_for_contact", {"earlier_ms": 0}),
        ("asks_for_contact", {"earlier_ms": 0}),
        ("asks_for_contact", {"earlier_ms": HOUR}),
        ("visits_three_times", {}),
    ],
    "who turned out to be a rival while sales had the lead is disqualified when it comes back": [
        ("visits_three_times", {}),
        ("sales_says", {"decision": "accepted", "earlier_ms": 0, "handoff": "open"}),
        ("is_someone_else", {"attributes": {"company": "rival"}, "earlier_ms": 0}),
        ("sales_says", {"decision": "rejected", "earlier_ms": 0, "handoff": "open"}),
        ("visits", {"earlier_ms": 0}),
    ],
    "so is a rival that an operator freezes before": [
        ("asks_for_contact", {"earlier_ms": 0}),
        ("sales_says", {"decision": "accepted", "earlier_ms": 0, "handoff": "open"}),
        ("is_someone_else", {"attributes": {"company": "rival"}, "earlier_ms": 0}),
        ("sales_says", {"decision": "rejected", "earlier_ms": 0, "handoff": "open"}),
        ("an_operator_says", {"do": "freeze", "earlier_ms": 0}),
        ("visits", {"earlier_ms": 0}),
    ],
}


@pytest.mark.parametrize("steps", WENT_WRONG.values(), ids=WENT_WRONG)
def test_a_life_that_once_went_wrong(steps: list[tuple[str, Json]]) -> None:
    machine = LifeMachine()
    for name, arguments in steps:
        getattr(machine, name)(**arguments)
        machine.all_that_is_told_and_known_is_the_model_s()


@pytest.mark.oracle
def test_a_long_run_of_lives_keeps_to_the_table() -> None:
    run_state_machine_as_test(LifeMachine, settings=settings(max_examples=3_000, stateful_step_count=60, **COMMON))
