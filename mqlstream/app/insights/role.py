"""The life of insights in a worker: the Faust App is started, watched, and replaced by a new one when it fails; what it
counts is shown as metrics and answered over HTTP, merged over all workers.

Nothing that goes wrong here stops the score path. Faust is imported when the role runs, not before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from mqlstream.app import collector
from mqlstream.app.insights.gauges import Gauges
from mqlstream.app.insights.report import Window, merged, part_of, report
from mqlstream.config import Settings, kafka_kwargs
from mqlstream.errors import UsageError
from mqlstream.topics import Topics

if TYPE_CHECKING:
    from mqlstream.app.insights.agents import InsightsApp

log = logging.getLogger(__name__)

PAGE = "/v1/insights"
PART = "/v1/insights/part"
_STOP_S = 20.0  # closing the consumer takes up to ten when the broker does not answer; the worker gives up after 25
_PAUSE_S = (0.2, 1.0, 3.0, 10.0)  # before the next attempt
_STEADY_S = 60.0  # after so long the next failure is a first one again
_ANSWER_S = 3.0  # for another worker's part
_TELL_S = 0.5


class NotWhole(Exception):
    """Some partitions' counts are not to be had now; the text says which, or whose."""


class InsightsRole:
    """Hosts the App of insights. ``url`` is where this worker's web server is reached by the others."""

    name = "insights"

    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._topics = Topics(settings.topic_prefix)
        self._kafka = kafka_kwargs(settings)
        self._url = url
        self._stopping = asyncio.Event()
        self._app: InsightsApp | None = None
        self._gauges = Gauges()

    async def run(self) -> None:
        for library in ("faust", "mode"):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # that an App fails is told here, in one line
        telling = asyncio.create_task(self._tell())
        try:
            failures = 0
            while not self._stopping.is_set():
                begun = asyncio.get_running_loop().time()
                failure = await self._live()
                if failure is None:
                    return
                failures = 1 if asyncio.get_running_loop().time() - begun > _STEADY_S else failures + 1
                log.warning("insights begin again: %s: %s", type(failure).__name__, failure)
                collector.littered()
                await self._stopped_within(_PAUSE_S[min(failures, len(_PAUSE_S)) - 1])
        finally:
            telling.cancel()
            self._gauges.clear()

    async def stop(self) -> None:
        self._stopping.set()

    def not_ready(self) -> Sequence[str]:
        """The reason why this worker's part of the counts is not there; none when it is."""
        if self._stopping.is_set():
            return ("insights: draining",)
        return () if self._app is not None and self._app.owned is not None else ("insights: restoring",)

    def routes(self) -> list[web.RouteDef]:
        """What the worker's web server serves for it."""
        return [web.get(PAGE, self._whole), web.get(PART, self._part)]

    async def _live(self) -> BaseException | None:
        """The life of one App, to a failure that is returned, or until `stop`."""
        from mqlstream.app.insights.agents import InsightsApp

        try:
            app = self._app = InsightsApp(self._settings.app_id, self._kafka, self._topics, self._url)
        except Exception as error:
            return error
        starting = asyncio.create_task(app.start())
        crashed = asyncio.create_task(app.has_crashed())
        stopping = asyncio.create_task(self._stopping.wait())
        started: set[asyncio.Task[Any]] = {starting}
        try:
            while True:
                await asyncio.wait({crashed, stopping, *started}, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    return None
                if crashed.done():
                    return app.crash_reason
                started.clear()
                if starting.exception():
                    return starting.exception()
        finally:
            app.owned = None
            for task in (crashed, stopping):
                task.cancel()
            await _end(app, starting)

    async def _stopped_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _tell(self) -> None:
        while True:
            app = self._app
            if app is None or app.owned is None:
                self._gauges.clear()
            else:
                self._gauges.show(app.book)
            await asyncio.sleep(_TELL_S)

    async def _part(self, _: web.Request) -> web.Response:
        try:
            return web.json_response(self._own_part())
        except NotWhole as error:
            return web.json_response({"error": str(error)}, status=503)

    async def _whole(self, request: web.Request) -> web.Response:
        query = request.query
        try:
            window = Window(query.get("definition"), query.get("since"), query.get("until"))
            parts = await self._all_parts(request.headers.get("Authorization"))
        except UsageError as error:
            return web.json_response({"error": str(error)}, status=400)
        except NotWhole as error:
            return web.json_response({"error": str(error)}, status=503)
        return web.json_response(report(merged(part["counts"] for part in parts), window))

    def _own_part(self) -> dict[str, Any]:
        app = self._app
        if app is None or app.owned is None:
            raise NotWhole(f"the worker at {self._url} is restoring its part")
        return {"partitions": sorted(app.owned), "counts": part_of(app.book.days)}

    async def _all_parts(self, authorization: str | None) -> list[dict[str, Any]]:
        """The parts of all workers: each partition exactly once. Raises `NotWhole`."""
        own = self._own_part()
        assert self._app is not None
        others = [url for url, topics in self._app.assignor.tables_metadata().items() if any(topics.values()) and url != self._url]
        headers = {"Authorization": authorization} if authorization else {}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_ANSWER_S), headers=headers) as http:
            parts = [own, *await asyncio.gather(*(_fetched(http, url) for url in others))]
        held = sorted(partition for part in parts for partition in part["partitions"])
        if held != list(range(self._settings.partitions)):
            raise NotWhole("partitions are moving between workers; has each one an MQLSTREAM_HTTP_ADVERTISE of its own?")
        return parts


async def _fetched(http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    try:
        async with http.get(url + PART) as response:
            answer: Mapping[str, Any] = await response.json()
            if response.status != 200:
                raise NotWhole(str(answer.get("error", f"the worker at {url} answered {response.status}")))
            return dict(answer)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NotWhole(f"the worker at {url} does not answer: {type(error).__name__}") from None


async def _end(app: InsightsApp, starting: asyncio.Task[Any]) -> None:
    """Stop an App, in bounded time. What it has not committed is read again by the next."""
    clock = asyncio.get_running_loop().time
    until_s = clock() + _STOP_S
    starting.cancel()  # or it may begin what `stop` has passed already
    await _ended(starting, _STOP_S / 2)
    await _ended(asyncio.create_task(app.stop()), until_s - clock())
    await _ended(asyncio.create_task(app.gone()), until_s - clock())


async def _ended(task: asyncio.Task[Any], seconds: float) -> None:
    """Wait for a task, not for its cancellation: Faust swallows that."""
    await asyncio.wait({task}, timeout=max(0.0, seconds))
    if not task.done():
        task.cancel()
    elif not task.cancelled() and task.exception() is not None:
        log.debug("stopping the App of insights: %s", task.exception())
