"""The role that takes webhooks: a server of its own, on its own port. What it answers is `mqlstream.web.webhooks`'."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from mqlstream.config import Settings
from mqlstream.doors.producing import Writer
from mqlstream.doors.signatures.registry import Verifier
from mqlstream.doors.webhooks import HEADER_BYTES, webhooks_of
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.errors import UsageError
from mqlstream.ingest.canonical import MAX_BYTES
from mqlstream.web.listening import Listener
from mqlstream.web.snippet import routes as snippet_routes
from mqlstream.web.webhooks import WebhookPage

log = logging.getLogger(__name__)

SETTING = "MQLSTREAM_INGEST_BIND"
_DRAIN_S = 10.0  # for calls at work when the worker ends
_RECORD_BYTES = MAX_BYTES + 2 * HEADER_BYTES  # a body, the headers that go along, and what Kafka adds
_SECURE = {"X-Content-Type-Options": "nosniff"}


class WebhookRole:
    """Listens at ``bind`` for calls to ``doors``; ``kafka`` are aiokafka's connection settings."""

    name = "webhooks"

    def __init__(self, bind: str, doors: Mapping[str, Verifier], kafka: Mapping[str, Any]) -> None:
        self._page = WebhookPage(doors, Writer(kafka, _RECORD_BYTES))
        application = web.Application()
        application.router.add_routes(self._page.routes())
        application.router.add_routes(snippet_routes())
        application.on_response_prepare.append(_add_headers)
        self._listener = Listener(bind, SETTING, application, public=True)
        self.listening = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """Where it listens; with a port of 0 the one it got, once it runs."""
        return self._listener.url

    async def try_out(self) -> None:
        """Raise `UsageError` when the address cannot be had."""
        await self._listener.try_out()

    async def run(self) -> None:
        await self._listener.start()
        self.listening.set()
        log.info("webhooks: listening on %s", self.url)
        try:
            await self._stopping.wait()
            await self._drain()
        finally:
            await self._listener.stop()
            await self._page.close()

    async def stop(self) -> None:
        self._stopping.set()

    async def _drain(self) -> None:
        await self._listener.refuse()
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._page.idle.wait()
        except TimeoutError:
            pass  # nobody was told that these calls have arrived: they come again


def webhook_role(settings: Settings, kafka: Mapping[str, Any], roles: Sequence[str]) -> list[WebhookRole]:
    """The role where the settings want it, else nothing.

    Raises `UsageError` when they do not fit together or a source's topic is missing, and `UnreachableError`.
    """
    if settings.ingest.bind is None or "web" not in roles:
        return []
    doors = webhooks_of(settings)
    if not doors:
        raise UsageError(f"{SETTING} is set and no source takes webhooks, expected some under ingest.webhooks")
    there = asyncio.run(KafkaBroker(kafka).partitions(doors))
    missing = [topic for topic in doors if topic not in there]
    if missing:  # every call would be answered with 503
        raise UsageError(f"{SETTING}: no topic {missing[0]} on the broker, expected the topics of all sources with webhooks")
    return [WebhookRole(settings.ingest.bind, doors, kafka)]


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_SECURE)
