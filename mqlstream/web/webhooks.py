"""``POST /v1/ingest/<source>``: vendors' calls to their sources' topics. 202 (for some vendors 200) once Kafka has the body, untouched.

Who may call is `mqlstream.doors.signatures`'; what a body means is found out behind the topic. The door holds a bounded number of
bytes, counted as they come in: what is more is told to come again (429), so that no flood of calls takes the worker down.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web

from mqlstream import metrics
from mqlstream.doors.fetching import fetch
from mqlstream.doors.producing import Message, TooLarge, Writer
from mqlstream.doors.signatures.base import Call, Denied, Fetch, Handshake, Scheme
from mqlstream.doors.signatures.registry import Verifier
from mqlstream.doors.webhooks import kept_headers
from mqlstream.errors import UnreachableError
from mqlstream.ingest.canonical import MAX_BYTES

log = logging.getLogger(__name__)

PATH = "/v1/ingest/{source}"
HELD_BYTES = 32 * 2**20  # of calls at work; the Kafka client may hold as much again
CALL_BYTES = 8_192  # what a call costs besides its body
READ_S = 10.0  # for a body to arrive
_FETCHES = 2  # that the check of one call may ask for
_PREFLIGHT_S = "600"


class _Refusal(Exception):
    """Ends a call with this answer."""

    def __init__(self, status: int, error: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.response = web.json_response({"error": error}, status=status, headers=headers)


class _Held:
    """The bytes of one call within those of all."""

    def __init__(self, page: WebhookPage) -> None:
        self._page = page
        self._size = 0

    def more(self, size: int) -> None:
        """Hold so many bytes more; raises 429 when the door holds all it can."""
        if self._page.held + size > self._page.held_bytes:
            raise _Refusal(429, "too many calls at once, expected to come again", {"Retry-After": "2"})
        self._page.held += size
        self._size += size
        self._page.idle.clear()

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._page.held -= self._size
        if not self._page.held:
            self._page.idle.set()


class WebhookPage:
    """Takes calls for ``doors`` (topic -> its check) and writes them with ``writer``. ``fetch`` gets what checks ask for.

    ``held`` are the bytes of calls at work; ``idle`` is set while there are none.
    """

    def __init__(
        self,
        doors: Mapping[str, Verifier],
        writer: Writer,
        *,
        max_bytes: int = MAX_BYTES,
        held_bytes: int = HELD_BYTES,
        read_s: float = READ_S,
        fetch: Callable[[str], Awaitable[bytes]] = fetch,
    ) -> None:
        self.held_bytes = held_bytes
        self.held = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._doors = doors
        self._writer = writer
        self._max_bytes = max_bytes
        self._read_s = read_s
        self._fetch = fetch

    def routes(self) -> Sequence[web.RouteDef]:
        return [
            web.post(PATH, self._post, expect_handler=self._expect),
            web.get(PATH, self._get),
            web.options(PATH, self._options),
        ]

    async def close(self) -> None:
        """Let go of the producer."""
        await self._writer.close()

    async def _post(self, request: web.Request) -> web.Response:
        source = request.match_info["source"]
        door = self._doors.get(source)
        try:
            if door is None:
                raise _Refusal(404, "there is no such source")
            with _Held(self) as held:
                response = await self._take(source, door, request, held)
        except _Refusal as refusal:
            response = refusal.response
        except Exception as error:  # a defect of ours; where it is, and nothing of what it was about
            at = traceback.extract_tb(error.__traceback__)[-1]
            log.error("a call for %s cannot be taken: %s at %s:%s in %s", source, type(error).__name__, at.filename, at.lineno, at.name)
            response = _Refusal(500, "a defect of the program, more is in the worker's log").response
        metrics.WEBHOOKS.labels(topic=source if door is not None else "", status=str(response.status)).inc()
        return response if door is None else _readable(response, door, request)

    async def _take(self, topic: str, door: Verifier, request: web.Request, held: _Held) -> web.Response:
        scheme = door.scheme
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refusal(415, "got a compressed body, expected it as it is")
        self._check_length(request)
        held.more(CALL_BYTES)
        now_ms = time.time_ns() // 1_000_000
        call = Call(request.method, request.raw_path, request.headers, b"", now_ms)
        handshake = await self._checked(door, call) if scheme.early else None
        body = await self._body(request, held)
        if not scheme.early:
            handshake = await self._checked(door, call._replace(body=body))
        if handshake is not None:
            return web.Response(body=handshake.body, content_type="application/json", status=scheme.done)
        if not body:
            raise _Refusal(400, "got an empty body, expected a payload")
        try:
            await self._writer.write(topic, [Message(None, body, kept_headers(request.headers.items()))])
        except TooLarge:
            raise _Refusal(413, "the source's topic takes no payload of this size") from None
        except UnreachableError:
            raise _Refusal(503, "Kafka does not take it now, expected to come again", {"Retry-After": "5"}) from None
        return web.json_response({"accepted": True}, status=scheme.done)

    async def _checked(self, door: Verifier, call: Call) -> Handshake | None:
        """What the check says of a call, given what it asks for. Raises `_Refusal` when the call is not let in."""
        try:
            for _ in range(_FETCHES):
                told = door.check(call)
                if not isinstance(told, Fetch):
                    return told
                call = call._replace(fetched={**call.fetched, told.url: await self._fetch(told.url)})
            told = door.check(call)
        except Denied as denied:
            raise _Refusal(denied.status, str(denied), _headers_of(denied, door.scheme)) from None
        except UnreachableError as error:
            log.warning("a call cannot be checked: %s", error)
            raise _Refusal(503, "cannot be checked now, expected to come again", {"Retry-After": "5"}) from None
        assert not isinstance(told, Fetch), "no check asks for more"
        return told

    def _check_length(self, request: web.Request) -> None:
        if (request.content_length or 0) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> _Refusal:
        return _Refusal(413, f"got a body that is too large, expected at most {self._max_bytes} bytes")

    async def _body(self, request: web.Request, held: _Held) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._read_s):
                async for chunk in request.content.iter_any():
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large()
                    held.more(len(chunk))
                    chunks.append(chunk)
        except (ConnectionError, web.RequestPayloadError):  # gone, or no longer HTTP
            raise _Refusal(400, "the body broke off") from None
        except TimeoutError:
            raise _Refusal(408, f"got no whole body within {self._read_s:g} s") from None
        return b"".join(chunks)

    async def _expect(self, request: web.Request) -> web.Response | None:
        """Asked whether to send the body: not one that is too large, or for nobody."""
        source = request.match_info["source"]
        try:
            if source not in self._doors:
                raise _Refusal(404, "there is no such source")
            self._check_length(request)
        except _Refusal as refusal:
            return refusal.response
        if request.headers.get("Expect", "").lower() != "100-continue":
            return _Refusal(417, "expected no expectation but 100-continue").response
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
        return None

    async def _get(self, request: web.Request) -> web.Response:
        """For vendors that look whether somebody is there before they call."""
        known = request.match_info["source"] in self._doors
        return web.json_response(
            {"post": "events of this source"} if known else {"error": "there is no such source"}, status=200 if known else 404
        )

    async def _options(self, request: web.Request) -> web.Response:
        """A browser asks whether a page may send."""
        door = self._doors.get(request.match_info["source"])
        if door is None or request.headers.get("Origin") not in door.origins:
            return web.json_response({"error": "not a site that may send to this source"}, status=403 if door is not None else 404)
        headers = {
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": "content-type",
            "Access-Control-Max-Age": _PREFLIGHT_S,
        }
        return _readable(web.Response(status=204, headers=headers), door, request)


def _headers_of(denied: Denied, scheme: Scheme) -> Mapping[str, str] | None:
    if denied.status == 401 and scheme.name in ("bearer", "basic"):
        return {"WWW-Authenticate": scheme.name.capitalize()}
    return {"Retry-After": "60"} if denied.status == 429 else None


def _readable(response: web.Response, door: Verifier, request: web.Request) -> web.Response:
    """The response, marked for a browser where its page may read it."""
    if door.origins:
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in door.origins:
            response.headers["Access-Control-Allow-Origin"] = origin
    return response
