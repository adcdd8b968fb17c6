"""What scoring one event costs as rules and ledgers grow: the core alone, on one thread, without a broker.

The same events under 30 and under 300 rules, and the events of one lead while its ledger fills and stays full. And what timers
cost, in bytes and time, however they are spread.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mqlstream import offline, wire
from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.state import NEVER
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.core.timer_queue import TimerQueue
from mqlstream.engine.memory_log import Stored
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import Topics
from tests.core.weighing import weight

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
    print("A million timers:")
    for name, days in (("all at one midnight", 1), ("at midnights of a month", 30), ("all over a year", 0)):
        size, set_us, moved_us, taken_us = timers(days)
        print(
            f"  {name:24} {size:.1f} bytes each; {set_us:.1f} us to set one, {moved_us:.1f} to move, {taken_us:.1f} to take it off",
            flush=True,
        )


def rules(number: int, events: int = 20_000) -> float:
    """Microseconds an event under so many rules; the same events whatever the number."""
    return _micros(_definition(number), [_event(index, events) for index in range(events)], skip=0)


def stage(number: int, events: int = 20_000) -> float:
    """Microseconds an event in the SCORE stage under so many rules: its record read, clicks looked at, scored, and its lead packed."""
    score = ScoreStage(Topics("bench."), offline.compile_texts([_definition(number)]))
    records = [
        Stored("", 0, index, event.time, wire.key_of(event.lead), wire.encode(event), (), None)
        for index, event in enumerate(_event(index, events) for index in range(events))
    ]
    best = float("inf")
    for _ in range(_REPEATS):
        processor = score.processor(0)
        began = time.process_time()
        for first in range(0, events, _BATCH):
            processor.committed(processor.process(records[first : first + _BATCH], None))
        best = min(best, time.process_time() - began)
    return best / events * 1e6


def _definition(number: int) -> str:
    lines = []
    for index in range(number):
        kind, where, more = _SHAPES[index % len(_SHAPES)]
        lines.append(f"  - {{id: r{index}, on: {kind}, where: {where.format(index)}, points: 3, {more}}}")
    return "definition: many\nversion: 1\nrules:\n" + "\n".join(lines) + "\nqualify: {threshold: {total: 1000000}}\n"


def ledger(events: int) -> float:
    """Microseconds for each of the last events of one lead that has had so many, 90 a day."""
    definition = (CONFIG / "b2b-default.yaml").read_text()
    gap_ms = DAY_MS // 90
    pages = ("/pricing", "/product/tour", "/product/api")
    history = [Event("s", f"e{n}", "web_visit", START_MS + n * gap_ms, "ann", body={"path": pages[n % 3]}) for n in range(events)]
    return _micros(definition, history, skip=events // 2)


def timers(days: int, number: int = 1_000_000) -> tuple[float, float, float, float]:
    """Bytes of a timer, and microseconds to set, move and take off one; they are due at so many midnights, or, with 0, all over a year."""
    rnd = random.Random(days)
    leads = [f"lead-{rnd.getrandbits(64):016x}" for _ in range(number)]
    dues = [START_MS + (rnd.randrange(days) * DAY_MS if days else rnd.randrange(365 * DAY_MS)) for _ in leads]
    queue = TimerQueue()
    gc.collect()
    gc.freeze()  # as in a worker
    clock = time.process_time
    began = clock()
    for lead, due in zip(leads, dues, strict=True):
        queue.move(lead, NEVER, due)
    set_s = clock() - began
    size = weight(queue) / number
    moved = number // 10
    began = clock()
    for lead, due in zip(leads[:moved], dues, strict=False):
        queue.move(lead, due, due + DAY_MS)
    moved_s = clock() - began
    queue.next_due()
    began = clock()
    for _ in range(moved):
        queue.next_due()
        queue.pop()
    return size, set_s / number * 1e6, moved_s / moved * 1e6, (clock() - began) / moved * 1e6


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
