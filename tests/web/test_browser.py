"""The snippet in a real browser, from page to topic; skipped where there is no Chromium (`test_snippet.py` needs less)."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer

from mqlstream.app.webhooks import WebhookRole
from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.doors.signatures.registry import verifier_of

TOPIC = "acme.visits"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 60

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@asynccontextmanager
async def site(pages: dict[str, str]) -> AsyncIterator[str]:
    """Serves pages by their paths; its origin."""
    application = web.Application()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=pages.get(request.path, ""), content_type="text/html")

    application.router.add_get("/{any:.*}", page)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def visits(bootstrap: str, count: int) -> list[dict[str, Any]]:
    """The first records of the topic."""
    async with AIOKafkaConsumer(TOPIC, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        async with asyncio.timeout(PATIENCE_S):
            return [json.loads((await consumer.getone()).value) for _ in range(count)]


async def test_a_browser_tells_of_each_page_when_it_goes_on_to_the_next(tmp_path: Path) -> None:
    assert CHROMIUM is not None
    pages: dict[str, str] = {}
    with EmbeddedBroker([TOPIC]) as broker:
        async with site(pages) as origin:
            door = verifier_of({"verify": "origin", "origins": [origin]}, None)
            role = WebhookRole("127.0.0.1:0", {TOPIC: door}, {"bootstrap_servers": broker.bootstrap})
            running = asyncio.create_task(role.run())
            await role.listening.wait()
            tag = f'<script src="{role.url}/v1/mqlstream.js" data-source="{TOPIC}" data-consent="granted"></script>'
            for path, then in (("/one", "/two?plan=team#top"), ("/two", "/end")):
                pages[path] = f"<!doctype html><title>{path}</title>{tag}<script>setTimeout(() => location.href = '{then}', 300)</script>"
            options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path}")
            quiet = asyncio.subprocess.DEVNULL
            browser = await asyncio.create_subprocess_exec(CHROMIUM, *options, f"{origin}/one", stdout=quiet, stderr=quiet)
            try:
                found = await visits(broker.bootstrap, 2)
            finally:
                browser.terminate()
                await browser.wait()
                await role.stop()
                await running
    assert {(visit["url"], visit["title"]) for visit in found} == {(f"{origin}/one", "/one"), (f"{origin}/two?plan=team", "/two")}
    assert {visit["referrer"] for visit in found} == {"", f"{origin}/one"}
    assert len({visit["anonymous_id"] for visit in found}) == 1
    assert len({visit["id"] for visit in found}) == 2
