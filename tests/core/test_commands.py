"""Commands: each is checked against the life that the lead would have had if things had been so from the beginning."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mqlstream import offline
from mqlstream.core.event import Event
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.ingest.canonical import canonical

Json = dict[str, Any]
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_793_610_000_000

DEFINITION = """
definition: b2b
version: 1
rules:
  - {id: visit, on: web_visit, points: 40, decay: {half_life: 10d}, limit: {count: 3, per: 7d}}
  - {id: scanner, on: web_visit, machine: true, points: -5}
  - {id: demo, on: form_fill, points: 30}
  - {id: chat, on: activity, points: 20, limit: {count: 1, per: lifetime}}
fit:
  - {id: vp, where: {title: {contains: VP}}, points: 20}
disqualify:
  - {id: rival, where: {company: rival}}
qualify:
  threshold: {total: 100}
  rearm: {below: 40, cooldown: 5d}
"""


class Life:
    """Leads to which events are applied as they come, with a restart after each of them."""

    def __init__(self, definition: str = DEFINITION) -> None:
        self.program = offline.compile_texts([definition])
        self.records: dict[str, bytes] = {}
        self.outputs: list[Json] = []
        self.outcomes: list[str] = []
        self.latest = 0

    def apply(self, *events: Json) -> Life:
        for raw in events:
            event = canonical(dict(raw))
            assert isinstance(event, Event), event
            self._apply(event)
        return self

    def _apply(self, event: Event) -> None:
        table = self._table()
        outcome, outputs, forwards = step(self.program, table.open(event.lead), event)
        self.outcomes.append(str(outcome))
        self.outputs += outputs
        self.latest = max(self.latest, event.time)
        for lead, record in table.packed_changes():
            if record is None:
                del self.records[lead]
            else:
                self.records[lead] = record
        for forward in forwards:
            self._apply(forward)

    def _table(self) -> LeadTable:
        table = LeadTable(self.program)
        table.settle_layout()
        for lead, record in self.records.items():
            table.load(lead, record)
        return table

    def rows(self) -> dict[str, Json]:
        """What is known of each lead at the time of the newest event."""
        table = self._table()
        rows = {lead: next(offline.lead_objects(self.program, table.open(lead), self.latest)) for lead in sorted(self.records)}
        return {lead: {name: row[name] for name in ("score", "contributions")} for lead, row in rows.items()}

    def told(self) -> list[str]:
        return [output["type"].split(".")[2] for output in self.outputs]


def event(kind: str, number: int, after_ms: int, lead: str = "ann", **fields: Any) -> Json:
    return {"id": f"e{number}", "source": "s", "kind": kind, "time": START + after_ms, "lead_id": lead, **fields}


def visit(number: int, after_ms: int, lead: str = "ann", **fields: Any) -> Json:
    return event("web_visit", number, after_ms, lead, url="https://x.io/", **fields)


def command(do: str, after_ms: int, lead: str = "ann", number: int = 0, **fields: Any) -> Json:
    return {"id": f"c{number}", "source": "ops", "kind": "command", "time": START + after_ms, "lead_id": lead, "do": do, **fields}


def about(what: str, each: Json, after_ms: int, number: int = 0) -> Json:
    return command(what, after_ms, each["lead_id"], number, event_source=each["source"], event_id=each["id"], by="ops@x.io", reason="test")


@st.composite
def lives(draw: st.DrawFn, leads: tuple[str, ...] = ("ann",)) -> list[Json]:
    """Events of these leads, in some order of arrival."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["web_visit", "form_fill", "activity", "profile"]))
        bodies: dict[str, Json] = {
            "web_visit": {"url": "https://x.io/"},
            "form_fill": {"form": "demo"},
            "activity": {"name": "chat"},
            "profile": {"attributes": {"title": draw(st.sampled_from(["VP Sales", "Intern", None]))}},
        }
        found.append(event(kind, number, draw(st.integers(0, 20 * DAY)), draw(st.sampled_from(leads)), **bodies[kind]))
    return found


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(lives(), st.data())
def test_a_retracted_event_leaves_the_score_as_if_it_had_never_been(events: list[Json], data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(events))
    arriving = data.draw(st.permutations([*events, about("retract", wrong, 20 * DAY)]))
    without = [each for each in events if each is not wrong]
    expected = Life().apply(*without, command("freeze", 20 * DAY)).rows()
    assert Life().apply(*arriving).rows() == expected


