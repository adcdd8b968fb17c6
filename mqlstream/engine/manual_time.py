"""An event loop in manual time: its clock jumps to the next thing that is due, so nothing ever waits, and every run is alike."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _Jumping(selectors.SelectSelector):
    """Never waits: the clock goes to where it would have waited until."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("the simulation stands still: everything waits for something that cannot come")
            self.now_s += max(0.0, timeout)
        return ready


class ManualLoop(asyncio.SelectorEventLoop):
    """An event loop in manual time, beginning at 0."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the simulation began."""
        return self._jumping.now_s


def simulate(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to its end in manual time, and return what it returns."""
    with asyncio.Runner(loop_factory=ManualLoop) as runner:
        return runner.run(main)
