"""A record through its source's adapter, then each of its events through the canonical door. Never raises, whatever the record."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import msgspec

from mqlstream.core.event import Event
from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import Headers, Skip, Source
from mqlstream.ingest.canonical import MAX_BYTES, event_of
from mqlstream.ingest.fields import Refused
from mqlstream.ingest.results import DEFAULT_OPTIONS, UNKNOWN_KIND, Anonymous, Ignored, IngestOptions, Rejected

Result = Event | Anonymous | Ignored | Rejected


class Reading(msgspec.Struct):
    """What came of one part of a record. ``place`` is the part's number, None where the record is one part or none could be told."""

    place: int | None
    result: Result


def read(
    source: Source,
    value: bytes | None,
    headers: Headers = (),
    *,
    topic: str | None = None,
    record_ms: int | None = None,
    options: IngestOptions = DEFAULT_OPTIONS,
    only: Collection[int] = (),
) -> list[Reading]:
    """All that a record holds, part by part in its order; a part can be several events, and one that is unusable spoils no other.

    ``topic`` names the events' source where neither the configuration nor the record does. ``only`` are the places to
    read, by default all: a record that was put aside for some of its parts is not read twice for the others.
    """
    if not value:
        return [Reading(None, Rejected(UNKNOWN_KIND, Reason.EMPTY, "value: empty, expected a payload"))]
    size = len(value)
    if size > MAX_BYTES:
        return [Reading(None, Rejected(UNKNOWN_KIND, Reason.TOO_LARGE, f"value: got {size} bytes, expected at most {MAX_BYTES}"))]
    adapter, prepared = source.adapter, source.prepared
    try:
        parts = adapter.open(value, headers, prepared)
    except Refused as refused:
        return [Reading(None, Rejected(UNKNOWN_KIND, refused.reason, refused.detail))]
    name = source.name or topic
    batch = parts.where is not None
    readings: list[Reading] = []
    put = readings.append
    for number, item in enumerate(parts.items):
        if only and number not in only:
            continue
        place = number if batch else None
        try:
            found = adapter.read(item, parts.shared, prepared)
        except Refused as refused:
            put(Reading(place, _placed(Rejected(UNKNOWN_KIND, refused.reason, refused.detail), parts.where, place)))
            continue
        several: Iterable[Any] = (found,) if type(found) is dict or type(found) is Skip else found
        for one in several:
            result = event_of(one, size, None, name, record_ms, options) if type(one) is dict else _skipped(one)
            if place is not None and type(result) is not Event:
                result = _placed(result, parts.where, place)
            put(Reading(place, result))
    if not readings:
        put(Reading(None, Ignored(UNKNOWN_KIND, Reason.NO_TOUCH, "an empty batch")))
    return readings


def _skipped(skip: Skip) -> Ignored:
    return Ignored(skip.kind, skip.reason, skip.why)


def _placed(result: Result, where: str | None, place: int | None) -> Result:
    """A result that is no event, its detail beginning with the place of the part."""
    assert not isinstance(result, Event)
    return result if place is None else result._replace(detail=f"{where}[{place}]: {result.detail}")
