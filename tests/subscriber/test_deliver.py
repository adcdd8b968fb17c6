"""Handing events to programs and webhooks, with real programs and a real server."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from mqlstream.errors import UsageError
from mqlstream.handoff.contract import BECAME_MQL, HandoffEvent
from mqlstream.subscriber.deliver import DeliveryFailed, Program, Webhook

EVENT = HandoffEvent(BECAME_MQL, "id-1", "urn:test", "ann@acme.example", 1_793_610_000_000, {"cycle": 1})
AS_PRINTED = {"type": BECAME_MQL, "id": "id-1", "lead_id": "ann@acme.example", "time": 1_793_610_000_000, "data": {"cycle": 1}}


def program(code: str, **options: Any) -> Program:
    return Program(f"{sys.executable} -c '{code}'", **options)


async def test_a_program_gets_the_event_on_its_stdin(tmp_path: Path) -> None:
    file = tmp_path / "got"
    await program(f'import sys; open("{file}", "w").write(sys.stdin.read())').handle(EVENT)
    assert orjson.loads(file.read_bytes()) == AS_PRINTED


async def test_a_program_that_reads_nothing_may_still_succeed() -> None:
    await program("pass").handle(EVENT)


@pytest.mark.parametrize(
    ("code", "options", "text"),
    [
        ("exit(3)", {}, f"{sys.executable} ended with exit code 3"),
        ("import time; time.sleep(60)", {"timeout_s": 0.5}, f"{sys.executable} took more than 0.5 s"),
    ],
)
async def test_a_program_fails_by_its_exit_code_or_by_taking_too_long(code: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeliveryFailed) as caught:
        await program(code, **options).handle(EVENT)
    assert str(caught.value) == text


async def test_a_program_that_does_not_exist_is_a_failure_too() -> None:
    with pytest.raises(DeliveryFailed) as caught:
        await Program("/no/such/program").handle(EVENT)
    assert str(caught.value) == "cannot run /no/such/program: No such file or directory"


@asynccontextmanager
async def hook(*statuses: int) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that answers with these, one after the other, and keeps the requests (bodies read)."""
    requests: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        requests.append(request)
        status = statuses[len(requests) - 1]
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    application = web.Application()
    application.router.add_post("/mql", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/mql", requests
    finally:
        await runner.cleanup()


async def test_a_webhook_gets_the_event_with_its_id_as_idempotency_key() -> None:
    async with hook(204) as (url, requests), Webhook(url) as webhook:
        await webhook.handle(EVENT)
    assert orjson.loads(await requests[0].read()) == AS_PRINTED
    assert requests[0].headers["Idempotency-Key"] == "id-1"
    assert requests[0].headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_a_webhook_that_does_not_answer_2xx_has_failed(status: int) -> None:
    async with hook(status) as (url, _), Webhook(url) as webhook:
        with pytest.raises(DeliveryFailed) as caught:
            await webhook.handle(EVENT)
    assert str(caught.value) == f"the webhook answered {status}, expected 2xx"


async def test_a_webhook_that_nobody_serves_has_failed() -> None:
    async with Webhook("http://127.0.0.1:1/mql") as webhook:
        with pytest.raises(DeliveryFailed) as caught:
            await webhook.handle(EVENT)
    assert str(caught.value) == "the webhook failed: ClientConnectorError"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Webhook("ftp://x"), "--webhook: got 'ftp://x', expected a URL that begins with http:// or https://"),
        (lambda: Program(" "), "--exec: got nothing, expected a program and its arguments"),
        (lambda: Program("a 'b"), '--exec: cannot read "a \'b": No closing quotation'),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Any, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == text
