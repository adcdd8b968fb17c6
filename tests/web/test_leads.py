"""Lookups over HTTP: who may ask, what is asked, and that workers ask each other once and no further."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from mqlstream import metrics, offline, wire
from mqlstream.core.event import Event
from mqlstream.doors.asking import ask, url_of
from mqlstream.engine.questions import Unavailable
from mqlstream.engine.status import StageStatus, TaskState, TaskStatus
from mqlstream.errors import CheckFailed, MqlstreamError, UnreachableError, UsageError
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import Topics
from mqlstream.web.guard import Guard
from mqlstream.web.leads import PASSED_ON, LeadPages
from mqlstream.web.server import WebServer
from tests.stages.reading import Read

PARTITIONS = 2
START = 1_793_610_000_000
TOKEN = "no-token-of-anyone-s"
DEFINITION = """
definition: first
version: 1
rules: [{id: visit, on: web_visit, points: 60}]
qualify: {threshold: {total: 100}}
"""
MOVING = "task 1 is moving between workers, or its worker does not advertise an address of its own (MQLSTREAM_HTTP_ADVERTISE)"
ODD = "ann/ö?#%2F e@acme.example"


class Desk:
    """The tasks of one worker: real ones of the score stage, that the test feeds. ``owners`` is what the group says."""

    def __init__(self, *tasks: int, owners: Mapping[int, str]) -> None:
        stage = ScoreStage(Topics(), offline.compile_texts([DEFINITION]))
        self.processors = {task: stage.processor(task) for task in tasks}
        self.owners = dict(owners)
        self.unavailable = ""

    def add(self, *events: Event) -> None:
        for number, event in enumerate(events):
            task = wire.partition_of(wire.key_of(event.lead), PARTITIONS)
            if task in self.processors:
                self.processors[task].process([Read(wire.key_of(event.lead), wire.encode(event), number, event.time)], None)

    def status(self) -> StageStatus:
        tasks = tuple(TaskStatus(task, TaskState.RUNNING, 0, "", {}) for task in self.processors)
        return StageStatus("score", True, True, "", tasks, self.owners)

    async def ask(self, task: int, question: Any) -> Any:
        if self.unavailable:
            raise Unavailable(self.unavailable)
        return self.processors[task].answer(question)


@asynccontextmanager
async def serving(desk: Desk | None, token: str | None = None, bind: str = "127.0.0.1:0") -> AsyncIterator[str]:
    pages = LeadPages(desk, PARTITIONS, Guard(bind.rpartition(":")[0], token), token)
    server = WebServer(bind, list, CollectorRegistry(), pages.routes())
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        await server.stop()
        await pages.close()


async def get(url: str, lead: str, headers: Mapping[str, str] | None = None, **query: str) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    async with ClientSession() as session, session.get(url_of(url, lead, query), headers=headers) as response:
        return response.status, await response.json(), response.headers


def visit(lead: str, number: int = 1, after_ms: int = 0) -> Event:
    return Event("web", f"v{number}", "web_visit", START + after_ms, lead, body={"path": "/"})


def lead_of_task(task: int) -> str:
    return next(lead for lead in (f"lead-{number}" for number in range(100)) if wire.partition_of(wire.key_of(lead), PARTITIONS) == task)


def both() -> Desk:
    return Desk(0, 1, owners={})


async def test_a_lead_is_told_whatever_its_id_looks_like() -> None:
    desk = both()
    leads = ["ann", ODD, "日本", "..", "a" * 512, "ö" * 512]
    desk.add(*map(visit, leads))
    async with serving(desk) as url:
        for lead in leads:
            status, told, headers = await get(url, lead)
            assert (status, told["lead_id"], told["as_of"], told["first_seen"]) == (200, lead, START, START)
            assert told["definitions"][0]["score"]["total"] == 60
            assert headers["Cache-Control"] == "no-store"


async def test_an_address_is_found_in_any_spelling_and_an_id_that_looks_like_one_comes_first() -> None:
    desk = both()
    desk.add(visit("ann@acme.example"), visit("BOB@acme.example"), visit("bob@acme.example"))
    async with serving(desk) as url:
        assert (await get(url, "Ann@Acme.Example"))[1]["lead_id"] == "ann@acme.example"
        assert (await get(url, "BOB@acme.example"))[1]["lead_id"] == "BOB@acme.example"


async def test_a_lead_never_heard_of_is_not_found() -> None:
    async with serving(both()) as url:
        assert (await get(url, "nobody"))[:2] == (404, {"error": "no event of such a lead has been scored"})


async def test_lookups_are_counted_by_result_where_they_were_asked() -> None:
    def counted() -> dict[str, float]:
        names = ("found", "unknown", "refused", "unavailable")
        return {name: metrics.REGISTRY.get_sample_value("mqlstream_lookup_seconds_count", {"result": name}) or 0 for name in names}

    desk = both()
    desk.add(visit("ann"))
    before = counted()
    async with serving(desk) as url:
        for lead, query in (("ann", {}), ("ann", {}), ("nobody", {}), ("ann", {"at": "tomorrow"})):
            await get(url, lead, None, **query)
        await get(url, "ann", {PASSED_ON: "1"})
        desk.unavailable = "task 1 is restoring"
        await get(url, "ann")
    after = counted()
    assert {name: after[name] - before[name] for name in after} == {"found": 2, "unknown": 1, "refused": 1, "unavailable": 1}


async def test_a_lead_is_told_as_it_will_stand_and_under_one_definition() -> None:
    desk = both()
    desk.add(visit("ann"))
    async with serving(desk) as url:
        _, told, _ = await get(url, "ann", at="2026-12-24T00:00:00Z", definition="first")
        assert (told["as_of"], told["at"], told["definitions"][0]["as_of"]) == (START, 1_798_070_400_000, 1_798_070_400_000)


@pytest.mark.parametrize(
    ("lead", "query", "error"),
    [
        ("a" * 513, {}, "lead: got an id of 513 characters, expected at most 512"),
        (
            "ann",
            {"at": "tomorrow"},
            "at: got 'tomorrow', expected epoch milliseconds or RFC 3339 with an offset, in the years 2000 to 2100",
        ),
        ("ann", {"at": str(START - 1)}, f"at: got {START - 1}, expected a moment not before the lead's as_of, {START}"),
        ("ann", {"definition": "other"}, "definition: got 'other', expected one of first"),
        ("ann", {"when": "now"}, "got the parameter 'when', expected some of at definition"),
    ],
)
async def test_a_wrong_question_is_told_what_was_expected(lead: str, query: dict[str, str], error: str) -> None:
    desk = both()
    desk.add(visit("ann"))
    async with serving(desk) as url:
        assert (await get(url, lead, None, **query))[:2] == (400, {"error": error})


async def test_while_a_task_restores_the_answer_is_to_come_back() -> None:
    desk = both()
    desk.unavailable = "task 1 is restoring"
    async with serving(desk) as url:
        status, told, headers = await get(url, "ann")
        assert (status, told, headers["Retry-After"]) == (503, {"error": "task 1 is restoring"}, "1")


async def test_a_defect_is_told_and_logged_without_what_it_was_about(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Desk):
        async def ask(self, task: int, question: Any) -> Any:
            raise KeyError(question.lead)

    async with serving(Broken(0, 1, owners={})) as url:
        status, told, _ = await get(url, "ann@acme.example")
    assert (status, "defect" in told["error"]) == (500, True)
    assert "KeyError at " in caplog.text
    assert "acme" not in caplog.text


async def test_sales_answers_that_moved_the_lead_are_named() -> None:
    desk = both()
    answer = Event("crm", "a1", "feedback", START + 2, "ann", body={"decision": "accepted"})
    desk.add(visit("ann"), visit("ann", 2, 1), answer)
    async with serving(desk) as url:
        _, told, _ = await get(url, "ann")
        assert ([each["id"] for each in told["feedback"]], told["definitions"][0]["stage"]) == (["a1"], "sal")


async def test_a_worker_that_does_not_score_says_so() -> None:
    async with serving(None) as url:
        assert (await get(url, "ann"))[0] == 421


async def test_any_worker_tells_of_any_lead() -> None:
    one, two = Desk(0, owners={}), Desk(1, owners={})
    leads = [lead_of_task(0), lead_of_task(1)]
    for desk in (one, two):
        desk.add(*map(visit, leads))
    async with serving(one, TOKEN) as first, serving(two, TOKEN) as second:
        one.owners = two.owners = {0: first, 1: second}
        for url in (first, second):
            for lead in leads:
                status, told, _ = await get(url, lead, {"Authorization": f"Bearer {TOKEN}"}, at=str(START + 1), definition="first")
                assert (status, told["lead_id"], told["at"]) == (200, lead, START + 1)


async def test_workers_that_take_each_other_for_the_owner_do_not_ask_in_circles() -> None:
    one, two = Desk(0, owners={}), Desk(0, owners={})
    async with serving(one) as first, serving(two) as second:
        one.owners, two.owners = {1: second}, {1: first}
        status, told, headers = await get(first, lead_of_task(1))
        assert (status, told, headers["Retry-After"]) == (503, {"error": MOVING}, "1")
        assert (await get(first, lead_of_task(1), {PASSED_ON: "1"}))[0] == 503
        one.owners = {1: "http://0.0.0.0:8080"}
        assert (await get(first, lead_of_task(1)))[:2] == (503, {"error": MOVING})
        one.owners = {}
        assert (await get(first, lead_of_task(1)))[:2] == (503, {"error": "task 1 is moving between workers"})


async def test_an_owner_that_is_gone_or_has_another_token_is_told() -> None:
    one = Desk(0, owners={1: "http://127.0.0.1:1"})
    async with serving(one) as first:
        status, told, _ = await get(first, lead_of_task(1))
        assert (status, told["error"]) == (503, "the lead's worker at http://127.0.0.1:1 does not answer: ClientConnectorError")
        async with serving(both(), TOKEN) as second:
            one.owners = {1: second}
            status, told, _ = await get(first, lead_of_task(1))
            assert (status, told["error"]) == (
                503,
                f"the lead's worker at {second} refused to tell this one: have they the same MQLSTREAM_HTTP_TOKEN?",
            )


@pytest.mark.parametrize("given", [None, "", f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer tökén"])
@pytest.mark.parametrize("bind", ["127.0.0.1:0", "0.0.0.0:0"])
async def test_where_there_is_a_token_nothing_is_told_without_it(bind: str, given: str | None) -> None:
    desk = both()
    desk.add(visit("ann"))
    async with serving(desk, TOKEN, bind) as url:
        status, told, headers = await get(url, "ann", None if given is None else {"Authorization": given})
        assert (status, set(told), headers["WWW-Authenticate"]) == (401, {"error"}, "Bearer")
        assert (await get(url, "ann", {"Authorization": f"bearer {TOKEN}"}))[0] == 200


async def test_beyond_its_own_machine_a_worker_without_a_token_tells_nobody_and_says_what_is_missing() -> None:
    async with serving(both(), None, "0.0.0.0:0") as url:
        status, told, _ = await get(url, "ann")
        assert status == 403
        assert "MQLSTREAM_HTTP_TOKEN is not set" in told["error"]
        async with ClientSession(url) as session:
            for path in ("/metrics", "/healthz", "/readyz", "/"):
                async with session.get(path) as response:
                    assert response.status == 200


@pytest.mark.parametrize(("host", "status"), [("rebound.example", 403), ("localhost:80", 404), ("[::1]:80", 404), ("127.0.0.2", 404)])
async def test_a_page_whose_name_was_made_to_point_here_is_turned_away(host: str, status: int) -> None:
    async with serving(both()) as url:
        assert (await get(url, "ann", {"Host": host}))[0] == status


@pytest.mark.parametrize(
    ("lead", "query", "token", "error", "text"),
    [
        (
            "nobody",
            {},
            TOKEN,
            CheckFailed,
            "no lead 'nobody': no event of such a lead has been scored; expected a lead id as in the events",
        ),
        ("ann", {"definition": "other"}, TOKEN, UsageError, "{url}: definition: got 'other', expected one of first"),
        ("ann", {}, None, UsageError, "{url}: got no valid token, expected the header `Authorization: Bearer` with MQLSTREAM_HTTP_TOKEN"),
    ],
)
async def test_whoever_asks_a_worker_is_told_what_is_wrong(
    lead: str, query: dict[str, str], token: str | None, error: type[MqlstreamError], text: str
) -> None:
    desk = both()
    desk.add(visit("ann"))
    async with serving(desk, TOKEN) as url:
        with pytest.raises(error) as caught:
            await ask(url, lead, query, token)
        assert str(caught.value).startswith(text.format(url=url))


async def test_whoever_asks_comes_back_when_told_to() -> None:
    desk = both()
    desk.add(visit("ann"))
    desk.unavailable = "task 1 is restoring"
    async with serving(desk) as url:
        asking = asyncio.create_task(ask(url, "ann", {}, None))
        await asyncio.sleep(0.2)
        desk.unavailable = ""
        assert (await asking)["lead_id"] == "ann"


async def test_nobody_at_the_address_is_an_error_of_one_line() -> None:
    with pytest.raises(UnreachableError) as caught:
        await ask("http://127.0.0.1:1", "ann", {}, None)
    assert str(caught.value).startswith("no worker answers at http://127.0.0.1:1: ")
    assert "\n" not in str(caught.value)
