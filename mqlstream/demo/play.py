"""The demo from beginning to end: broker, worker, market and sales team, and their end.

The broker and the worker are processes of their own, as in production; the market and the sales team live here and
know of the rest what a platform team and a sales tool know: topics. Whatever happens here, no process is left behind.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp
import orjson
from aiokafka import AIOKafkaProducer

import mqlstream
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.demo.lifeline import start_child, stop_children
from mqlstream.demo.market import Touch, market
from mqlstream.demo.sales import SalesTeam
from mqlstream.demo.summary import Counts, describe, describe_insights
from mqlstream.errors import CheckFailed, UnreachableError
from mqlstream.handoff.contract import BECAME_MQL
from mqlstream.subscriber.client import Subscriber
from mqlstream.topics import Topics

READY_SECONDS = 60.0
SETTLE_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to show: so many people, for so long; ``keep`` waits at the end until told to stop."""

    leads: int
    seconds: float
    keep: bool


def play(plan: Plan, say: Say, begun: float) -> None:
    """Run the demo; ``say`` prints a line, ``begun`` is the program's start by `time.monotonic`.

    Raises `UnreachableError` when a part does not come up, `CheckFailed` when not every event or MQL is accounted for.
    """
    topics = Topics()
    with EmbeddedBroker(topics.all) as broker, tempfile.TemporaryFile() as log:
        say(f"Kafka (embedded) on {broker.bootstrap}")
        url = f"http://127.0.0.1:{_free_port()}"
        worker = _start_worker(broker.bootstrap, url, log)
        try:
            asyncio.run(_show(plan, say, begun, topics, broker.bootstrap, url, worker))
        except (UnreachableError, CheckFailed) as error:
            raise type(error)(f"{error}{_last_words(worker, log)}") from error
        finally:
            stop_children([worker])


async def _show(plan: Plan, say: Say, begun: float, topics: Topics, bootstrap: str, url: str, worker: subprocess.Popen[bytes]) -> None:
    touches = market(plan.leads, plan.seconds)
    sales = SalesTeam(say)
    # A real broker answers a waiting fetch as soon as there is a record; the embedded one only when its wait is over.
    kafka = {"bootstrap_servers": bootstrap, "fetch_max_wait_ms": 20}
    subscriber = Subscriber("sales-team", sales.hear, kafka=kafka, topic=topics.handoff)
    listening = asyncio.create_task(subscriber.run())
    try:
        async with aiohttp.ClientSession(url) as http:
            await _until_ready(http, worker)
            say(f"worker ready, metrics on {url}/metrics; {plan.leads} people come to the market for {plan.seconds:g} s")
            await _write(touches, topics, bootstrap, [listening])
            counts = await _settled(http, len(touches), sales)
            insights = await _insights(http, sales.types[BECAME_MQL])
        first_s = sales.first_at - begun if sales.first_at is not None else None
        for line in describe(counts, plan.leads, sales.types[BECAME_MQL], sales.latencies_ms, first_s):
            say(line)
        for line in describe_insights(insights):
            say(line)
        if plan.keep:
            say(f"Still up until Ctrl-C: web {url}/ metrics {url}/metrics Kafka {bootstrap}")
            await asyncio.Event().wait()
    finally:
        subscriber.stop()
        await asyncio.wait({listening})


def _start_worker(bootstrap: str, url: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    settings = {
        "MQLSTREAM_BOOTSTRAP_SERVERS": bootstrap,
        "MQLSTREAM_PARTITIONS": str(PARTITIONS),
        "MQLSTREAM_DEFINITIONS": str(definition_file()),
        "MQLSTREAM_HTTP_BIND": url.removeprefix("http://"),
        "MQLSTREAM_HANDOFF_IDENTITY": "email,first_name,last_name",
        "MQLSTREAM_HANDOFF_ATTRIBUTES": "title,department,company,company_size,industry,country",
    }
    return start_child("mqlstream.demo.child", "run", environ=settings, stderr=log)


def definition_file() -> Path:
    """The shipped example definition: inside an installed package, beside it in a checkout."""
    package = Path(mqlstream.__file__).parent
    installed = package / "_data" / "config" / "b2b-default.yaml"
    return installed if installed.exists() else package.parent / "config" / "b2b-default.yaml"


async def _until_ready(http: aiohttp.ClientSession, worker: subprocess.Popen[bytes]) -> None:
    """Wait until the worker says that it is. Raises `UnreachableError` when it ends before, or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if worker.poll() is not None:
            raise UnreachableError(f"the worker ended with exit code {worker.returncode} before it was ready")
        try:
            async with http.get("/readyz") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientConnectionError:
            pass  # not listening yet
        await asyncio.sleep(0.05)
    raise UnreachableError(f"the worker was not ready within {READY_SECONDS:g} s")


async def _write(touches: Sequence[Touch], topics: Topics, bootstrap: str, needed: Sequence[asyncio.Task[None]]) -> None:
    """Be all the platform teams' systems: write each touch at its moment, with that moment as its time."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    times_ms: dict[str, int] = {}
    opened = time.monotonic()
    try:
        for touch in touches:
            wait_s = opened + touch.at_ms / 1000 - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            for task in needed:
                if task.done():
                    task.result()
            await producer.send(getattr(topics, touch.topic), _value(touch, times_ms), key=touch.key)
    finally:
        await producer.stop()


def _value(touch: Touch, times_ms: dict[str, int]) -> bytes:
    if isinstance(touch.body, bytes):
        return touch.body
    # What a system writes a second time has the time of the first.
    moment_ms = times_ms.setdefault(touch.body["id"], time.time_ns() // 1_000_000)
    return orjson.dumps({**touch.body, "time": moment_ms})


async def _settled(http: aiohttp.ClientSession, written: int, sales: SalesTeam) -> Counts:
    """Wait until every event has come to its outcome, or waits for its visitor to be known, and every handoff has arrived.

    Raises `CheckFailed` when that does not happen, or when there were more outcomes or handoffs than there should be.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        async with http.get("/metrics") as response:
            counts = Counts(await response.text())
        arrived, sent = sales.types.total(), counts.handoffs.total()
        settled = counts.ended + counts.waiting
        if settled == written and arrived == sent:
            return counts
        if settled > written or arrived > sent or time.monotonic() > deadline:
            raise CheckFailed(f"{settled} outcomes of {written} events, {arrived} of {sent} handoffs arrived; expected all, each once")
        await asyncio.sleep(0.2)


async def _insights(http: aiohttp.ClientSession, mqls: int) -> dict[str, Any]:
    """What the worker counts of handoffs, once it has counted all MQLs. Raises `CheckFailed` when it does not come to that."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        async with http.get("/v1/insights") as response:
            told: dict[str, Any] = await response.json()
        counted = sum(each["funnel"]["mql"] for each in told.get("definitions", ()))
        if response.status == 200 and counted == mqls:
            return told
        if counted > mqls or time.monotonic() > deadline:
            raise CheckFailed(f"insights counted {counted} of {mqls} MQLs {told.get('error', '')}".rstrip())
        await asyncio.sleep(0.2)


def _last_words(worker: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """The last lines of the worker's log, for an error that it probably caused."""
    if worker.poll() in (None, 0):
        return ""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()[-5:]
    return "".join(f"\n  worker: {line}" for line in lines)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
