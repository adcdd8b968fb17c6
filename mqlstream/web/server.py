"""The worker's HTTP server: metrics, health, readiness, an index that links to them, and further pages.

What readiness means is decided by the shell, which hands in a function; nothing here knows stages or brokers.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mqlstream import __version__
from mqlstream.errors import UsageError

PAGES = {"/metrics": "metrics, for Prometheus", "/healthz": "is the process alive", "/readyz": "does it have its share of the work"}
_SECURE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"}
BODY_BYTES = 1_000_000  # of a request; those that are not read cost nothing


class WebServer:
    """Serves on ``bind`` (``host:port``; port 0 takes a free one) between `start` and `stop`.

    ``not_ready`` returns the reasons why this worker is not ready, one line each; none means ready. ``routes`` are further
    pages, answered by whoever hands them in.
    """

    def __init__(
        self, bind: str, not_ready: Callable[[], Sequence[str]], registry: CollectorRegistry, routes: Sequence[web.RouteDef] = ()
    ) -> None:
        self.host, self.port = parse_bind(bind)
        self._not_ready = not_ready
        self._registry = registry
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_get("/", self._index)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        application.router.add_routes(routes)
        application.on_response_prepare.append(_add_headers)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    @property
    def url(self) -> str:
        """Where it listens, as a URL; with a port of 0 the one it got, once started."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises `UsageError` when the address cannot be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            reason = error.strerror or str(error)
            raise UsageError(f"MQLSTREAM_HTTP_BIND: cannot listen on {self.host}:{self.port}: {reason}") from error
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening and close the connections."""
        await self._runner.cleanup()

    async def _index(self, _: web.Request) -> web.Response:
        reasons = self._not_ready()
        state = "ready" if not reasons else "not ready: " + "; ".join(reasons)
        links = "".join(f'<li><a href="{path}">{path}</a>: {text}</li>' for path, text in PAGES.items())
        page = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>mqlstream</title>"
            f"<h1>mqlstream {__version__}</h1><p>This worker is {html.escape(state)}.</p><ul>{links}</ul></html>"
        )
        return web.Response(text=page, content_type="text/html")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _alive(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": True, "version": __version__})

    async def _ready(self, _: web.Request) -> web.Response:
        reasons = list(self._not_ready())
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)


def parse_bind(bind: str) -> tuple[str, int]:
    """Split ``host:port`` (``[::1]:8080`` for IPv6). Raises `UsageError`."""
    host, colon, port = bind.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not host or (":" in host and not bracketed) or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"MQLSTREAM_HTTP_BIND is {bind!r}, expected host:port such as 127.0.0.1:8080")
    return host, int(port)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_SECURE)
