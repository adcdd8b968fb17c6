"""What reading one event of each source costs, adapter, canonical door and identity together, beside what scoring an event costs.

No broker, one thread, CPU time, all in one run: `mqlstream.ingest.adapters.reading.read` on the payloads of the tests, then what
`mqlstream.ingest.visitors` does with the visitors that their events name. Scoring is what the SCORE stage does for an event under 30
rules (`tests.bench.core.stage`), with Kafka left out on both sides. Absolute times are this machine's at this moment; it is their
ratio that says something.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import orjson

from mqlstream.core.event import Event
from mqlstream.ingest.adapters.base import Source
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import ADAPTERS, source_of
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.identity import visitors_of
from mqlstream.ingest.results import Anonymous
from mqlstream.ingest.visitors import DEFAULT_LIMITS, Visitor, links_of
from tests.bench import core
from tests.ingest.test_adapters import FILES, records

_REPEATS = 20  # short ones, of which the fastest counts: the others had to share the machine
_TURNS = 3  # of all sources and of scoring, so that a busy while of the machine hits none alone
_RULES = 30


class Cost(NamedTuple):
    """Microseconds an event, of payloads that are events; ``bytes`` of payload an event.

    ``read`` is adapter and canonical door, ``plain`` the canonical door alone, for the same events as canonical JSON.
    """

    source: str
    events: int
    bytes: float
    read: float
    plain: float
    identity: float

    def best(self, other: Cost) -> Cost:
        """The lowest of each figure."""
        return self._replace(
            read=min(self.read, other.read), plain=min(self.plain, other.plain), identity=min(self.identity, other.identity)
        )

    @property
    def together(self) -> float:
        return self.read + self.identity


def measure(rounds: int = 20) -> list[Cost]:
    """The cost of every source's payloads, of their parts that are events."""
    costs = []
    for name in ADAPTERS:
        source = source_of({"adapter": name})
        payloads = [(value, good) for path in FILES if path.stem == name for value in records(path) if (good := _good(source, value))]
        events = [event for value, good in payloads for event in _events(source, value, good)]
        plain = [_canonical(event) for event in events]

        def adapted(source=source, payloads=payloads) -> None:
            for value, good in payloads:
                read(source, value, only=good)

        def door(plain=plain) -> None:
            for value in plain:
                canonical(value)

        visitors: dict[str, Visitor] = {}

        def identified(events=events, visitors=visitors) -> None:
            _identify(events, visitors)

        size = sum(len(value) for value, _ in payloads) / len(events)
        micros = [_micros(work, rounds) / len(events) for work in (adapted, door, identified)]
        costs.append(Cost(name, len(events), size, *micros))
    return costs


def show() -> None:
    """Measure and print."""
    scoring, costs = core.stage(_RULES), measure()
    for _ in range(_TURNS - 1):
        scoring, costs = min(scoring, core.stage(_RULES)), [cost.best(other) for cost, other in zip(costs, measure(), strict=True)]
    print(f"\nMicroseconds an event; scoring it under {_RULES} rules: {scoring:.1f}. In brackets: the same events as canonical JSON")
    print(f"  {'source':14} {'adapter and door':>17} {'identity':>9} {'together':>9} {'of scoring':>11} {'bytes':>7}")
    for cost in costs:
        print(
            f"  {cost.source:14} {cost.read:10.1f} ({cost.plain:4.1f}) {cost.identity:9.1f} {cost.together:9.1f} "
            f"{cost.together / scoring:11.2f} {cost.bytes:7.0f}"
        )
    above = [cost.source for cost in costs if cost.together >= scoring]
    print(
        f"Adapter and identity together cost less than scoring the event: {'not ' + ', '.join(above) if above else 'every source'}",
        flush=True,
    )


def _identify(events: Sequence[Event], visitors: dict[str, Visitor]) -> None:
    """What the links of these events do to their visitors, and whom events without a lead go to."""
    for event in events:
        for visitor, link in links_of(event):
            visitors.setdefault(visitor, Visitor()).link(link, DEFAULT_LIMITS)
        if not event.lead:
            named, _ = visitors_of(event.body)
            assert named is not None
            visitors.setdefault(named, Visitor()).follow(event.time, ())


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


def _events(source: Source, value: bytes, only: frozenset[int] = frozenset()) -> list[Event]:
    """The events of a payload, of leads and of visitors."""
    results = [reading.result for reading in read(source, value, only=only)]
    return [result.event if isinstance(result, Anonymous) else result for result in results if isinstance(result, Event | Anonymous)]


def _good(source: Source, value: bytes) -> frozenset[int]:
    """The places of the parts of a payload that are events, all of each; empty when it has none."""
    readings = read(source, value)
    spoilt = {reading.place for reading in readings if not isinstance(reading.result, Event | Anonymous)}
    return frozenset(reading.place or 0 for reading in readings if reading.place not in spoilt)


def _canonical(event: Event) -> bytes:
    """The canonical JSON of an event, as a platform team would write it."""
    plain = msgspec.to_builtins(event)
    body = {name: value for name, value in plain.pop("body", {}).items() if name not in ("host", "path", "query", "utm")}
    lead = plain.pop("lead")
    return orjson.dumps({**({"lead_id": lead} if lead else {}), **plain, **body})
