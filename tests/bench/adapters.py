"""What reading one event of each source costs: adapter and canonical door together, on the payloads of the tests.

No broker, one thread: the CPU time of `mqlstream.ingest.adapters.reading.read` divided by the events that came of it. Beside
each source stands the cost of the same events as canonical JSON, which is what the adapter adds to.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import orjson

from mqlstream.core.event import Event
from mqlstream.ingest.adapters.base import Source
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import ADAPTERS, source_of
from mqlstream.ingest.canonical import canonical
from tests.ingest.test_adapters import FILES, records

_REPEATS = 60  # short ones, of which the fastest counts: the others had to share the machine


class Cost(NamedTuple):
    """Microseconds an event, of payloads that are events; ``bytes`` of payload an event."""

    source: str
    events: int
    bytes: float
    micros: float
    canonical_micros: float


def measure(rounds: int = 20) -> list[Cost]:
    """The cost of every source's payloads, of their parts that are events."""
    costs = []
    for name in ADAPTERS:
        source = source_of({"adapter": name})
        payloads = [(value, good) for path in FILES if path.stem == name for value in records(path) if (good := _good(source, value))]
        events = [
            reading.result for value, good in payloads for reading in read(source, value, only=good) if isinstance(reading.result, Event)
        ]
        plain = [_canonical(event) for event in events]

        def adapted(source=source, payloads=payloads) -> None:
            for value, good in payloads:
                read(source, value, only=good)

        def door(plain=plain) -> None:
            for value in plain:
                canonical(value)

        size = sum(len(value) for value, _ in payloads) / len(events)
        costs.append(Cost(name, len(events), size, _micros(adapted, rounds) / len(events), _micros(door, rounds) / len(events)))
    return costs


def show() -> None:
    """Measure and print."""
    print("\nAdapter and canonical door, microseconds an event (and the same event as canonical JSON)", flush=True)
    for cost in measure():
        print(
            f"  {cost.source:14} {cost.micros:6.1f} us ({cost.canonical_micros:4.1f})   {cost.bytes:6.0f} bytes of payload an event",
            flush=True,
        )


def _micros(work: Callable[[], None], rounds: int) -> float:
    best = float("inf")
    gc.collect()
    gc.disable()
    try:
        for _ in range(_REPEATS):
            begun = time.process_time()
            for _ in range(rounds):
                work()
            best = min(best, time.process_time() - begun)
    finally:
        gc.enable()
    return best / rounds * 1e6


def _good(source: Source, value: bytes) -> frozenset[int]:
    """The places of the parts of a payload that are events, all of each; empty when it has none."""
    readings = read(source, value)
    spoilt = {reading.place for reading in readings if not isinstance(reading.result, Event)}
    return frozenset(reading.place or 0 for reading in readings if reading.place not in spoilt)


def _canonical(event: Event) -> bytes:
    """The canonical JSON of an event, as a platform team would write it."""
    plain = msgspec.to_builtins(event)
    body = {name: value for name, value in plain.pop("body", {}).items() if name not in ("host", "path", "query", "utm")}
    lead = plain.pop("lead")
    return orjson.dumps({"lead_id": lead, **plain, **body})
