"""Timers held against a sorted list, and weighed."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mqlstream import offline
from mqlstream.core import timer_queue
from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.state import NEVER
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.core.timer_queue import TimerQueue
from mqlstream.core.timers import fire
from tests.core.weighing import weight

START = 1_793_610_000_000
YEAR_MS = 365 * DAY_MS

# Few and many equal moments, neighbours, and some further apart than four bytes can tell.
MOMENTS = st.one_of(
    st.integers(0, 5),
    st.integers(START, START + 20),
    st.sampled_from([START + n * DAY_MS for n in range(5)]),
    st.integers(0, START + 30 * YEAR_MS),
)
ACTIONS = st.one_of(
    st.tuples(st.just("move"), st.integers(0, 40), st.one_of(st.just(NEVER), MOMENTS)),
    st.tuples(st.just("look"), st.just(0), st.just(0)),
    st.tuples(st.just("pop"), st.just(0), st.just(0)),
    st.tuples(st.just("mistake"), st.integers(0, 40), MOMENTS),
)


@given(st.lists(ACTIONS, max_size=300))
@settings(max_examples=150)
def test_timers_come_as_from_a_sorted_list(actions: list[tuple[str, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_LONGEST": 8, "_SHORTEST": 3, "_SLACK": 2, "_MOVES": 5}.items():
            patch.setattr(timer_queue, name, value)
        queue = TimerQueue()
        told: dict[str, int] = {}
        for action, number, due in actions:
            lead_id = f"lead-{number}"
            if action == "move":
                queue.move(lead_id, told.pop(lead_id, NEVER), due)
                if due != NEVER:
                    told[lead_id] = due
            elif action == "mistake" and lead_id not in told:
                queue.move(lead_id, due, NEVER)
            else:
                first = min([(due, lead_id) for lead_id, due in told.items()], default=None)
                assert queue.next_due() == (first[0] if first else None)
                if action == "pop" and first:
                    assert queue.pop() == first[1]
                    del told[first[1]]
        assert list(queue) == sorted((due, lead_id) for lead_id, due in told.items())
        assert len(queue) == len(told)


def _id(number: int) -> str:
    return f"lead-{number:07}"


SPREADS: dict[str, Callable[[int], int]] = {
    "all at one moment": lambda number: START,
    "at midnights": lambda number: START + number % 30 * DAY_MS,
    "all over a year": lambda number: START + number * 15_485_863 % YEAR_MS,
    "each earlier than the one before": lambda number: START - number * 300_000,
}


def _filled(number: int, due: Callable[[int], int]) -> TimerQueue:
    queue = TimerQueue()
    gc.disable()  # it would go over a million references again and again, as no worker's does
    try:
        for index in range(number):
            queue.move(_id(index), NEVER, due(index))
    finally:
        gc.enable()
    return queue


def test_a_million_timers_take_at_most_sixteen_bytes_each() -> None:
    spreads = list(SPREADS.values())[:3]
    queue = _filled(1_000_000, lambda number: spreads[number % 3](number))
    assert weight(queue) <= 16 * 1_000_000
    assert queue.next_due() == START


@pytest.mark.parametrize("spread", SPREADS)
def test_they_do_so_however_they_are_spread(spread: str) -> None:
    queue = _filled(100_000, SPREADS[spread])
    queue.next_due()
    assert len(queue) == 100_000  # all sorted in: among so few, moves that are not would weigh more
    assert weight(queue) <= 16 * 100_000


def test_what_is_counted_is_what_is_allocated() -> None:
    ids = [_id(index) for index in range(30_000)]
    freed = 2_000 * 56  # pairs that Python keeps to use again
    tracemalloc.start()
    try:
        queue = TimerQueue()
        for index, lead_id in enumerate(ids):
            queue.move(lead_id, NEVER, START + index % 977 * 60_000)
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert allocated - freed <= weight(queue) * 1.05


def test_timers_that_move_and_end_leave_nothing_behind() -> None:
    number, moves = 8_000, 8
    leads = [_id(index) for index in range(number)]
    queue = TimerQueue()
    for day in range(moves):
        for lead_id in leads:
            queue.move(lead_id, START + (day - 1) * DAY_MS if day else NEVER, START + day * DAY_MS)
    assert len(queue) == number
    assert weight(queue) <= 16 * number
    for lead_id in leads[::2]:
        queue.move(lead_id, START + (moves - 1) * DAY_MS, NEVER)
    assert len(queue) == number // 2
    assert weight(queue) <= 16 * number // 2
    for lead_id in leads[1::2]:
        queue.move(lead_id, START + (moves - 1) * DAY_MS, NEVER)
    assert (queue.next_due(), weight(queue) < 2_000) == (None, True)


COOLING = """
definition: first
version: 1
rules:
  - {id: visit, on: web_visit, points: 60, decay: {half_life: 14d}}
  - {id: demo, on: form_fill, points: 50, decay: {half_life: 3d}}
