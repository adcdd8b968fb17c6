"""The one place where the oracle's tests touch the code under test: definitions and events in, plain data out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from mqlstream import offline
from mqlstream.core.event import Event
from mqlstream.ingest.canonical import canonical
from tests.oracle.events import Json
from tests.oracle.strategies import FIRST, text_of

SUPPORTED = FIRST  # what production knows of the language


class Handoff(NamedTuple):
    """When and as what a lead became an MQL, and its total then."""

    lead: str
    cycle: int
    as_of: int
    qualified_at: int
    total: float


def scored(definition: Json, events: Iterable[Json], as_of: int | None) -> list[Json]:
    """What `score --leads` prints, the events given in any order."""
    return offline.score_leads([text_of(definition)], list(events), as_of)


def scored_as_they_arrive(definition: Json, events: Iterable[Json]) -> list[Json]:
    """The same, but the events are applied in the order given, as a worker would."""
    replay = offline.Replay(offline.compile_texts([text_of(definition)]))
    for event in events:
        accepted = canonical(dict(event))
        assert isinstance(accepted, Event), accepted
        replay.apply(accepted)
    return list(replay.leads())


def handed_off(definition: Json, events: Iterable[Json]) -> list[Handoff]:
    """The became-MQL events that `score` prints, by time and lead."""
    found = []
    for output in _outputs(definition, events):
        if output["type"] == "mqlstream.lead.became_mql.v1":
            data = output["data"]
            found.append(Handoff(output["lead_id"], data["cycle"], data["as_of"], data["qualified_at"], data["score"]["total"]))
    return sorted(found, key=lambda handoff: (handoff.as_of, handoff.lead))


def _outputs(definition: Json, events: Iterable[Json]) -> list[dict[str, Any]]:
    return list(offline.score_events([text_of(definition)], list(events)))
