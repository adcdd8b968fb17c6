"""The snippet for page visits: small, cacheable, and what it does on a page, in a JavaScript engine with a page made by hand.

The engine is Node; without it these tests are skipped, and fail where CI=true.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import pytest
from aiohttp import ClientSession, web

from mqlstream.core.event import Event
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import source_of
from mqlstream.ingest.results import Anonymous
from mqlstream.web.listening import Listener
from mqlstream.web.snippet import PATH, routes, script

# A page as the script sees it. Its clock stands until it is moved; what is sent and stored is kept.
PAGE = """
const vm = require("vm");
const listeners = {}, sent = [], stored = new Map(), said = [];
let now = 1790000000000;
function on(name, handler) { (listeners[name] = listeners[name] || []).push(handler); }
const page = {
  URL, JSON, Math, Array, Uint8Array, crypto: require("crypto").webcrypto,
  Date: { now: () => now },
  location: { href: "https://www.acme.example/pricing?plan=team#top" },
  localStorage: {
    getItem: name => stored.has(name) ? stored.get(name) : null,
    setItem: (name, value) => { if (given.storage === false) throw new Error("denied"); stored.set(name, value); },
    removeItem: name => stored.delete(name),
  },
  navigator: { sendBeacon: (to, body) => { sent.push([to, JSON.parse(body)]); return true; } },
  document: {
    currentScript: { src: "https://hooks.acme.example/v1/mqlstream.js", dataset: { source: "acme.visits.v1" } },
    visibilityState: "visible", title: "Pricing", referrer: "https://search.example/", addEventListener: on,
  },
  addEventListener: on,
};
page.window = page;
function fire(name, event) { (listeners[name] || []).forEach(handler => handler(event || {})); }
function show(state) { page.document.visibilityState = state; fire("visibilitychange"); }
function wait(seconds) { now += seconds * 1000; }
function say(value) { said.push(value === undefined ? "undefined" : value); }
function load() { vm.runInContext(given.script, page); }
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
vm.createContext(page);
eval(given.steps);
console.log(JSON.stringify({ sent, stored: [...stored], said }));
"""


def on_page(steps: str, **given: Any) -> dict[str, Any]:
    """What a page did in these steps (JavaScript): what it sent, what its storage holds, what the steps said."""
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no JavaScript engine: node not found")
        pytest.skip("no JavaScript engine: node not found")
    asked = json.dumps({"script": script().decode(), "steps": steps, **given})
    done = subprocess.run([node, "-e", PAGE], input=asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


GRANTED = 'page.document.currentScript.dataset.consent = "granted";'


def test_it_is_small() -> None:
    assert len(script()) < 2_048
    assert b"//" not in script().replace(b"://", b"")


async def test_it_is_served_to_pages_of_all_sites_and_kept_by_browsers() -> None:
    application = web.Application()
    application.router.add_routes(routes())
    listener = Listener("127.0.0.1:0", "MQLSTREAM_INGEST_BIND", application)
    await listener.start()
    try:
        async with ClientSession(listener.url) as session:
            async with session.get(PATH) as response:
                assert (response.status, response.content_type, await response.read()) == (200, "text/javascript", script())
                assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
                assert "max-age" in response.headers["Cache-Control"]
                mark = response.headers["ETag"]
            async with session.get(PATH, headers={"If-None-Match": mark}) as response:
                assert (response.status, await response.read()) == (304, b"")
    finally:
        await listener.stop()


@pytest.mark.parametrize(
    "leave", ['fire("pagehide");', 'show("hidden");', 'show("hidden"); fire("pagehide"); show("visible"); fire("pagehide");']
)
def test_a_visit_is_told_once_when_the_page_is_left_and_its_adapter_takes_it(leave: str) -> None:
    told = on_page(f"{GRANTED} load(); wait(42); {leave}")
    ((to, visit),) = told["sent"]
    assert to == "https://hooks.acme.example/v1/ingest/acme.visits.v1"
    assert visit == {
        "kind": "web_visit",
        "id": visit["id"],
        "time": 1_790_000_000_000,
        "anonymous_id": visit["anonymous_id"],
        "url": "https://www.acme.example/pricing?plan=team",
        "title": "Pricing",
        "referrer": "https://search.example/",
        "duration_seconds": 42,
    }
    assert told["stored"] == [["mqlstream", visit["anonymous_id"]]]
    (reading,) = read(source_of({"adapter": "snippet"}), json.dumps(visit).encode(), topic="acme.visits.v1")
    assert isinstance(reading.result, Anonymous)
    event = reading.result.event
    assert isinstance(event, Event)
    assert (event.kind, event.id, event.time, event.lead) == ("web_visit", visit["id"], visit["time"], "")


def test_the_visitor_is_the_same_on_each_page_and_each_visit_another() -> None:
    told = on_page(
        f'{GRANTED} load(); wait(1); page.mqlstream.page(); wait(2); fire("pagehide");'
        ' fire("pageshow", {persisted: true}); fire("pagehide");'
    )
    visits = [visit for _, visit in told["sent"]]
    assert [visit["duration_seconds"] for visit in visits] == [1, 2, 0]
    assert len({visit["id"] for visit in visits}) == 3
    assert len({visit["anonymous_id"] for visit in visits}) == 1
    known = on_page(f'{GRANTED} stored.set("mqlstream", "{"a" * 32}"); load(); say(page.mqlstream.id()); fire("pagehide");')
    assert (known["said"], known["sent"][0][1]["anonymous_id"]) == (["a" * 32], "a" * 32)


def test_a_page_that_nobody_sees_is_no_visit_until_it_is_seen() -> None:
    hidden = f'{GRANTED} page.document.visibilityState = "hidden"; load(); wait(60);'
    assert on_page(hidden + 'fire("pagehide");')["sent"] == []
    ((_, visit),) = on_page(hidden + 'show("visible"); wait(5); fire("pagehide");')["sent"]
    assert visit["duration_seconds"] == 5


@pytest.mark.parametrize(
    "tag",
    [
        "",
        'page.document.currentScript.dataset.consent = "mayTell"; page.mayTell = () => false;',
        'page.document.currentScript.dataset.consent = "nobody";',
    ],
)
def test_without_consent_nothing_is_stored_or_sent(tag: str) -> None:
    told = on_page(f'{tag} load(); wait(9); say(page.mqlstream.id()); page.mqlstream.page(); show("hidden"); fire("pagehide");')
    assert told == {"sent": [], "stored": [], "said": [None]}


def test_consent_may_come_by_a_function_or_later_and_be_taken_back() -> None:
    asked = on_page('page.document.currentScript.dataset.consent = "mayTell"; page.mayTell = () => true; load(); fire("pagehide");')
    assert len(asked["sent"]) == 1
    later = on_page('load(); page.mqlstream.page(); wait(9); page.mqlstream.consent(true); wait(3); fire("pagehide");')
    assert [visit["duration_seconds"] for _, visit in later["sent"]] == [3]
    back = on_page(f'{GRANTED} load(); page.mqlstream.consent(false); say(page.mqlstream.id()); page.mqlstream.page(); fire("pagehide");')
    assert back == {"sent": [], "stored": [], "said": [None]}


@pytest.mark.parametrize(
    "no", ['page.navigator.doNotTrack = "1";', 'page.doNotTrack = "1";', "page.navigator.globalPrivacyControl = true;"]
)
def test_a_no_in_the_browser_is_overruled_by_no_consent(no: str) -> None:
    told = on_page(f'{no} {GRANTED} load(); page.mqlstream.consent(true); say(page.mqlstream.id()); show("hidden"); fire("pagehide");')
    assert told == {"sent": [], "stored": [], "said": [None]}
    assert len(on_page(f'page.navigator.doNotTrack = "0"; {GRANTED} load(); fire("pagehide");')["sent"]) == 1


def test_without_storage_a_visitor_is_known_for_one_page() -> None:
    told = on_page(f'{GRANTED} load(); page.mqlstream.page(); fire("pagehide");', storage=False)
    assert len({visit["anonymous_id"] for _, visit in told["sent"]}) == 1
    assert told["stored"] == []
