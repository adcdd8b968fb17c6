"""Who may ask about leads, and answer for sales: whoever has the token; without one, only this machine itself."""

from __future__ import annotations

import hmac
import ipaddress

from aiohttp import web


class Guard:
    """Looks at requests of a server that listens on ``host``. ``token`` None: there is none.

    Without a token only a server bound to this machine answers, and only to requests that name it so: a page in a
    browser here that has its own name point at this machine is turned away.
    """

    def __init__(self, host: str, token: str | None) -> None:
        self._local = is_local(host)
        self._token = token

    def refusal(self, request: web.Request) -> web.Response | None:
        """Why not, as a response; None: go ahead."""
        if self._token is not None:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            # Compared in a time that tells nothing of where the two differ.
            if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token.encode()):
                return None
            return refused(401, "got no valid token, expected the header `Authorization: Bearer` with MQLSTREAM_HTTP_TOKEN", "Bearer")
        if not self._local:
            return refused(
                403, "this worker listens beyond its own machine, and MQLSTREAM_HTTP_TOKEN is not set: expected a token for this page"
            )
        if not is_local(_name(request.host)):
            return refused(403, "without MQLSTREAM_HTTP_TOKEN only requests to localhost are answered")
        return None


def refused(status: int, error: str, authenticate: str | None = None) -> web.Response:
    """An error as JSON: ``{"error": text}``."""
    headers = {"WWW-Authenticate": authenticate} if authenticate is not None else {}
    if status == 503:
        headers["Retry-After"] = "1"
    return web.json_response({"error": error}, status=status, headers=headers)


def is_local(host: str) -> bool:
    """Whether an address or name means this machine and cannot be reached from another."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_anywhere(host: str) -> bool:
    """Whether a server bound to it listens on all addresses of its machine: nobody reaches it by that."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _name(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