@QUICK
@given(lives(), st.data())
def test_a_verdict_makes_an_event_a_machine_s_whenever_it_comes(events: list[Json], data: st.DataObject) -> None:
    found = data.draw(st.sampled_from(events))
    arriving = data.draw(st.permutations([*events, about("machine_verdict", found, 20 * DAY)]))
    machines = [{**each, "machine": True} if each is found else each for each in events]
    assert Life().apply(*arriving).rows() == Life().apply(*machines, command("freeze", 20 * DAY)).rows()


@QUICK
@given(lives(("ann", "bob")), st.data())
def test_merged_leads_have_the_score_of_one_that_did_it_all(events: list[Json], data: st.DataObject) -> None:
    merge = command("merge", 20 * DAY, "ann", into="bob")
    arriving = data.draw(st.permutations([*events, merge]))
    one = [{**each, "lead_id": "bob"} for each in events]
    rows = Life().apply(*arriving).rows()
    assert rows["bob"] == Life().apply(*one, command("freeze", 20 * DAY, "bob")).rows()["bob"]
    assert rows["ann"]["score"]["total"] == 0


@QUICK
@given(lives(("ann", "bob")), st.data())
def test_two_leads_merged_into_each_other_stay_one(events: list[Json], data: st.DataObject) -> None:
    merges = [command("merge", 20 * DAY, "ann", 1, into="bob"), command("merge", 20 * DAY, "bob", 2, into="ann")]
    rows = Life().apply(*data.draw(st.permutations([*events, *merges]))).rows()
    one = Life().apply(*[{**each, "lead_id": "ann"} for each in events], command("freeze", 20 * DAY)).rows()["ann"]
    assert one in rows.values()
    assert sum(row["score"] == one["score"] and bool(row["contributions"]) for row in rows.values()) <= 1


@QUICK
@given(lives(), st.data())
def test_a_command_that_comes_twice_counts_once(events: list[Json], data: st.DataObject) -> None:
    wrong = data.draw(st.sampled_from(events))
    commands = [about("retract", wrong, 20 * DAY, 1), command("reset", 10 * DAY, number=2), command("freeze", 5 * DAY, number=3)]
    once = Life().apply(*events, *commands)
    twice = Life().apply(*events, *commands, *commands)
    assert twice.rows() == once.rows()
    assert twice.outcomes[-3:] == ["ignored(duplicate)"] * 3
    assert twice.outputs == once.outputs


@QUICK
@given(lives(), st.data())
def test_a_reset_leaves_what_came_before_worth_nothing(events: list[Json], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, 20 * DAY))
    arriving = data.draw(st.permutations([*events, command("reset", at)]))
    rows = Life().apply(*arriving, command("freeze", 20 * DAY, number=9)).rows()["ann"]
    assert all(
        each["time"] is None or (each["time"], each["source"]) > (START + at, "ops") for each in rows["contributions"] if each["event_id"]
    )


def qualified(lead: str = "ann") -> list[Json]:
    return [visit(1, 0, lead), visit(2, HOUR, lead), event("form_fill", 3, 2 * HOUR, lead, form="demo")]


def test_a_reset_that_forgets_what_held_a_lead_back_makes_an_mql() -> None:
    fit = DEFINITION.replace("points: 20, limit", "points: -50, limit").replace(
        "title: {contains: VP}}, points: 20", "title: VP}, points: 100"
    )
    events = [event("activity", 1, 0, name="chat"), event("profile", 2, HOUR, attributes={"title": "VP"})]
    life = Life(fit).apply(*events)
    assert life.told() == []
    assert life.apply(command("reset", 2 * HOUR)).told() == ["became_mql"]


def test_an_open_handoff_that_loses_its_ground_is_withdrawn_with_the_reason() -> None:
    events = qualified()
    life = Life().apply(*events, about("retract", events[1], DAY))
    assert life.told() == ["became_mql", "mql_withdrawn"]
    withdrawn = life.outputs[-1]["data"]
    assert (withdrawn["reason"], withdrawn["stage"], withdrawn["handoff_id"]) == (
        "event retracted",
        "lead",
        life.outputs[0]["data"]["handoff_id"],
    )


def test_a_handoff_with_ground_enough_stays() -> None:
    events = [*qualified(), visit(4, 3 * HOUR)]
    assert Life().apply(*events, about("retract", events[1], DAY)).told() == ["became_mql"]


def test_a_late_verdict_withdraws_what_machines_clicked_together() -> None:
    events = qualified()
    life = Life().apply(*events, about("machine_verdict", events[0], DAY))
    assert life.told() == ["became_mql", "mql_withdrawn"]
    assert life.outputs[-1]["data"]["reason"] == "machine activity"


