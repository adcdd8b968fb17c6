"""What a check asks for, got over real HTTP: one small answer from where it was asked, or one error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from mqlstream.doors.fetching import LIMIT_BYTES, fetch
from mqlstream.errors import UnreachableError
from mqlstream.web.listening import Listener


@asynccontextmanager
async def serving(seen: list[str]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        what = request.match_info["what"]
        if what == "elsewhere":
            raise web.HTTPFound("/plain")
        if what == "slow":
            await asyncio.sleep(3600)
        if what == "endless":
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"x" * 10_000)
            except ConnectionError:
                return response
        sizes = {"full": LIMIT_BYTES, "over": LIMIT_BYTES + 1}
        return web.Response(body=b"x" * sizes.get(what, 5), status=500 if what == "broken" else 200)

    application = web.Application()
    application.router.add_get("/{what}", answer)
    listener = Listener("127.0.0.1:0", "TEST", application, drain_s=0.1)
    await listener.start()
    try:
        yield listener.url
    finally:
        await listener.stop()


async def test_a_small_answer_comes_whole() -> None:
    async with serving([]) as url:
        assert await fetch(f"{url}/plain?secret") == b"xxxxx"
        assert len(await fetch(f"{url}/full")) == LIMIT_BYTES


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("over", f"got more than {LIMIT_BYTES} bytes"),
        ("endless", f"got more than {LIMIT_BYTES} bytes"),
        ("elsewhere", "got status 302, expected 200"),
        ("broken", "got status 500, expected 200"),
        ("slow", "TimeoutError"),
    ],
)
async def test_what_is_no_small_answer_is_one_error_without_the_query(what: str, error: str) -> None:
    seen: list[str] = []
    async with serving(seen) as url:
        with pytest.raises(UnreachableError) as caught:
            await fetch(f"{url}/{what}?Token=secret", answer_s=0.3 if what == "slow" else 5.0)
        assert str(caught.value) == f"{url}/{what}: {error}"
    assert seen == [f"/{what}"], "no redirection is followed"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://", "file:///etc/passwd", "no address"])
async def test_where_nobody_answers_is_an_error(url: str) -> None:
    with pytest.raises(UnreachableError):
        await fetch(url)
