"""`mqlstream insights`, asked of a worker on the embedded broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from aiokafka import AIOKafkaProducer

from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.handoff.cloudevents import encode
from mqlstream.topics import Topics
from tests.app.insights.lives import Life, events, expected
from tests.app.test_worker import PATIENCE_S, working
from tests.cli.conftest import run_here

HOUR_MS = 3_600_000
BEGIN_MS = 1_793_500_000_000  # 2026-11-01
TOLD = [
    Life("ann", "first", 1, BEGIN_MS, ("demo-request", "pricing-visit"), 4 * HOUR_MS, ((HOUR_MS, "sal"), (HOUR_MS, "sql"))),
    Life("bob", "first", 1, BEGIN_MS, ("demo-request",), 4 * HOUR_MS, ((5 * HOUR_MS, "recycled"),), breached=True),
    Life("eve", "first", 1, BEGIN_MS + 24 * HOUR_MS, ("demo-request",), 4 * HOUR_MS),
    Life("joe", "second", 1, BEGIN_MS, ("webinar",), None, ((HOUR_MS, "customer"),)),
]

TABLES = """\
first: handoffs
STAGE         HANDOFFS  OF ALL
mql           3         100%
sal           1         33%
sql           1         33%
opportunity   0         0%
customer      0         0%
recycled      1         33%
disqualified  0         0%
withdrawn     0         0%
cooled        0         0%

rules, by the handoffs they contributed to
RULE           MQLS  ACCEPTED  REJECTED  CUSTOMERS  ACCEPTANCE  LIFT
demo-request   3     1         1         0          0.50        1.00
pricing-visit  1     1         0         0          1.00        2.00

first answer of sales: 2 handoffs, half within 1 h, nine of ten within 8 h; SLA kept 1, breached 1

"""


@pytest.fixture(scope="module")
def worker() -> Iterator[str]:
    """The address of a worker that has counted the handoffs."""
    with EmbeddedBroker(Topics().all) as broker, working(broker.bootstrap, "--roles", "insights,web", MQLSTREAM_DEFINITIONS="") as running:
        url = running.url()
        running.until(url, 200)
        asyncio.run(_write(broker.bootstrap))
        deadline = time.monotonic() + PATIENCE_S
        while (got := _answer(url)) != expected(TOLD)["definitions"]:
            assert time.monotonic() < deadline, got
            time.sleep(0.1)
        yield url


async def _write(bootstrap: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for life in TOLD:
            for event in events(life):
                key, value, headers = encode(event, "/test")
                await producer.send(Topics().handoff, value, key=key, headers=list(headers))


def _answer(url: str, *arguments: str) -> object:
    return json.loads(run_here("insights", "--url", url, "--format", "json", *arguments).stdout)


def test_tables_are_for_people(worker: str) -> None:
    shown = run_here("insights", "--url", worker, "--definition", "first")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, TABLES, "")


def test_days_and_definitions_are_chosen(worker: str) -> None:
    second = _answer(worker, "--definition", "second")
    assert second == [each for each in expected(TOLD)["definitions"] if each["definition"] == "second"]
    lines = run_here("insights", "--url", worker, "--since", "2026-11-02", "--format", "jsonl").stdout.splitlines()
    assert [(json.loads(line)["definition"], json.loads(line)["funnel"]["mql"]) for line in lines] == [("first", 1), ("second", 0)]


def test_a_definition_without_handoffs_is_told_on_stderr(worker: str) -> None:
    shown = run_here("insights", "--url", worker, "--definition", "third")
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "No handoffs of a definition 'third' yet.\n")


def test_a_wrong_day_is_refused_by_the_worker(worker: str) -> None:
    refused = run_here("insights", "--url", worker, "--until", "soon")
    assert refused.returncode == 2
    assert refused.stderr == f"Error: {worker}: until is 'soon', expected a day such as 2026-11-02\n"


def test_a_worker_without_the_role_has_no_insights() -> None:
    with EmbeddedBroker(Topics().all) as broker, working(broker.bootstrap, "--roles", "web") as running:
        refused = run_here("insights", "--url", running.url())
    assert refused.returncode == 3
    assert "expected a worker with the roles insights and web" in refused.stderr


def test_an_address_without_a_scheme_is_refused() -> None:
    refused = run_here("insights", "--url", "worker:8080")
    assert (refused.returncode, refused.stderr) == (
        2,
        "Error: --url: got 'worker:8080', expected a worker's address such as http://127.0.0.1:8080\n",
    )


def test_the_gauges_say_the_same(worker: str) -> None:
    text = urlopen(f"{worker}/metrics", timeout=10).read().decode()
    for line in (
        'mqlstream_insights_reached{definition="first",stage="mql"} 3.0',
        'mqlstream_insights_entered{definition="first",stage="recycled"} 1.0',
        'mqlstream_insights_answers{answer="accepted",definition="first"} 1.0',
        'mqlstream_insights_rule_handoffs{definition="first",outcome="rejected",rule="pricing-visit"} 0.0',
        'mqlstream_insights_speed_to_lead_seconds_bucket{definition="first",le="3600"} 1.0',
        'mqlstream_insights_speed_to_lead_seconds_bucket{definition="first",le="+Inf"} 2.0',
        'mqlstream_insights_speed_to_lead_seconds_sum{definition="first"} 21600.0',
        'mqlstream_insights_sla{definition="first",result="breached"} 1.0',
    ):
        assert line in text.splitlines()
