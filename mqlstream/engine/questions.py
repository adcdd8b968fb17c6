"""Questions to a task about its table, answered only from what is committed, and only by the task's one owner.

A table is changed in place while a batch is worked on, so a question waits for the end of one. And it is answered only
after a commit that began after it was asked: had another worker taken the task over meanwhile, that commit would have been
refused. What was asked and cannot be answered any more is told so. What a question is about is the processor's business.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

WAITING_MAX = 200  # of one task
AT_ONCE = 10  # answered after one commit: answering takes time from the stream
PATIENCE_S = 5.0


class Unavailable(Exception):
    """The task can't answer now and may do so soon, here or elsewhere; the text says why."""


@runtime_checkable
class Answering(Protocol):
    """A processor that answers questions."""

    def answer(self, question: Any) -> Any:
        """Look at the table, change nothing. Called between batches, when all that was processed is committed."""


class _Asked(NamedTuple):
    question: Any
    answer: asyncio.Future[Any]


class Questions:
    """Those of one task that wait for an answer; true when there are any. ``wake`` is set when one comes."""

    def __init__(self) -> None:
        self._wake: asyncio.Event | None = None
        self._waiting: deque[_Asked] = deque()
        self._taken: Sequence[_Asked] = ()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def open(self, wake: asyncio.Event) -> None:
        """The task works from now on, and comes to `take` and `answer` soon after ``wake`` is set."""
        self._wake = wake

    async def ask(self, question: Any, state: str) -> Any:
        """The answer, soon; raises `Unavailable`, also when the task does not work but is in a ``state``, told in words."""
        if self._wake is None:
            raise Unavailable(state)
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable(f"{WAITING_MAX} questions are waiting already")
        asked = _Asked(question, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        self._wake.set()
        try:
            return await asyncio.wait_for(asked.answer, PATIENCE_S)
        except TimeoutError:
            raise Unavailable(f"no answer within {PATIENCE_S:g} s") from None

    def take(self) -> bool:
        """Before a commit: those that may be answered after it; whether there are any."""
        self._taken = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        return bool(self._taken)

    def answer(self, processor: object) -> None:
        """After the commit: answer those that were taken before it. What goes wrong is the asker's alone."""
        taken, self._taken = self._taken, ()
        for question, answer in taken:
            if answer.done():  # nobody waits any more
                continue
            try:
                if not isinstance(processor, Answering):
                    raise Unavailable("the stage answers no questions")
                answer.set_result(processor.answer(question))
            except Exception as error:
                answer.set_exception(error)

    def close(self) -> None:
        """The task works no more and can answer none of them."""
        self._wake = None
        for _, answer in (*self._taken, *self._waiting):
            if not answer.done():
                answer.set_exception(Unavailable("the task has stopped working"))
        self._taken = ()
        self._waiting.clear()
