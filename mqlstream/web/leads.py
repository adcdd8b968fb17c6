"""``GET /v1/leads/{id}``: a lead's life, from whichever worker has it. Any worker can be asked; it asks the owner.

Who owns which task travels in the group's assignment. A request that was passed on is answered or refused, never passed on
again. What an answer holds is `mqlstream.stages.lookup`'s; that it is committed and not stale, the engine's.
"""

from __future__ import annotations

import logging
import time
import traceback
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from yarl import URL

from mqlstream import metrics
from mqlstream.core.outcome import Reason
from mqlstream.doors.asking import url_of
from mqlstream.doors.naming import other_spelling
from mqlstream.engine.questions import Unavailable
from mqlstream.engine.status import StageStatus
from mqlstream.ingest.fields import MAX_ID, Refused, text_ms
from mqlstream.stages.lookup import CannotAnswer, Question
from mqlstream.web.guard import Guard, is_anywhere, refused
from mqlstream.wire import key_of, partition_of

log = logging.getLogger(__name__)

PASSED_ON = "X-Mqlstream-Passed-On"
_PARAMETERS = frozenset({"at", "definition"})
_RESULTS = {200: "found", 404: "unknown", 500: "failed", 503: "unavailable"}
_PATIENCE = aiohttp.ClientTimeout(total=10, connect=3)


class Tasks(Protocol):
    """The stage that has the leads; `mqlstream.engine.runner.StageRunner` is one."""

    def status(self) -> StageStatus:
        """Its tasks here, and everyone's owners."""

    async def ask(self, task: int, question: Any) -> Any:
        """Raises `Unavailable`."""


class LeadPages:
    """Answers for the ``partitions`` of ``tasks``; None: this worker has no part in scoring."""

    def __init__(self, tasks: Tasks | None, partitions: int, guard: Guard, token: str | None) -> None:
        self._tasks = tasks
        self._partitions = partitions
        self._guard = guard
        self._headers = {PASSED_ON: "1"} | ({"Authorization": f"Bearer {token}"} if token is not None else {})
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/leads/{lead}", self._lead)]

    async def close(self) -> None:
        """Let go of the connections to other workers."""
        if self._session is not None:
            await self._session.close()

    async def _lead(self, request: web.Request) -> web.Response:
        begun = time.monotonic()
        response = await self._told(request)
        if PASSED_ON not in request.headers:  # else the one that was asked counts it
            metrics.LOOKUPS.labels(_RESULTS.get(response.status, "refused")).observe(time.monotonic() - begun)
        return response

    async def _told(self, request: web.Request) -> web.Response:
        refusal = self._guard.refusal(request)
        if refusal is not None:
            return refusal
        try:
            question = _question(request)
        except Refused as error:
            return refused(400, error.detail)
        response = await self._answer(question, request)
        address = other_spelling(question.lead)
        if response.status == 404 and PASSED_ON not in request.headers and address is not None:
            return await self._answer(question._replace(lead=address), request)
        return response

    async def _answer(self, question: Question, request: web.Request) -> web.Response:
        if self._tasks is None:
            return refused(421, "this worker does not score: it has no role score; ask one that has")
        task = partition_of(key_of(question.lead), self._partitions)
        status = self._tasks.status()
        if any(each.task == task for each in status.tasks):
            return await self._own(task, question)
        owner = status.owners.get(task)
        if not status.joined:
            return refused(503, "this worker is not in its group yet")
        if not owner:
            return refused(503, f"task {task} is moving between workers")
        if PASSED_ON in request.headers or is_anywhere(URL(owner).host or ""):
            hint = "or its worker does not advertise an address of its own (MQLSTREAM_HTTP_ADVERTISE)"
            return refused(503, f"task {task} is moving between workers, {hint}")
        return await self._pass_on(owner, question)

    async def _own(self, task: int, question: Question) -> web.Response:
        assert self._tasks is not None
        try:
            body = await self._tasks.ask(task, question)
        except Unavailable as error:
            return refused(503, str(error))
        except CannotAnswer as error:
            return refused(400, str(error))
        except Exception as error:  # a defect of ours; where it is, and nothing of what it was about
            at = traceback.extract_tb(error.__traceback__)[-1]
            log.error("a lead cannot be told: %s at %s:%s in %s", type(error).__name__, at.filename, at.lineno, at.name)
            return refused(500, "this lead cannot be told: a defect of the program, more is in the worker's log")
        if body is None:
            return refused(404, "no event of such a lead has been scored")
        return web.Response(body=body, content_type="application/json")

    async def _pass_on(self, owner: str, question: Question) -> web.Response:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_PATIENCE, headers=self._headers)
        parameters = {"at": question.at, "definition": question.definition}
        query = {name: str(value) for name, value in parameters.items() if value is not None}
        try:
            async with self._session.get(url_of(owner, question.lead, query), allow_redirects=False) as response:
                body = await response.read()
                if response.status in (401, 403):
                    return refused(503, f"the lead's worker at {owner} refused to tell this one: have they the same MQLSTREAM_HTTP_TOKEN?")
                headers = {name: response.headers[name] for name in ("Retry-After",) if name in response.headers}
                return web.Response(body=body, status=response.status, content_type="application/json", headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return refused(503, f"the lead's worker at {owner} does not answer: {type(error).__name__}")


def _question(request: web.Request) -> Question:
    """What the request asks; raises `Refused`."""
    lead = request.match_info["lead"]
    if len(lead) > MAX_ID:
        raise Refused(Reason.BAD_FIELD, f"lead: got an id of {len(lead)} characters, expected at most {MAX_ID}")
    unknown = sorted(set(request.query) - _PARAMETERS)
    if unknown:
        raise Refused(Reason.BAD_FIELD, f"got the parameter {unknown[0][:80]!r}, expected some of {' '.join(sorted(_PARAMETERS))}")
    at = request.query.get("at")
    return Question(lead, text_ms("at", at) if at is not None else None, request.query.get("definition"))
