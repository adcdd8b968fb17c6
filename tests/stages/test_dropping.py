"""What a task drops is gone at once: nothing that grows with leads may wait for the garbage collector, which seldom looks at it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from mqlstream import offline, wire
from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.core.table import LeadTable
from mqlstream.core.tally import Tally
from mqlstream.engine.interfaces import Effects, Processor, Stage
from mqlstream.engine.surroundings import Surroundings, show
from mqlstream.ingest.visitors import Limits
from mqlstream.stages.accounts import AccountsStage
from mqlstream.stages.identify import IdentifyStage
from mqlstream.stages.ingest import IngestStage
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import Topics
from tests.stages.reading import Read

TOPICS = Topics("mql.")
START = 1_793_610_000_000
DEFINITION = (Path(__file__).resolve().parents[2] / "config" / "b2b-default.yaml").read_text()
ACCOUNTS = """
definition: of-accounts
version: 1
rules: [{id: visit, on: web_visit, points: 30, decay: {half_life: 7d}}]
qualify: {threshold: {total: 90}, rearm: {below: 20}}
accounts: {threshold: {sum: 90, best: 40}}
"""


@pytest.fixture(autouse=True)
def collecting_nothing() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def touches(leads: int = 30) -> list[Event]:
    """Visits, forms, feedback, a merge and a correction, late ones among them."""
    found: list[Event] = []
    for number in range(leads):
        lead, at = f"lead-{number}", START + number * 1000
        bodies: list[tuple[str, dict[str, Any]]] = [
            ("web_visit", {"path": "/pricing", "duration_seconds": 90}),
            ("form_fill", {"form": "demo-request"}),
            ("profile", {}),
            ("feedback", {"decision": "accepted"}),
            ("command", {"do": "retract", "event": {"source": "s", "id": f"web_visit-{number}"}}),
            ("command", {"do": "merge", "into": f"lead-{number - 1}"} if number % 10 == 9 else {"do": "freeze"}),
        ]
        for place, (kind, body) in enumerate(bodies):
            attributes = {"title": "CTO"} if kind == "profile" else None
            late_ms = 3_600_000 * (place % 3)
            found.append(Event("s", f"{kind}-{number}", kind, at - late_ms, lead, body, f"{lead}@acme.example", attributes=attributes))
    return found


def read(events: list[Event]) -> list[Read]:
    return [Read(wire.key_of(each.lead), wire.encode(each), offset, each.time) for offset, each in enumerate(events)]


def alive(*kinds: type) -> int:
    return sum(isinstance(each, kinds) for each in gc.get_objects())


def fed(stage: Stage) -> Processor:
    """A processor that has worked and keeps what it keeps; another one restored from it is dropped again."""
    processor = stage.processor(0)
    show(processor, Surroundings(1, frozenset, lambda: START))
    events = touches()
    raw = [
        {"id": each.id, "source": "s", "kind": each.kind, "time": each.time, "anonymous_id": f"v{number % 7}", **each.body}
        for number, each in enumerate(events)
        if each.kind in ("web_visit", "form_fill")
    ]
    batches: dict[str, Callable[[], list[Read]]] = {
        "ingest": lambda: as_sent(raw),
        "identify": lambda: of_ingest(raw),
        "score": lambda: read(events),
        "accounts": lambda: of_score(events),
    }
    effects = processor.process(batches[stage.name](), START)
    processor.committed(effects)
    restored = stage.processor(0)
    for key, value in effects.changelog:
        restored.restore(key, value)
    return processor


def as_sent(raw: list[dict[str, Any]]) -> list[Read]:
    return [Read(None, orjson.dumps(each), topic=TOPICS.web_visits) for each in raw]


def of_ingest(raw: list[dict[str, Any]]) -> list[Read]:
    effects = IngestStage(TOPICS, 1).processor(0).process(as_sent(raw), None)
    return passed_on(effects, TOPICS.visitor_events)


def of_score(events: list[Event]) -> list[Read]:
    effects = ScoreStage(TOPICS, offline.compile_texts([ACCOUNTS])).processor(0).process(read(events), None)
    return passed_on(effects, TOPICS.account_leads)


def passed_on(effects: Effects, topic: str) -> list[Read]:
    outputs = [output for output in effects.outputs if output.topic == topic]
    assert outputs
    return [Read(each.key, each.value, number, each.timestamp or 0, topic, headers=each.headers) for number, each in enumerate(outputs)]


@pytest.mark.parametrize(
    "stage",
    [
        IngestStage(TOPICS, 1),
        IdentifyStage(TOPICS, 1, Limits()),
        ScoreStage(TOPICS, offline.compile_texts([DEFINITION, ACCOUNTS])),
        AccountsStage(TOPICS, "/test"),
    ],
    ids=lambda stage: stage.name,
)
def test_a_task_that_ends_leaves_nothing(stage: Stage) -> None:
    processor = fed(stage)
    kind, leads = type(processor), alive(Lead, Tally)
    assert alive(kind) >= 1 and (stage.name != "score" or leads >= 30)
    del processor
    assert alive(kind, Lead, Tally) == 0


def test_a_lead_that_is_closed_is_gone() -> None:
    program = offline.compile_texts([DEFINITION])
    table = LeadTable(program, open_leads=2)
    table.settle_layout()
    for number in range(20):
        lead = table.open(f"lead-{number}")
        lead.state.seq = 1
        lead.tallies[0] = Tally.over(program.plans[0], lead.ledger, START)
        del lead
        table.packed_changes()
    assert alive(Lead) <= 6


def test_of_many_tasks_each_keeps_fewer_leads_open() -> None:
    processor = ScoreStage(TOPICS, offline.compile_texts([DEFINITION])).processor(0)
    show(processor, Surroundings(100, frozenset, lambda: START))
    for start in range(0, 24_000, 4_000):
        visits = [Event("s", "v", "web_visit", START, f"lead-{number}", {"path": "/"}) for number in range(start, start + 4_000)]
        processor.committed(processor.process(read(visits), None))
    assert 5_000 <= alive(Lead) <= 14_000
