"""Listening on an address: the part that all HTTP servers of a worker share. What they answer is not decided here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from mqlstream.errors import UsageError


class Listener:
    """Serves ``application`` on ``bind`` (``host:port``; port 0 takes a free one) between `start` and `stop`.

    ``setting`` is the variable that the address came from, for errors. ``drain_s``: how long `stop` waits for requests that were read.
    ``public``: it faces the world: compressed bodies are not unpacked, and callers that speak no HTTP are not logged.
    """

    def __init__(self, bind: str, setting: str, application: web.Application, drain_s: float = 1.0, public: bool = False) -> None:
        self.host, self.port = parse_bind(bind, setting)
        self._setting = setting
        more: dict[str, Any] = {"auto_decompress": False, "logger": _unheard()} if public else {}
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=drain_s, **more)

    @property
    def url(self) -> str:
        """Where it listens, as a URL; with a port of 0 the one it got, once started."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def try_out(self) -> None:
        """Raise `UsageError` when the address cannot be had now: before the worker takes over any work, that is."""
        with self._telling():
            server = await asyncio.get_running_loop().create_server(asyncio.Protocol, self.host, self.port)
        server.close()
        await server.wait_closed()

    async def start(self) -> None:
        """Listen. Raises `UsageError` when the address cannot be had."""
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, self.host, self.port)
        try:
            with self._telling():
                await self._site.start()
        except UsageError:
            await self._runner.cleanup()
            raise
        self.port = int(self._runner.addresses[0][1])

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise UsageError(f"{self._setting}: cannot listen on {self.host}:{self.port}: {reason}") from error

    async def refuse(self) -> None:
        """Take no more connections; those there are go on. To be followed by `stop`, which reads nothing more from any."""
        await self._site.stop()

    async def stop(self) -> None:
        """Stop listening and close the connections."""
        await self._runner.cleanup()


def _unheard() -> logging.Logger:
    logger = logging.getLogger(f"{__name__}.unheard")
    logger.setLevel(logging.CRITICAL)
    return logger


def parse_bind(bind: str, setting: str) -> tuple[str, int]:
    """Split ``host:port`` (``[::1]:8080`` for IPv6). Raises `UsageError`."""
    host, colon, port = bind.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host and not bracketed) or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{setting} is {bind!r}, expected host:port such as 127.0.0.1:8080")
    return host, int(port)
