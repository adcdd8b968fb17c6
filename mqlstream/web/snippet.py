"""``GET /v1/mqlstream.js``: the script that pages include to tell of visits (`snippet.js`, beside this). Small, and the same for all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from aiohttp import web

PATH = "/v1/mqlstream.js"
_CACHE_S = 3_600


@cache
def script() -> bytes:
    """The script as it is served: without the lines that are comments, and without indentation."""
    lines = (line.strip() for line in Path(__file__).with_name("snippet.js").read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")).encode()


def routes() -> Sequence[web.RouteDef]:
    """Where it is served."""
    return [web.get(PATH, _get)]


async def _get(request: web.Request) -> web.Response:
    mark = f'"{sha256(script()).hexdigest()[:16]}"'
    # A page of another site includes it; so it says that it may be.
    headers = {"ETag": mark, "Cache-Control": f"public, max-age={_CACHE_S}", "Cross-Origin-Resource-Policy": "cross-origin"}
    if request.headers.get("If-None-Match") == mark:
        return web.Response(status=304, headers=headers)
    return web.Response(body=script(), content_type="text/javascript", charset="utf-8", headers=headers)
