"""What scoring one event costs as rules and ledgers grow: the core alone, on one thread, without a broker.

Two figures: the same events under 30 and under 300 rules, and the events of one lead while its ledger fills and stays full.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mqlstream import offline
from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable

CONFIG = Path(__file__).resolve().parents[2] / "config"
START_MS = 1_793_613_600_000
_REPEATS = 5  # of which the fastest counts: the others had to share the machine
_BATCH = 500  # events between two packings, as in a worker
_SHAPES = (
    ("web_visit", "{{path: {{prefix: /p{0}}}, duration_seconds: {{gte: 10}}}}", "limit: {count: 1, per: 7d}, decay: {half_life: 14d}"),
    ("form_fill", "{{form: f{0}}}", "decay: {half_life: 30d}"),
    ("email_click", "{{campaign: {{glob: 'c{0}*'}}, action: click}}", "decay: {half_life: 14d}"),
    ("activity", "{{name: {{in: [n{0}, m{0}]}}}}", "weight: 2"),
)


def show() -> None:
    """Measure, and print."""
    few, many = rules(30), rules(300)
    print(f"\nScore an event under 30 rules: {few:.1f} us, under 300: {many:.1f} us, ratio {many / few:.2f}", flush=True)
    young, full = ledger(200), ledger(4_000)
    print(f"Score an event of a lead with up to 200 entries: {young:.1f} us, with a full ledger: {full:.1f} us, ratio {full / young:.2f}")


def rules(number: int, events: int = 20_000) -> float:
    """Microseconds an event under so many rules; the same events whatever the number."""
    lines = []
    for index in range(number):
        kind, where, more = _SHAPES[index % len(_SHAPES)]
        lines.append(f"  - {{id: r{index}, on: {kind}, where: {where.format(index)}, points: 3, {more}}}")
    definition = "definition: many\nversion: 1\nrules:\n" + "\n".join(lines) + "\nqualify: {threshold: {total: 1000000}}\n"
    return _micros(definition, [_event(index, events) for index in range(events)], skip=0)


def ledger(events: int) -> float:
    """Microseconds for each of the last events of one lead that has had so many, 90 a day."""
    definition = (CONFIG / "b2b-default.yaml").read_text()
    gap_ms = DAY_MS // 90
    pages = ("/pricing", "/product/tour", "/product/api")
    history = [Event("s", f"e{n}", "web_visit", START_MS + n * gap_ms, "ann", body={"path": pages[n % 3]}) for n in range(events)]
    return _micros(definition, history, skip=events // 2)


def _event(index: int, events: int) -> Event:
    rnd = random.Random(index)
    place = rnd.randrange(28)
    kind = _SHAPES[place % len(_SHAPES)][0]
    bodies: dict[str, dict[str, Any]] = {
        "web_visit": {"path": f"/p{place}/x{rnd.randrange(50)}", "duration_seconds": rnd.randrange(300)},
        "form_fill": {"form": f"f{place}"},
        "email_click": {"campaign": f"c{place}", "action": "click"},
        "activity": {"name": f"n{place}"},
    }
    return Event("s", str(index), kind, START_MS + index * 1_000, f"lead-{rnd.randrange(events // 20)}", body=bodies[kind])


def _micros(definition: str, events: Sequence[Event], skip: int) -> float:
    program = offline.compile_texts([definition])
    best = float("inf")
    for _ in range(_REPEATS):
        table = LeadTable(program)
        table.settle_layout()
        began = time.process_time()
        for number, event in enumerate(events):
            if number == skip:
                began = time.process_time()
            step(program, table.open(event.lead), event)
            if number % _BATCH == 0:
                table.packed_changes()
        best = min(best, time.process_time() - began)
    return best / (len(events) - skip) * 1e6
