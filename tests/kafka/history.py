"""A run against the sorted history of its events: what must hold in whatever order they arrived.

Scores are functions of the set of a lead's events. Who qualifies is one too, under a definition such as
definitions/steady.yaml. The moment (``qualified_at``) is the earliest at which the lead qualified by what had arrived when the
handoff opened: an event that arrives after that can't take a handoff back that is out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from mqlstream import offline
from mqlstream.core.event import Event, order
from mqlstream.core.plan import Program
from mqlstream.core.state import LeadState
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.handoff.contract import BECAME_MQL
from mqlstream.ingest.canonical import canonical
from tests.kafka.audit import Story, Written, assert_alike, texts
from tests.kafka.traffic import SALES, Json
from tests.oracle.events import histories
from tests.oracle.lifecycle import life
from tests.oracle.oracle import score_of


def check_scores(found: Written, program: Program, history: Iterable[Json]) -> None:
    """Each lead has the ledger, and under every definition the score and contributions, of the sorted history."""
    events = [result for event in history if isinstance(result := canonical(dict(event)), Event)]
    table = LeadTable(program)
    table.settle_layout()
    for event in sorted(events, key=order):
        step(program, table.open(event.lead), event)
    for lead_id, state in found.states.items():
        expected = table.open(lead_id)
        assert state.first_seen == expected.state.first_seen, lead_id
        # An answer of sales counts as a touch where it is applied, and whether it is depends on the stage that it meets when it arrives.
        assert state.as_of == expected.state.as_of or lead_id.startswith(SALES), lead_id
        assert ledger(state) == ledger(expected.state), lead_id
        as_of = max(state.as_of, expected.state.as_of)
        if as_of >= 0:
            rows = offline.lead_objects(program, expected, as_of)
            for mine, its in zip(score_rows(program, lead_id, state, as_of), rows, strict=True):
                for name in ("definition", "as_of", "score", "grade", "contributions"):
                    assert_alike(mine[name], its[name], f"{lead_id} {its['definition']} {name}")


def score_rows(program: Program, lead_id: str, state: LeadState, as_of: int) -> list[Json]:
    """What `score --leads` would print of a state that was read from the changelog."""
    table = LeadTable(program)
    table.settle_layout()
    lead = table.open(lead_id)
    lead.state = state
    lead.ledger.state = state
    return list(offline.lead_objects(program, lead, as_of))


def ledger(state: LeadState) -> list[tuple[object, ...]]:
    """What stands in a ledger, but for the order in which it came."""
    return [(entry.time, state.sources[entry.source], entry.id, entry.kind, entry.flags, entry.values) for entry in state.entries]


def check_qualified(found: Written, story: Story, path: Path, history: Sequence[Json], leave_out: str = "\0") -> dict[str, tuple[int, int]]:
    """The leads of the sorted history qualified, and no others; each at the sorted history's moment, if it was known by then.

    Returns of every lead whose moment differs (its own, the sorted history's). Leads whose id begins with ``leave_out``
    are not compared.
    """
    outputs = offline.score_events(texts([path]), history)
    expected = {output["lead_id"]: output["data"] for output in outputs if output["type"] == BECAME_MQL}
    assert expected, "a history in which nobody qualifies shows nothing"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))["definition"]
    got = found.mqls(definition)
    compared = {lead for lead in expected.keys() | got.keys() if not lead.startswith(leave_out)}
    missing, surplus = compared - got.keys(), compared - expected.keys()
    assert not missing and not surplus, f"{len(missing)} leads were not handed off, {len(surplus)} should not have been"
    differing = {}
    for lead in compared:
        mine, its = got[lead]["data"]["qualified_at"], expected[lead]["qualified_at"]
        if mine != its:
            came_after = story.arrivals[lead][story.opened[definition, lead] :]
            assert mine > its, f"{lead} qualified at {mine}, before {its}"
            assert any(event.time <= its for event in came_after), f"{lead} qualified at {mine}; all was known that made it {its}"
            differing[lead] = (mine, its)
    return differing


def check_oracle(found: Written, story: Story, path: Path, history: Iterable[Json], leads: Iterable[str]) -> int:
    """For these leads, the naive oracle finds the final score, and the moment of qualifying by what was known then.

    Returns how many of them qualified.
    """
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    program = offline.compile_texts(texts([path]))
    raw = {event["id"]: event for event in history}
    qualified = 0
    for lead in leads:
        arrived = [raw[event.id] for event in story.arrivals[lead]]
        entries = histories(arrived)[lead]
        scored = score_of(definition, entries, entries[-1].time)
        mine = next(iter(score_rows(program, lead, found.states[lead], found.states[lead].as_of)))
        assert_alike(mine["score"], scored["score"], lead)
        known = story.opened.get((definition["definition"], lead))
        if known is None:
            assert life(definition, arrived) == [], lead
            continue
        qualified += 1
        if (definition["definition"], lead) in story.at_once:
            assert life(definition, arrived[: known - 1]) == [], f"{lead} qualified before it was handed off"
        moment = life(definition, arrived[:known])[0].qualified_at
        assert found.mqls(definition["definition"])[lead]["data"]["qualified_at"] == moment, lead
    return qualified
