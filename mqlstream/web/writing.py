"""``POST /v1/feedback`` and ``POST /v1/commands``: one JSON object or a list of them. 202 once Kafka has them all.

What they may hold and how it is written is `mqlstream.doors.writing`'s; whom a name means, `mqlstream.doors.naming`'s.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from mqlstream.doors.naming import lead_of, other_spelling
from mqlstream.doors.writing import MAX_AT_ONCE, Door, Form, Unfit, ready
from mqlstream.errors import UnreachableError, UsageError
from mqlstream.web.guard import Guard, refused

_KEPT = "; send the same with the same ids again"
_NAMES = ("lead_id", "into")


class WritingPage:
    """Takes events of a form at a path, for whoever the guard lets in."""

    def __init__(self, path: str, form: Form, door: Door, guard: Guard) -> None:
        self._path = path
        self._form = form
        self._door = door
        self._guard = guard

    def routes(self) -> list[web.RouteDef]:
        return [web.post(self._path, self._post)]

    async def close(self) -> None:
        """Let go of the producer."""
        await self._door.close()

    async def _post(self, request: web.Request) -> web.Response:
        refusal = self._guard.refusal(request)
        if refusal is not None:
            return refusal
        if request.content_type != "application/json":  # what a page of another site can send unasked is never this
            return refused(415, f"got content of type {request.content_type}, expected application/json")
        try:
            body = orjson.loads(await request.read())
        except web.HTTPRequestEntityTooLarge as error:
            return refused(413, f"got a body of more than {request.client_max_size} bytes: {error.text}")
        except orjson.JSONDecodeError as error:
            return refused(400, f"body: {error}, expected a JSON object, or a list of them")
        objects = body if isinstance(body, list) else [body]
        if not 0 < len(objects) <= MAX_AT_ONCE:
            return refused(400, f"body: got a list of {len(objects)}, expected 1 to {MAX_AT_ONCE} objects")
        try:
            objects = await _named(objects, request)
        except UnreachableError as error:
            return refused(503, f"nothing was written: it is not known whom an address means: {error}")
        try:
            events = ready(self._form, objects, self._door.topic, time.time_ns() // 1_000_000)
        except Unfit as unfit:
            problems = [{"index": place, "error": detail} for place, detail in unfit.problems]
            return web.json_response(
                {"error": f"nothing was written: not all of it is {self._form.kind}", "problems": problems}, status=400
            )
        try:
            written = await self._door.write(events)
        except UnreachableError as error:
            response = {"error": f"{error}{_KEPT}", "ids": [event.id for event in events]}
            return web.json_response(response, status=503, headers={"Retry-After": "2"})
        return web.json_response({"accepted": [each._asdict() for each in written]}, status=202)


async def _named(objects: Sequence[Any], request: web.Request) -> list[Any]:
    """The objects, with the ids of the leads that they name. Raises `UnreachableError` when that cannot be told now."""
    given = {name for each in objects for name in _names(each).values()}
    leads = {name: await _lead(name, request) for name in sorted(given)}
    return [{**each, **{field: leads[name] for field, name in names.items()}} if (names := _names(each)) else each for each in objects]


def _names(given: Any) -> dict[str, str]:
    """The addresses of an object's leads that are in another spelling, by field."""
    fields = given if isinstance(given, dict) else {}
    return {field: name for field in _NAMES if isinstance(name := fields.get(field), str) and other_spelling(name) is not None}


async def _lead(name: str, request: web.Request) -> str:
    """The lead's id, as lookups at this server have it; where it answers none, the address that the name is."""
    token = request.headers.get("Authorization", "").partition(" ")[2].strip() or None
    try:
        return await lead_of(_own_url(request), name, token, patience_s=0)
    except UsageError:
        return other_spelling(name) or name


def _own_url(request: web.Request) -> str:
    """This server, whatever the caller knows it by."""
    assert request.transport is not None
    host, port = request.transport.get_extra_info("sockname")[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
