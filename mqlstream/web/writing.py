"""``POST /v1/feedback`` and ``POST /v1/commands``: one JSON object or a list of them. 202 once Kafka has them all.

What they may hold and how it is written is `mqlstream.doors.writing`'s.
"""

from __future__ import annotations

import time

import orjson
from aiohttp import web

from mqlstream.doors.writing import MAX_AT_ONCE, Door, Form, Unfit, ready
from mqlstream.errors import UnreachableError
from mqlstream.web.guard import Guard, refused

_KEPT = "; send the same with the same ids again"


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
