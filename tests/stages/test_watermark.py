"""Up to when all events have arrived, as the score stage knows it from what ingest tasks tell."""

from __future__ import annotations

import pytest

from mqlstream.stages.watermark import SILENCE_MS, Watermark
from mqlstream.wire import Frontier

DAY = 86_400_000
WALL = 1_793_610_000_000


def watermark(*told: tuple[int, int | None], tasks: int = 2) -> Watermark:
    made = Watermark()
    for task, before_ms in told:
        made.hear(Frontier(task, tasks, before_ms))
    return made


def test_before_anybody_spoke_nothing_waits() -> None:
    made = Watermark()
    made.wait(WALL)
    assert (made.before_ms, made.due_ms()) == (None, None)


def test_a_task_not_heard_of_may_still_bring_anything() -> None:
    assert watermark((1, None)).before_ms == 0
    assert watermark((1, 5 * DAY)).before_ms == 0


def test_the_task_furthest_behind_decides() -> None:
    assert watermark((0, 7 * DAY), (1, 5 * DAY)).before_ms == 5 * DAY
    assert watermark((0, 7 * DAY), (1, 5 * DAY), (1, 8 * DAY)).before_ms == 7 * DAY
    assert watermark((0, 7 * DAY), (1, None)).before_ms == 7 * DAY


def test_once_all_keep_up_nothing_waits() -> None:
    assert watermark((0, 7 * DAY), (1, None), (0, None)).before_ms is None


def test_a_task_that_starts_afresh_may_be_further_back_again() -> None:
    assert watermark((0, None), (1, 5 * DAY), (1, 0)).before_ms == 0


def test_it_survives_a_restart() -> None:
    made = watermark((0, 7 * DAY), (2, None), (1, 5 * DAY), tasks=3)
    again = Watermark()
    again.restore(made.packed())
    assert again.before_ms == 5 * DAY
    again.hear(Frontier(1, 3, None))
    assert again.before_ms == 7 * DAY


def test_of_fewer_tasks_those_that_are_gone_do_not_count() -> None:
    assert watermark((3, 5 * DAY), tasks=4).before_ms == 0
    made = watermark((3, 5 * DAY), (1, None), (0, None), tasks=4)
    made.hear(Frontier(0, 2, None))
    assert made.before_ms is None


def test_a_task_that_is_silent_for_too_long_is_not_waited_for_until_it_speaks(caplog: pytest.LogCaptureFixture) -> None:
    made = watermark((0, 7 * DAY), (1, 5 * DAY))
    made.wait(WALL)
    assert made.due_ms() == WALL + SILENCE_MS
    made.hear(Frontier(0, 2, 8 * DAY))
    made.wait(WALL + SILENCE_MS - 1)
    assert made.before_ms == 5 * DAY
    made.wait(WALL + SILENCE_MS)
    assert made.before_ms == 8 * DAY
    assert caplog.messages == ["ingest task 1 catches up but has been silent for 60 s; going on without it"]
    made.hear(Frontier(1, 2, 6 * DAY))
    assert made.before_ms == 6 * DAY


def test_tasks_that_keep_up_may_be_silent() -> None:
    made = watermark((0, None), (1, None))
    made.wait(WALL)
    made.wait(WALL + 10 * SILENCE_MS)
    assert (made.before_ms, made.due_ms()) == (None, None)


@pytest.mark.parametrize(
    ("told", "frontier", "falls_back"),
    [
        ([], Frontier(0, 1, None), False),
        ([], Frontier(0, 2, None), True),
        ([(0, None), (1, None)], Frontier(1, 2, DAY), True),
        ([(0, 3 * DAY), (1, 5 * DAY)], Frontier(1, 2, 3 * DAY), False),
        ([(0, 3 * DAY), (1, 5 * DAY)], Frontier(1, 2, 2 * DAY), True),
        ([(0, 3 * DAY), (1, 5 * DAY)], Frontier(0, 3, 9 * DAY), True),
        ([(0, 3 * DAY), (1, 5 * DAY)], Frontier(0, 2, None), False),
    ],
)
def test_it_is_known_beforehand_whether_a_word_takes_it_back_in_time(
    told: list[tuple[int, int | None]], frontier: Frontier, falls_back: bool
) -> None:
    made = watermark(*told)
    before_ms = made.before_ms
    assert made.falls_back(frontier) is falls_back
    assert made.before_ms == before_ms