@pytest.mark.parametrize("number", [7, 4], ids=["an event nobody knows", "an event that had no part in it"])
def test_a_correction_withdraws_no_handoff_whose_ground_went_with_time(number: int) -> None:
    events = [*qualified(), event("activity", 4, 5 * DAY, name="chat")]
    life = Life("horizon: 4d" + DEFINITION.replace("  rearm: {below: 40, cooldown: 5d}", "")).apply(*events)
    assert life.told() == ["became_mql"]
    assert life.apply(about("machine_verdict", event("activity", number, 0), 6 * DAY)).told() == ["became_mql"]


@pytest.mark.parametrize("what", ["retract", "machine_verdict"])
def test_a_gap_goes_on_over_an_activity_that_was_none(what: str) -> None:
    idle = DEFINITION + "inactivity:\n  - {id: idle, after: 2d, every: 1d, points: -1}\n"
    visits = [visit(1, 0), visit(2, DAY), visit(3, 3 * DAY)]
    rows = Life(idle).apply(*visits, about(what, visits[2], 5 * DAY)).rows()
    assert {"idle": -3.0}.items() <= {each["rule"]: each["points"] for each in rows["ann"]["contributions"]}.items()


def test_a_handoff_of_the_fast_track_falls_with_its_event() -> None:
    fast = DEFINITION.replace("threshold: {total: 100}", "fast_track: [demo]")
    form = event("form_fill", 3, 2 * HOUR, form="demo")
    life = Life(fast).apply(visit(1, 0), form, about("retract", visit(1, 0), DAY, 1))
    assert life.told() == ["became_mql"]
    assert life.apply(about("retract", form, DAY, 2)).told() == ["became_mql", "mql_withdrawn"]


def test_a_lead_is_as_old_whether_its_first_event_is_retracted_before_or_after_it_came() -> None:
    aged = DEFINITION.replace("fit:\n", "fit:\n  - {id: known, where: {age: {gte: 228h}}, points: 7}\n")
    first, later = event("web_visit", 0, 0), event("web_visit", 1, 10 * DAY)
    back = about("retract", first, DAY)
    rows = [Life(aged).apply(*arriving, later).rows() for arriving in ([first, back], [back, first])]
    assert rows[0] == rows[1]
    assert rows[0]["ann"]["score"]["fit"] == 7


@pytest.mark.parametrize("what", ["freeze", "resume", "reset"])
def test_a_lead_is_as_old_as_its_first_command_whenever_that_comes(what: str) -> None:
    aged = DEFINITION.replace("fit:\n", "fit:\n  - {id: known, where: {age: {gte: 228h}}, points: 7}\n")
    first, then, later = command(what, 0), visit(1, 2 * DAY), visit(2, 10 * DAY)
    rows = [Life(aged).apply(*arriving, later).rows() for arriving in ([first, then], [then, first])]
    assert rows[0] == rows[1]
    assert rows[0]["ann"]["score"]["fit"] == 7


@pytest.mark.parametrize("early", [False, True])
def test_a_retracted_event_keeps_its_place(early: bool) -> None:
    """Whatever a full ledger or a flood has let go, a retraction brings it back neither before nor after its event comes."""
    bounded = DEFINITION + "bounds: {ledger: 3, per_day: 4}\n"
    wrong, events = (
        visit(4, 4 * DAY),
        [*(visit(number, number * DAY) for number in (1, 2, 3)), *(visit(n, 2 * DAY + n) for n in range(5, 9))],
    )
    back = about("retract", wrong, 20 * DAY)
    life = Life(bounded).apply(*([back, wrong, *events] if early else [*events, wrong, back]))
    assert life.outcomes.count("ignored(flood)") == 1
    [lead] = offline.lead_objects(life.program, life._table().open("ann"), life.latest)
    assert [line["event_id"] for line in lead["contributions"]] == ["e3", "e7"]


def test_retracting_what_held_a_lead_back_makes_an_mql() -> None:
    minus = DEFINITION.replace(
        "  - {id: chat, on: activity, points: 20, limit: {count: 1, per: lifetime}}", "  - {id: chat, on: activity, points: -50}"
    )
    chat = event("activity", 9, 0, name="chat")
    life = Life(minus).apply(chat, *qualified())
    assert life.told() == []
    life.apply(about("retract", chat, DAY))
    assert life.told() == ["became_mql"]
    assert life.outputs[0]["data"]["qualified_at"] == START + 2 * HOUR


def test_handoffs_are_held_back_while_frozen() -> None:
    life = Life().apply(command("freeze", 0, number=1), *qualified())
    assert life.told() == []
    life.apply(command("resume", 3 * HOUR, number=2))
    assert life.told() == ["became_mql"]


def test_of_freeze_and_resume_the_later_counts_whichever_comes_first() -> None:
    life = Life().apply(command("resume", HOUR, number=2), command("freeze", 0, number=1), *qualified())
    assert life.told() == ["became_mql"]


