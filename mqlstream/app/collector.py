"""When the garbage collector looks at which objects, in a worker.

The leads that are held open are millions of objects and form no cycles (`tests/stages/test_dropping.py`): going over all of them
found nothing and stopped the worker for a second and more. So what survives one collection is put aside. What then becomes garbage
with cycles in it stays until the next collection of everything: the interpreter's own, after 50 million new objects (some ten come
to light a minute), or that after a client was dropped (`littered`), for clients are full of cycles, and while a broker is away each
attempt makes new ones; the tables are gone by then. With more than three million objects put aside they stay there: a worker that
stands still for longer than its session lasts would lose its tasks.
"""

from __future__ import annotations

import gc
import time
from typing import Any

_SWEEP_S = 600.0  # between collections of everything
_MOST = 3_000_000  # objects, which take about as many seconds as there are millions of them

_swept_s = float("-inf")


def calm() -> None:
    """Take over, once everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


def littered() -> None:
    """Clients or an App were dropped: collect everything, if that has not been done for ten minutes."""
    global _swept_s
    now_s = time.monotonic()
    if now_s - _swept_s >= _SWEEP_S:
        _swept_s = now_s
        gc.collect()


def _set_aside(phase: str, info: dict[str, Any]) -> None:
    if phase == "stop":
        gc.freeze()
    elif info["generation"] == 2 and gc.get_freeze_count() <= _MOST:
        gc.unfreeze()
