"""What is found to differ between the declaration and a cluster, and how a cluster that is not there is reported."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest
from click.testing import CliRunner

from mqlstream.cli import main
from mqlstream.config import Settings
from mqlstream.topics import Topics, declared
from mqlstream.topics.cluster import ALTER, BY_HAND, CREATE, LEAVE, Actual, Difference, compare, until_shown

SETTINGS = Settings(topic_prefix="t.", partitions=4, replication_factor=1)
TOPICS = Topics("t.")


def as_declared() -> dict[str, Actual]:
    """A cluster that has every topic just as declared, and settings of its own besides."""
    found = {}
    for topic in declared():
        own = {**topic.config_for(1), "flush.ms": "5000"}
        found["t." + topic.name] = Actual(topic.partitions or 4, 1, {**own, "preallocate": "false"}, own)
    return found


def changed(name: str, **config: str) -> list[Difference]:
    cluster = as_declared()
    told = {key.replace("_", "."): value for key, value in config.items()}
    cluster[name] = replace(cluster[name], config={**cluster[name].config, **told})
    return compare(SETTINGS, cluster)


def test_a_cluster_as_declared_differs_in_nothing() -> None:
    assert compare(SETTINGS, as_declared()) == []


def test_an_empty_cluster_lacks_every_topic() -> None:
    found = compare(SETTINGS, {})
    assert [difference.topic for difference in found] == list(TOPICS.all)
    assert {difference.action for difference in found} == {CREATE}
    assert found[0] == Difference("t.web-visits.v1", "topic", "4 partitions", None, CREATE)
    assert Difference("t.definitions.v1", "topic", "1 partition", None, CREATE) in found


def test_partitions_of_internal_topics_are_never_changed_by_a_program() -> None:
    cluster = as_declared()
    cluster[TOPICS.lead_state] = replace(cluster[TOPICS.lead_state], partitions=5)
    (found,) = compare(SETTINGS, cluster)
    assert (found.topic, found.what, found.declared, found.actual, found.action) == (TOPICS.lead_state, "partitions", "4", "5", BY_HAND)
    assert found.note == "fixed when it was created: set MQLSTREAM_PARTITIONS to what is there, or begin anew with another prefix"


def test_inputs_and_outputs_may_have_any_number_of_partitions() -> None:
    cluster = as_declared()
    for name in (TOPICS.web_visits, TOPICS.handoff):
        cluster[name] = replace(cluster[name], partitions=7)
    assert [(found.topic, found.action) for found in compare(SETTINGS, cluster)] == [(TOPICS.web_visits, LEAVE), (TOPICS.handoff, LEAVE)]


def test_settings_of_our_own_topics_are_altered() -> None:
    assert changed(TOPICS.handoff, max_message_bytes="1000", retention_ms="5") == [
        Difference(TOPICS.handoff, "max.message.bytes", "4194304", "1000", ALTER),
        Difference(TOPICS.handoff, "retention.ms", "34560000000", "5", ALTER),
    ]


@pytest.mark.parametrize("more", ["34560000001", "-1"])
def test_what_would_delete_records_is_left_to_people(more: str) -> None:
    (found,) = changed(TOPICS.handoff, retention_ms=more)
    assert (found.action, found.note) == (BY_HAND, "the broker would delete records at once")
    (found,) = changed(TOPICS.lead_state, cleanup_policy="delete")
    assert found.action == BY_HAND


def test_settings_of_existing_inputs_are_reported_and_left_alone() -> None:
    (found,) = changed(TOPICS.web_visits, retention_ms="5")
    assert (found.action, found.note) == (LEAVE, "the topic belongs to those who write it")


def test_replicas_in_sync_are_counted_from_the_replicas_there_are() -> None:
    cluster = as_declared()
    three = replace(SETTINGS, replication_factor=3)
    assert compare(three, cluster) == []
    handoff = cluster[TOPICS.handoff]
    cluster[TOPICS.handoff] = replace(handoff, replicas=3)
    assert [(found.what, found.declared) for found in compare(three, cluster)] == [("min.insync.replicas", "2")]


async def test_what_a_broker_does_not_show_yet_is_asked_for_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [True, True, False, True]

    async def pending() -> bool:
        return answers.pop(0)

    await until_shown(pending)
    assert answers == [True]

    async def never_shown() -> bool:
        return True

    monkeypatch.setattr("mqlstream.topics.cluster.SHOWN_S", 0.0)
    await until_shown(never_shown)  # what a broker writes in a way of its own is no reason to wait for ever


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def run(*arguments: str, **settings: str) -> tuple[int, str, str]:
    done = CliRunner(env={f"MQLSTREAM_{name}": value for name, value in settings.items()}).invoke(main, ["topics", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("action", ["plan", "apply"])
def test_a_broker_that_is_not_there_is_exit_3_and_one_line(action: str, closed_port: int) -> None:
    code, out, err = run(action, BOOTSTRAP_SERVERS=f"127.0.0.1:{closed_port}")
    assert (code, out) == (3, "")
    assert err.startswith(f"Error: 127.0.0.1:{closed_port}: cannot work with the cluster (")
    assert err.endswith("), expected a Kafka broker that talks PLAINTEXT\n")
    assert err.count("\n") == 1


def test_a_broker_that_says_nothing_is_given_up_on(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mqlstream.topics.cluster.TIMEOUT_S", 0.5)
    assert run("plan", BOOTSTRAP_SERVERS=f"127.0.0.1:{silent_port}") == (
        3,
        "",
        f"Error: 127.0.0.1:{silent_port}: no answer within 0.5 s, expected a Kafka broker that talks PLAINTEXT\n",
    )


def test_a_wrong_setting_is_exit_2() -> None:
    code, out, err = run("plan", PARTITIONS="none")
    assert (code, out, err) == (2, "", 'Error: MQLSTREAM_PARTITIONS: got "none", expected a whole number from 1 to 1000\n')


def test_a_cluster_without_our_topics_is_exit_1_and_one_row_a_topic() -> None:
    from mqlstream.demo.broker import EmbeddedBroker

    with EmbeddedBroker() as broker:
        code, out, _ = run("plan", "--format", "json", BOOTSTRAP_SERVERS=broker.bootstrap, TOPIC_PREFIX="t.")
        assert code == 1
        assert [row["topic"] for row in json.loads(out)] == list(TOPICS.all)
        code, out, err = run("apply", BOOTSTRAP_SERVERS=broker.bootstrap)
    assert (code, out, err) == (3, "", "Error: the cluster has no controller, expected one: only a controller creates topics\n")
