"""What a processor may want to know of the world around its task: how many tasks there are, and what is still to be read.

Most processors need none of it, and are not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from mqlstream.engine.interfaces import Processor


class Surroundings(NamedTuple):
    """``tasks``: how many the stage has. While `Processor.process` runs, ``backlog`` tells the input topics that have more
    records behind those of the batch, as far as is known; one that does not deliver what it has is left out.

    ``wall_ms`` is the wall clock, epoch milliseconds.
    """

    tasks: int
    backlog: Callable[[], frozenset[str]]
    wall_ms: Callable[[], int]


@runtime_checkable
class Attentive(Protocol):
    """A processor that looks around."""

    def attend(self, surroundings: Surroundings) -> None:
        """Called once, after the last `restore` and before the first `process`."""


def show(processor: Processor, surroundings: Surroundings) -> None:
    """Tell a processor that wants to know."""
    if isinstance(processor, Attentive):
        processor.attend(surroundings)
