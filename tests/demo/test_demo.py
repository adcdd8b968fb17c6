"""The demo as a whole, started as a newcomer starts it; and what its worker exposes meanwhile."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mqlstream import metrics as of_our_own
from tests.deploy import expressions


class Shown(NamedTuple):
    """A demo that was left up at its end, looked at, and then stopped by Ctrl-C."""

    lines: list[str]
    errors: str
    exit_code: int
    metrics: str
    ready: str


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    arguments = ["demo", "--leads", "60", "--seconds", "8", "--keep"]
    # As for somebody who has an installation of their own as well: the demo has nothing to do with it.
    environ = {**os.environ, "MQLSTREAM_TOPIC_PREFIX": "ours.", "MQLSTREAM_HTTP_TOKEN": "short", "MQLSTREAM_SOURCES": "ours.forms=typeform"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mqlstream", *arguments], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        metrics = ready = ""
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Still up until Ctrl-C: "):
                url = line.split()[5].rstrip("/")
                metrics = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
                ready = urllib.request.urlopen(f"{url}/readyz", timeout=10).read().decode()
                process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        yield Shown(lines, errors, process.returncode, metrics, ready)
    finally:
        process.kill()
        process.communicate()


def test_it_ends_well_and_says_nothing_on_stderr(shown: Shown) -> None:
    assert (shown.exit_code, shown.errors.strip()) == (0, "")


def test_each_mql_is_one_line_followed_by_its_reasons(shown: Shown) -> None:
    mqls = [number for number, line in enumerate(shown.lines) if line.startswith("MQL ")]
    assert len(mqls) >= 5
    for number in mqls:
        assert re.fullmatch(r"MQL \S+@\S+\.example  score \d+ \(engagement \d+, fit \d+\)  .+, .+, .+", shown.lines[number])
        assert re.fullmatch(r"    +[+-]\d+\.\d  .+  \d\d:\d\d:\d\dZ", shown.lines[number + 1])


def test_nobody_becomes_an_mql_twice_and_no_competitor_at_all(shown: Shown) -> None:
    leads = [line.split()[1] for line in shown.lines if line.startswith("MQL ")]
    assert len(leads) == len(set(leads))
    assert not any(lead.endswith("@rival.example") for lead in leads)


def test_the_summary_accounts_for_every_event(shown: Shown) -> None:
    summary = shown.lines[next(number for number, line in enumerate(shown.lines) if line.startswith("Summary: ")) :]
    found = re.fullmatch(r"Summary: (\d+) events of 60 people, (\d+) MQLs", summary[0])
    assert found is not None
    rows = [re.fullmatch(r"  (\w+) +(\d+) +(\d+) +(\d+)", line) for line in summary]
    waiting = [re.fullmatch(r"  waiting: (\d+) events of visitors who have not said who they are", line) for line in summary]
    ended = sum(int(row[column]) for row in rows if row for column in (2, 3, 4))
    assert ended + sum(int(each[1]) for each in waiting if each) == int(found[1])
    assert {"web_visit", "form_fill", "email_click", "webinar_attendance", "activity", "profile"} <= {row[1] for row in rows if row}
    assert int(found[2]) == sum(line.startswith("MQL ") for line in shown.lines)
    assert any(re.fullmatch(r"  dead letters: .*not_json \d+.*", line) for line in summary)
    assert any(re.fullmatch(r"  from event appended to MQL received: p50 \d+ ms, p99 \d+ ms", line) for line in summary)
    counted = [line for line in summary if line.startswith("  insights of b2b-default: ")]
    assert len(counted) == 1
    assert re.match(rf"  insights of b2b-default: mql {found[2]}[,;].* contributed most often: [\w-]+ \d+, ", counted[0])
    assert any(re.fullmatch(r"  first MQL \d+\.\d s after the start of the program", line) for line in summary)


def test_the_worker_is_ready(shown: Shown) -> None:
    assert shown.ready == '{"ready": true, "reasons": []}'


def test_alerts_and_dashboards_ask_for_metrics_that_a_worker_exposes(shown: Shown) -> None:
    assert expressions.used() - expressions.exposed(shown.metrics) == set()


def test_alerts_and_dashboards_match_labels_that_a_worker_sets(shown: Shown) -> None:
    # Some labels are set by work that a demo has none of.
    families = text_string_to_metric_families(shown.metrics)
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    own = {label for metric in vars(of_our_own).values() for label in getattr(metric, "_labelnames", ())}
    assert expressions.labels_used() - labels - own == set()


def test_no_metric_carries_a_lead(shown: Shown) -> None:
    assert "@" not in shown.metrics
    assert ".example" not in shown.metrics
