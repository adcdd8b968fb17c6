"""What the garbage collector goes over in a worker, and what it must still find."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator

import pytest

from mqlstream.app import collector
from mqlstream.app.monitor import EngineMonitor


class Knot:
    """Refers to itself: only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def calmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = gc.get_threshold(), list(gc.callbacks)
    monkeypatch.setattr(collector, "_swept_s", float("-inf"))
    collector.calm()
    yield
    gc.set_threshold(*before[0])
    gc.callbacks[:] = before[1]
    gc.unfreeze()


def test_what_survives_a_collection_is_not_gone_over_again() -> None:
    held = [Knot() for _ in range(1000)]
    gc.collect(0)
    young = [each for generation in range(3) for each in gc.get_objects(generation)]
    assert not any(isinstance(each, Knot) for each in young) and len(held) == 1000


def test_a_dropped_clients_cycles_are_freed_though_they_were_set_aside() -> None:
    knot = Knot()
    gone = weakref.ref(knot)
    gc.collect(0)
    del knot
    gc.collect(1)
    assert gone() is not None, "it was set aside"
    EngineMonitor().failure("score", 0)
    assert gone() is None


def test_everything_is_gone_over_at_most_once_in_ten_minutes_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for passed, freed in ((0.0, True), (599.0, False), (2.0, True)):
        clock[0] += passed
        knot = Knot()
        gone = weakref.ref(knot)
        gc.collect(0)
        del knot
        collector.littered()
        assert (gone() is None) is freed


def test_the_interpreters_own_collection_of_everything_still_finds_all() -> None:
    knot = Knot()
    gone = weakref.ref(knot)
    gc.collect(0)
    del knot
    gc.collect()
    assert gone() is None


def test_so_many_objects_that_it_would_take_too_long_stay_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_MOST", 1000)
    knot = Knot()
    gone = weakref.ref(knot)
    gc.collect(0)
    del knot
    collector.littered()
    gc.collect()
    assert gone() is not None
    young = Knot()
    gone = weakref.ref(young)
    del young
    gc.collect()
    assert gone() is None, "what is new is looked at all the same"


def test_a_worker_calms_the_collector_once() -> None:
    collector.calm()
    assert len([each for each in gc.callbacks if each is collector._set_aside]) == 1
