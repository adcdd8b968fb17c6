"""From an empty cluster to a worker: `topics plan`, `topics apply`, and what `run` says when the cluster is not as it must be."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from tests.kafka.installation import DEFINITIONS, PARTITIONS, Installation, free_port

pytestmark = pytest.mark.kafka


@pytest.fixture
def installation(kafka: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(kafka, tmp_path, [DEFINITIONS / "steady.yaml"])
    yield made
    made.clear_away()


def create(installation: Installation, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result()


def one_line(stderr: str) -> str:
    """The one line of an error; anything beside it, a traceback above all, fails."""
    lines = [line for line in stderr.splitlines() if " INFO mqlstream" not in line]
    assert len(lines) == 1 and lines[0].startswith("Error: "), stderr
    return lines[0]


async def test_a_fresh_cluster_is_planned_applied_and_then_as_declared(installation: Installation) -> None:
    before = installation.command("topics", "plan", "--format", "jsonl")
    assert before.returncode == 1
    planned = [line for line in before.stdout.splitlines() if '"create"' in line]
    assert len(planned) == len(installation.topics.all)
    applied = installation.command("topics", "apply")
    assert applied.returncode == 0
    assert f"{len(installation.topics.all)} topics created" in applied.stderr
    after = installation.command("topics", "plan")
    assert (after.returncode, after.stderr) == (0, "All topics are as declared.\n")
    again = installation.command("topics", "apply")
    assert again.returncode == 0
    assert "0 topics created, 0 settings changed, 0 left to you" in again.stderr
    there = AdminClient({"bootstrap.servers": installation.bootstrap}).list_topics(timeout=30).topics
    assert {len(there[topic].partitions) for topic in installation.topics.inputs} == {PARTITIONS}
    worker = installation.worker("one")
    await worker.ready()
    worker.send(signal.SIGTERM)
    assert await worker.ended() == 0


def test_what_apply_has_created_and_altered_is_seen_when_it_ends(installation: Installation) -> None:
    for topic in (installation.topics.handoff, installation.topics.dead_letters):
        create(installation, topic, PARTITIONS)
    applied = installation.command("topics", "apply")
    assert "  create" in applied.stdout and "  alter" in applied.stdout
    plan = installation.command("topics", "plan")
    assert "  create" not in plan.stdout and "  alter" not in plan.stdout


def test_a_worker_without_topics_says_how_to_create_them(installation: Installation) -> None:
    refused = installation.command("run")
    assert refused.returncode == 2
    assert "create what is missing: mqlstream topics apply" in one_line(refused.stderr)


def test_a_worker_refuses_an_internal_topic_with_another_partition_count(installation: Installation) -> None:
    topic = installation.topics.lead_events
    create(installation, topic, PARTITIONS + 1)
    plan = installation.command("topics", "apply")
    assert plan.returncode == 1
    left = [line for line in plan.stdout.splitlines() if "by hand" in line and "partitions" in line]
    assert len(left) == 1 and left[0].startswith(topic)
    refused = installation.command("run")
    assert refused.returncode == 2
    assert f"topic {topic} has {PARTITIONS + 1} partitions, expected {PARTITIONS} (MQLSTREAM_PARTITIONS)" in one_line(refused.stderr)


def test_input_topics_may_have_counts_of_their_own(installation: Installation) -> None:
    create(installation, installation.topics.web_visits, 1)
    installation.apply_topics()
    plan = installation.command("topics", "plan")
    assert plan.returncode == 0
    assert "any number will do" in plan.stdout


@pytest.mark.parametrize("command", [("run",), ("topics", "plan"), ("topics", "apply"), ("subscribe",)])
def test_an_unreachable_broker_is_one_line(installation: Installation, command: tuple[str, ...]) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    refused = installation.command(*command, MQLSTREAM_BOOTSTRAP_SERVERS=nobody)
    assert refused.returncode == 3
    assert nobody in one_line(refused.stderr)
    assert refused.stdout == ""


def test_a_wrong_definition_is_told_with_its_place_before_the_cluster_is_asked(installation: Installation, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("definition: wrong\nversion: 1\nrules:\n  - {id: visit, on: web_visits, points: 5}\n")
    refused = installation.command("run", MQLSTREAM_DEFINITIONS=str(wrong))
    assert refused.returncode == 2
    assert f"{wrong}:4:" in refused.stderr and "web_visit" in refused.stderr
    assert "Traceback" not in refused.stderr
