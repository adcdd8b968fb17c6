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
from mqlstream.web.listening import Listener

PAGES = {"/metrics": "metrics, for Prometheus", "/healthz": "is the process alive", "/readyz": "does it have its share of the work"}
_SECURE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"}
BODY_BYTES = 1_000_000  # of a request; those that are not read cost nothing


class WebServer(Listener):
    """Serves on ``bind`` (``host:port``; port 0 takes a free one) between `start` and `stop`.

    ``not_ready`` returns the reasons why this worker is not ready, one line each; none means ready. ``routes`` are further
    pages, answered by whoever hands them in.
    """

    def __init__(
        self, bind: str, not_ready: Callable[[], Sequence[str]], registry: CollectorRegistry, routes: Sequence[web.RouteDef] = ()
    ) -> None:
        self._not_ready = not_ready
        self._registry = registry
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_get("/", self._index)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._alive)
        application.router.add_get("/readyz", self._ready)
        application.router.add_routes(routes)
        application.on_response_prepare.append(_add_headers)
        super().__init__(bind, "MQLSTREAM_HTTP_BIND", application)

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


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_SECURE)