qualify: {threshold: {total: 100}, rearm: {below: 80, cooldown: 1d}}
"""


def _worked(leads: int) -> tuple[LeadTable, list[tuple[str, bytes | None]]]:
    """A table of leads that wait for their fall or the end of their cooldown, and its changelog."""
    program = offline.compile_texts([COOLING])
    table, changelog = LeadTable(program), list[tuple[str, bytes | None]]()
    table.settle_layout()
    for round_ in range(4):
        for number in range(leads):
            event = Event(
                "s", f"{round_}-{number}", "form_fill" if round_ == 1 else "web_visit", START + round_ * number * 60_000, f"lead-{number}"
            )
            lead = table.open(event.lead)
            step(program, lead, event)
            table.schedule(lead)
        changelog += table.packed_changes()
    return table, changelog


def _fired(table: LeadTable, until_ms: int) -> list[tuple[int, str, str]]:
    fired: list[tuple[int, str, str]] = []
    while (lead := table.pop_due(until_ms)) is not None:
        due = lead.state.due
        fired += [(due, lead.id, output["type"]) for output in fire(table.program, lead)] or [(due, lead.id, "")]
        table.schedule(lead)
    return fired


def test_after_a_restore_timers_need_nothing_but_the_records() -> None:
    table, changelog = _worked(200)
    restored = LeadTable(table.program)
    restored.layouts.update(table.layouts)
    restored.settle_layout()
    for lead_id, record in changelog:  # with all that was superseded
        restored.load(lead_id, record)
    assert restored.next_due() == table.next_due() is not None
    assert list(restored._timers) == list(table._timers)
    fired = _fired(table, START + YEAR_MS)
    assert _fired(restored, START + YEAR_MS) == fired
    assert len(fired) >= 200
    assert [due for due, _, _ in fired] == sorted(due for due, _, _ in fired)


def test_an_erased_lead_s_timer_is_gone() -> None:
    table, changelog = _worked(2)
    restored = LeadTable(table.program)
    for lead_id, record in [*changelog, ("lead-0", None)]:
        restored.load(lead_id, record)
    assert [lead_id for _, lead_id in restored._timers] == ["lead-1"]
    lead = table.open("lead-0")
    step(table.program, lead, Event("s", "x", "command", START + YEAR_MS, "lead-0", body={"do": "erase", "by": "ops"}))
    table.packed_changes()
    assert [lead_id for _, lead_id in table._timers] == ["lead-1"]


def test_timers_share_their_leads_ids_with_the_table() -> None:
    table, changelog = _worked(50)
    for number in range(50):  # each opened afresh, under another copy of its id
        lead = table.reopen("".join(["lead", "-", str(number)]))
        step(table.program, lead, Event("s", f"{number}", "web_visit", START + 3 * DAY_MS, lead.id))
        table.schedule(lead)
    table.packed_changes()
    restored = LeadTable(table.program)
    for lead_id, record in changelog:
        restored.load("".join([lead_id[:4], lead_id[4:]]), record)
    for each in (table, restored):
        keys = {id(lead_id) for lead_id in each}
        timers = [lead_id for _, lead_id in each._timers]
        assert timers
        assert all(id(lead_id) in keys for lead_id in timers)
