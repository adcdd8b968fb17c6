"""The worker's HTTP server, over HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from mqlstream.errors import UsageError
from mqlstream.web.listening import parse_bind
from mqlstream.web.server import WebServer


@asynccontextmanager
async def serving(not_ready: Callable[[], list[str]], registry: CollectorRegistry | None = None) -> AsyncIterator[Callable[[str], Any]]:
    server = WebServer("127.0.0.1:0", not_ready, registry or CollectorRegistry())
    await server.start()
    try:
        async with ClientSession(server.url) as session:
            yield session.get
    finally:
        await server.stop()


async def test_metrics_are_what_prometheus_reads() -> None:
    registry = CollectorRegistry()
    Counter("mqlstream_things", "Things.", ["kind"], registry=registry).labels(kind="good").inc(3)
    async with serving(list, registry) as get, get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain")
        samples = [sample for family in text_string_to_metric_families(await response.text()) for sample in family.samples]
    assert [(sample.name, sample.labels, sample.value) for sample in samples if sample.name.endswith("_total")] == [
        ("mqlstream_things_total", {"kind": "good"}, 3.0)
    ]


async def test_ready_turns_with_the_reasons_and_health_does_not() -> None:
    reasons = ["score: 3 of 4 tasks are restoring"]
    async with serving(lambda: reasons) as get:
        async with get("/readyz") as response:
            assert response.status == 503
            assert await response.json() == {"ready": False, "reasons": ["score: 3 of 4 tasks are restoring"]}
        async with get("/healthz") as response:
            assert response.status == 200
        reasons.clear()
        async with get("/readyz") as response:
            assert response.status == 200
            assert await response.json() == {"ready": True, "reasons": []}


async def test_the_index_links_to_every_page_and_says_why_it_is_not_ready() -> None:
    async with serving(lambda: ["score: <cut off>"]) as get, get("/") as response:
        page = await response.text()
        for path in ("/metrics", "/healthz", "/readyz"):
            assert f'<a href="{path}">' in page
        assert "not ready: score: &lt;cut off&gt;" in page
        assert response.headers["Content-Security-Policy"] == "default-src 'none'"


async def test_anything_else_is_not_found() -> None:
    async with serving(list) as get, get("/nothing") as response:
        assert response.status == 404


async def test_a_taken_port_is_a_usage_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = WebServer(f"127.0.0.1:{port}", list, CollectorRegistry())
        for attempt in (server.try_out, server.start):
            with pytest.raises(UsageError) as caught:
                await attempt()
            assert str(caught.value).startswith(f"MQLSTREAM_HTTP_BIND: cannot listen on 127.0.0.1:{port}: ")


async def test_an_address_that_was_tried_out_is_free_to_be_taken() -> None:
    server = WebServer("127.0.0.1:0", list, CollectorRegistry())
    await server.try_out()
    await server.start()
    port = server.port
    await server.stop()
    again = WebServer(f"127.0.0.1:{port}", list, CollectorRegistry())
    await again.try_out()
    await again.start()
    await again.stop()


@pytest.mark.parametrize(
    ("bind", "parts"), [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:0", ("::1", 0)), ("worker:80", ("worker", 80))]
)
def test_an_address_is_host_and_port(bind: str, parts: tuple[str, int]) -> None:
    assert parse_bind(bind, "MQLSTREAM_HTTP_BIND") == parts


@pytest.mark.parametrize("bind", ["", "8080", ":8080", "::1:8080", "host:", "host:http", "host:70000", "host:-1"])
def test_what_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bind(bind, "MQLSTREAM_HTTP_BIND")
    assert str(caught.value) == f"MQLSTREAM_HTTP_BIND is {bind!r}, expected host:port such as 127.0.0.1:8080"
