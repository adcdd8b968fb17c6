"""A worker with one small role, run as a process of its own by test_shell: `python hosted.py BEHAVIOUR [FAUST-LIKE OPTIONS]`."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from mqlstream.app.shell import host
from mqlstream.cli import fail
from mqlstream.errors import MqlstreamError, UnreachableError


class Steps:
    """Says `working`, then behaves as told."""

    name = "steps"

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        print("working", flush=True)
        if self.behaviour == "crash":
            raise ZeroDivisionError("a defect")
        if self.behaviour == "unreachable":
            raise UnreachableError("broker example:9092 does not answer")
        if self.behaviour == "end":
            return
        if self.behaviour == "block the loop":
            while True:
                time.sleep(0.1)  # noqa: ASYNC251 that is the point
        await self.stopping.wait()
        if self.behaviour == "never drain":
            await asyncio.Event().wait()
        await asyncio.sleep(0.2)
        print("drained", flush=True)

    async def stop(self) -> None:
        self.stopping.set()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    try:
        sys.exit(host("test", [Steps(sys.argv[1])], drain_seconds=1.0))
    except MqlstreamError as error:
        fail(str(error), error.exit_code)
