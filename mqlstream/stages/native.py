"""Records in the form of their vendors, within the ingest stage: what is wrong with a record's parts becomes one dead letter.

What such a record means is decided in `mqlstream.ingest.adapters`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mqlstream.engine.interfaces import Headers, Output, Record
from mqlstream.ingest.adapters.base import MAX_PARTS
from mqlstream.ingest.adapters.reading import Reading
from mqlstream.ingest.results import Rejected
from mqlstream.stages.dead_letter import PLACES, dead_letter, why_empty


def wanted_places(headers: Headers) -> Collection[int]:
    """The parts to read of a record that comes back from the dead letters, where it was put for these alone; else empty, for all."""
    for name, value in reversed(headers):
        if name == PLACES and value:
            words = value.split(b",", MAX_PARTS)[:MAX_PARTS]
            return frozenset(int(word) for word in words if word.isdigit() and len(word) < 6)
    return ()


def put_aside(topic: str, stage: str, record: Record, readings: Sequence[Reading]) -> tuple[Output, Rejected] | None:
    """One dead letter for all parts of a record that are rejected, however many, with the first one; None when there are none.

    The reason and the detail are those of the first; how many more there are is said, and the places of all.
    """
    bad = [(reading.place, reading.result) for reading in readings if isinstance(reading.result, Rejected)]
    if not bad:
        return None
    first = why_empty(record, bad[0][1])
    detail = first.detail
    if len(bad) > 1:
        detail = f"{detail[:800]}; and {len(bad) - 1} more"
    places = list(dict.fromkeys(place for place, _ in bad if place is not None))
    return dead_letter(topic, stage, record, first.reason, detail, places=places), first
