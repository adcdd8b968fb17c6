"""From event appended to MQL received: a whole worker on a real broker, at a steady rate of events.

Every twentieth event is the demo request of a lead never heard of, which makes it an MQL at once; the rest is what buyers do
otherwise. A subscriber that reads committed records only takes the time. One process sends and receives, so one clock.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from mqlstream.config import load
from mqlstream.handoff.contract import BECAME_MQL, parse
from mqlstream.topics import Topics
from mqlstream.topics.cluster import apply

DEFINITION = Path(__file__).resolve().parents[2] / "config" / "b2b-default.yaml"
PREFIX = "latency."
TURN_S = 0.02  # events are sent this often, so many at a time
NEW_LEAD_EVERY = 20
OTHERS = 20_000  # leads that the other events are of
BIND = "127.0.0.1:18080"
_SETTLE_S = 5.0  # after the last event


class Latency(NamedTuple):
    """Milliseconds, and how many handoffs of those expected were timed."""

    rate: float
    expected: int
    received: int
    p50: float
    p99: float
    highest: float


async def measure(bootstrap: str, rate: int, seconds: float, warm_up_s: float) -> Latency:
    """Run one worker with all roles, send events at ``rate`` a second, and time the handoffs."""
    environment = {
        "MQLSTREAM_BOOTSTRAP_SERVERS": bootstrap,
        "MQLSTREAM_TOPIC_PREFIX": PREFIX,
        "MQLSTREAM_APP_ID": "latency",
        "MQLSTREAM_PARTITIONS": "4",
        "MQLSTREAM_REPLICATION_FACTOR": "1",
        "MQLSTREAM_DEFINITIONS": str(DEFINITION),
        "MQLSTREAM_HTTP_BIND": BIND,
    }
    await apply(load(None, environment))
    worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "mqlstream", "run", env=os.environ | environment)
    try:
        await _ready(worker)
        return await _time(bootstrap, rate, seconds, warm_up_s)
    finally:
        worker.terminate()
        await worker.wait()


async def _ready(worker: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as session:
        while worker.returncode is None:
            try:
                async with session.get(f"http://{BIND}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # not listening yet
            await asyncio.sleep(0.2)
    raise RuntimeError(f"the worker ended with exit code {worker.returncode}")


async def _time(bootstrap: str, rate: int, seconds: float, warm_up_s: float) -> Latency:
    topics = Topics(PREFIX)
    sent: dict[str, float] = {}
    taken: dict[str, float] = {}
    consumer = AIOKafkaConsumer(topics.handoff, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="latest")
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
    async with consumer, producer:
        receiving = asyncio.create_task(_receive(consumer, taken))
        await _send(producer, topics, rate, warm_up_s, {})
        begun = time.perf_counter()
        number = await _send(producer, topics, rate, seconds, sent)
        took = time.perf_counter() - begun
        await asyncio.sleep(_SETTLE_S)
        receiving.cancel()
    times = sorted((taken[lead] - at) * 1000 for lead, at in sent.items() if lead in taken)
    if not times:
        raise RuntimeError("no handoff arrived")
    return Latency(number / took, len(sent), len(times), _quantile(times, 0.5), _quantile(times, 0.99), times[-1])


async def _receive(consumer: AIOKafkaConsumer, taken: dict[str, float]) -> None:
    async for record in consumer:
        event = parse(record.value, record.headers)
        if event.type == BECAME_MQL:
            taken.setdefault(event.lead_id, time.perf_counter())


async def _send(producer: AIOKafkaProducer, topics: Topics, rate: int, seconds: float, sent: dict[str, float]) -> int:
    """Send at a steady rate; when each new lead's event was appended, into ``sent``. How many were sent."""
    begun = time.perf_counter()
    number = 0
    while (passed := time.perf_counter() - begun) < seconds:
        while number < passed * rate:
            topic, lead, event = _event(number, topics)
            appended = await producer.send(topic, json.dumps(event).encode())
            if number % NEW_LEAD_EVERY == 0:
                appended.add_done_callback(lambda _, lead=lead: sent.__setitem__(lead, time.perf_counter()))
            number += 1
        await asyncio.sleep(TURN_S)
    await producer.flush()
    return number


def _event(number: int, topics: Topics) -> tuple[str, str, dict[str, object]]:
    common: dict[str, object] = {"id": f"{time.time_ns():x}-{number}", "source": "latency", "time": int(time.time() * 1000)}
    if number % NEW_LEAD_EVERY == 0:
        lead = f"new-{common['id']}"
        return topics.form_fills, lead, common | {"lead_id": lead, "form": "demo-request"}
    lead = f"lead-{random.randrange(OTHERS)}"
    if number % 5 == 0:
        return topics.email_clicks, lead, common | {"lead_id": lead, "action": random.choice(["open", "click"]), "campaign": "autumn"}
    page = random.choice(["/", "/pricing", "/product/tour", "/blog/a", "/careers"])
    return (
        topics.web_visits,
        lead,
        common | {"lead_id": lead, "url": f"https://shop.example{page}", "duration_seconds": random.randrange(200)},
    )


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