def test_an_erased_lead_is_gone_and_a_later_event_starts_a_new_one() -> None:
    life = Life().apply(*qualified(), command("erase", DAY, by="dpo@x.io", reason="asked to"))
    assert life.records == {}
    assert life.told() == ["became_mql", "mql_withdrawn", "erased"]
    assert life.outputs[-1]["data"] == {"lead_id": "ann", "as_of": START + DAY, "by": "dpo@x.io", "reason": "asked to"}
    life.apply(visit(5, 2 * DAY))
    assert life.rows()["ann"]["score"]["total"] == 40
    life.apply(command("erase", DAY))
    assert life.outcomes[-1] == "ignored(duplicate)"
    assert life.rows()["ann"]["score"]["total"] == 40


def test_erasing_a_lead_that_was_merged_erases_the_one_that_goes_on() -> None:
    life = Life().apply(
        *qualified("ann"), visit(9, 0, "bob"), command("merge", DAY, into="bob", number=1), command("erase", 2 * DAY, number=2)
    )
    assert life.records == {}
    assert life.told().count("erased") == 2


def test_with_a_lead_go_those_that_were_merged_into_it() -> None:
    merges = [command("merge", DAY, "ann", 1, into="bob"), command("merge", DAY, "bob", 2, into="cleo")]
    life = Life().apply(visit(1, 0, "ann"), visit(2, 0, "bob"), *merges, command("erase", 2 * DAY, "cleo", 3))
    assert life.records == {}
    assert sorted(output["lead_id"] for output in life.outputs if output["type"].endswith("erased.v1")) == ["ann", "bob", "cleo"]


def test_nobody_is_erased_whom_nobody_knows() -> None:
    assert Life().apply(command("erase", 0)).outcomes == ["ignored(unknown_lead)"]


def test_a_merge_withdraws_the_one_handoff_and_makes_the_other() -> None:
    life = Life().apply(*qualified("ann"), visit(9, 0, "bob"), command("merge", DAY, into="bob"))
    assert life.told() == ["became_mql", "mql_withdrawn", "became_mql"]
    assert [output["lead_id"] for output in life.outputs] == ["ann", "ann", "bob"]
    assert life.outputs[1]["data"]["reason"] == "merged into bob"


def test_a_merge_pushes_nobody_whom_sales_holds_already() -> None:
    accepted = {**event("feedback", 8, 3 * HOUR), "decision": "accepted", "definition": "b2b"}
    life = Life().apply(*qualified("ann"), accepted, visit(9, 0, "bob"), command("merge", DAY, into="bob"))
    assert life.told() == ["became_mql", "stage_changed", "stage_changed"]
    assert life.outputs[-1]["data"]["to"] == "sal"
    life.apply({**event("feedback", 10, 2 * DAY, "bob"), "decision": "won", "definition": "b2b"})
    assert life.outputs[-1]["data"]["to"] == "customer"


def test_what_still_comes_for_a_merged_lead_follows_it() -> None:
    life = Life().apply(visit(1, 0), command("merge", HOUR, into="bob"), visit(2, 2 * HOUR), visit(3, 3 * HOUR))
    assert life.outcomes[2:] == ["scored", "ignored(merged)", "scored", "ignored(merged)", "scored"]
    assert life.rows()["bob"]["score"]["total"] > 119


def test_nothing_that_an_event_says_of_itself_takes_a_merge_back() -> None:
    sly = [visit(3, 2 * HOUR, do="merge"), visit(4, 3 * HOUR) | {"via": ["bob"], "@via": ["bob"]}, visit(5, 4 * HOUR, do="adopt")]
    life = Life().apply(visit(1, 0), command("merge", HOUR, into="bob"), *sly)
    assert life.rows()["ann"]["score"]["total"] == 0
    assert [each["event_id"] for each in life.rows()["bob"]["contributions"]] == ["e4", "e3", "e1"]


def test_every_command_is_in_the_audit() -> None:
    life = Life().apply(
        visit(1, 0), about("retract", visit(1, 0), HOUR), command("freeze", 2 * HOUR, number=1, by="ann@x.io", reason="on leave")
    )
    table = LeadTable(life.program)
    table.settle_layout()
    table.load("ann", life.records["ann"])
    commands = table.open("ann").state.commands
    assert commands is not None
    assert [tuple(each) for each in commands.audit] == [
        (START + HOUR, "retract", "ops", "c0", "ops@x.io", "test", "s\x1fe1"),
        (START + 2 * HOUR, "freeze", "ops", "c1", "ann@x.io", "on leave", ""),
    ]
