"""The one place where the oracle's tests touch the code under test: definitions and events in, plain data out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from mqlstream import offline
from mqlstream.core.event import Event
from mqlstream.core.plan import Program
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.ingest.canonical import canonical
from tests.oracle.events import Json


class Handoff(NamedTuple):
    """When and as what a lead became an MQL, and its total then."""

    lead: str
    cycle: int
    as_of: int
    qualified_at: int
    total: float


def scored(definition: Json, events: Iterable[Json], as_of: int | None) -> list[Json]:
    """What `score --leads` prints, the events given in any order."""
    return offline.score_leads([_text_of(definition)], list(events), as_of)


def scored_as_they_arrive(definition: Json, events: Iterable[Json]) -> list[Json]:
    """The same, but the events are applied in the order given, as a worker would that is restarted after each of them."""
    program = _compiled(_text_of(definition))
    records: dict[str, bytes] = {}
    latest = 0
    for event in events:
        accepted = canonical(dict(event))
        assert isinstance(accepted, Event), accepted
        table = _restored(program, records)
        step(program, table.open(accepted.lead), accepted)
        records.update({lead: packed for lead, packed in table.packed_changes() if packed is not None})
        latest = max(latest, accepted.time)
    table = _restored(program, records)
    return [row for lead in sorted(records) for row in offline.lead_objects(program, table.open(lead), latest)]


def handed_off(definition: Json, events: Iterable[Json]) -> list[Handoff]:
    """The became-MQL events that `score` prints, by time and lead."""
    found = []
    for output in _outputs(definition, events):
        if output["type"] == "mqlstream.lead.became_mql.v1":
            data = output["data"]
            found.append(Handoff(output["lead_id"], data["cycle"], data["as_of"], data["qualified_at"], data["score"]["total"]))
    return sorted(found, key=lambda handoff: (handoff.as_of, handoff.lead))


def _text_of(definition: Json) -> str:
    return json.dumps(definition, ensure_ascii=False)  # JSON is YAML, and quick to write


@lru_cache(maxsize=1)
def _compiled(text: str) -> Program:
    return offline.compile_texts([text])


def _restored(program: Program, records: dict[str, bytes]) -> LeadTable:
    table = LeadTable(program)
    table.settle_layout()
    for lead, record in records.items():
        table.load(lead, record)
    return table


def _outputs(definition: Json, events: Iterable[Json]) -> list[dict[str, Any]]:
    return list(offline.score_events([_text_of(definition)], list(events)))
