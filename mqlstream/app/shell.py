"""The Faust App as a shell: it hosts the roles of one worker as services, and ends the process in bounded time.

What the roles do, and which there are, is `mqlstream.app.worker`'s. The score path is no Faust agent: this App has no
consumer and no producer of its own (see ARCHITECTURE.md for the reasons).
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Protocol

from mqlstream.app.framework import QuietApp
from mqlstream.errors import MqlstreamError

# isort: split
from faust.app.base import BootStrategy
from faust.worker import Worker
from mode import Service

log = logging.getLogger(__name__)

DRAIN_SECONDS = 25.0  # below the 30 s that Kubernetes gives a pod
CRASHED = 1


class Role(Protocol):
    """What a worker does for as long as it runs."""

    name: str

    async def run(self) -> None:
        """Work until `stop`. Returning before that, or raising, ends the whole worker."""

    async def stop(self) -> None:
        """Finish what was begun and let `run` return."""


class _Boot(BootStrategy):
    enable_kafka_consumer = False
    enable_kafka_producer = False
    enable_web = False
    enable_sensors = False


class _App(QuietApp):
    BootStrategy = _Boot


class _Worker(Worker):
    def install_signal_handlers(self) -> None:
        """Signals are `_Ending`'s; and Faust's SIGUSR2 would open a debugger."""


class _Ending:
    """Why and when the worker ends: asked to by a signal, or because a role failed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, drain_seconds: float) -> None:
        self.begun = asyncio.Event()
        self.failure: BaseException | None = None
        self._loop = loop
        self._drain_seconds = drain_seconds
        self._signalled = False

    def install(self) -> None:
        # Not the loop's own signal handlers: those wait for the loop, and a stuck step is when they are needed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def fail(self, failure: BaseException) -> None:
        """End because of a failure; the first one counts."""
        self.failure = self.failure or failure
        self._begin()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._signalled:
            os._exit(128 + number)
        self._signalled = True
        self._loop.call_soon_threadsafe(log.info, "%s: draining", signal.Signals(number).name)
        self._begin()

    def _begin(self) -> None:
        timer = threading.Timer(self._drain_seconds, self._give_up)
        timer.daemon = True
        timer.start()
        self._loop.call_soon_threadsafe(self.begun.set)

    def _give_up(self) -> None:
        # What was not committed is read again by the task's next owner: giving up loses nothing.
        os.write(2, f"Error: the worker did not drain within {self._drain_seconds:g} s and was ended\n".encode())
        os._exit(CRASHED)


def host(app_id: str, roles: Sequence[Role], drain_seconds: float = DRAIN_SECONDS) -> int:
    """Run the roles in a Faust worker until a signal or a failure; returns the exit code.

    SIGTERM and SIGINT drain: 0 once all roles have stopped, 1 when that takes longer than ``drain_seconds``; a second
    signal ends the process at once. The roles stop in reverse order. A role's `MqlstreamError` is raised again here;
    any other failure is logged and gives 1.
    """
    return asyncio.run(_host(app_id, roles, drain_seconds))


async def _host(app_id: str, roles: Sequence[Role], drain_seconds: float) -> int:
    loop = asyncio.get_running_loop()
    ending = _Ending(loop, drain_seconds)
    ending.install()
    app = _App(app_id, loop=loop, autodiscover=False, web_enabled=False)
    for role in roles:
        app.service(_service(role, ending.fail))
    worker = _Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    started = asyncio.create_task(worker.start())
    begun = asyncio.create_task(ending.begun.wait())
    await asyncio.wait({started, begun}, return_when=asyncio.FIRST_COMPLETED)
    # Told to stop while it starts, Faust fails in its own bookkeeping: after the end has begun, that is no failure.
    failed_start = started.exception() if started.done() else None
    await worker.stop()
    begun.cancel()
    await asyncio.wait({started})
    failure = ending.failure or failed_start or worker.crash_reason
    if failure is None:
        log.info("drained")
    if isinstance(failure, MqlstreamError):
        raise failure
    if failure is not None:
        log.error("the worker ends because of a failure", exc_info=failure)
    return CRASHED if failure is not None else 0


def _service(role: Role, fail: Callable[[BaseException], None]) -> type[Service]:
    """A Faust service that runs one role."""

    class RoleService(Service):
        logger = _App.logger
        running: asyncio.Task[None] | None = None

        async def on_start(self) -> None:
            self.running = asyncio.create_task(self._run())

        async def _run(self) -> None:
            try:
                await role.run()
                if not self.should_stop:
                    raise RuntimeError(f"role {role.name} ended by itself")
            except Exception as failure:
                fail(failure)

        async def on_stop(self) -> None:
            if self.running is not None:
                await role.stop()
                await self.running

    return RoleService
