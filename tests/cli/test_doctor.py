"""`mqlstream doctor` on the embedded broker, and without one. What only a real broker tells is looked at in tests/kafka."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from mqlstream.config import Settings
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.doctor.clocks import future_check, skew_check
from mqlstream.doctor.cluster import DESCRIBE, READ, WRITE, Group, Partition, Topic
from mqlstream.doctor.finding import Check
from mqlstream.doctor.rights import group_rights, needed, topic_rights
from mqlstream.doctor.rounds import Report
from mqlstream.doctor.topics import partition_checks, setting_checks
from mqlstream.doctor.working import group_check
from mqlstream.errors import UsageError
from mqlstream.topics import Topics
from mqlstream.topics.cluster import ALTER, BY_HAND, LEAVE, Difference
from tests.cli.conftest import Run, run_here

TOPICS = Topics()
NOBODY = "127.0.0.1:1"
SOUND = """
definition: first
version: 2
rules: [{id: visit, on: web_visit, points: 60}]
qualify: {threshold: {total: 100}}
"""
Checks = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with one sound definition, and settings that name it and nobody's addresses."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "first.yaml").write_text(SOUND)
    monkeypatch.setenv("MQLSTREAM_DEFINITIONS", str(folder))
    monkeypatch.setenv("MQLSTREAM_PARTITIONS", str(PARTITIONS))
    monkeypatch.setenv("MQLSTREAM_BOOTSTRAP_SERVERS", NOBODY)
    monkeypatch.setenv("MQLSTREAM_HTTP_BIND", NOBODY)
    return folder


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with EmbeddedBroker(TOPICS.all) as broker:
        monkeypatch.setenv("MQLSTREAM_BOOTSTRAP_SERVERS", broker.bootstrap)
        yield broker.bootstrap


def doctor(exit_code: int = 0, *options: str) -> Checks:
    done = run_here("doctor", "--format", "json", *options)
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    found: Checks = json.loads(done.stdout)
    return found


def of(checks: Checks, name: str) -> list[tuple[str, str]]:
    """Status and words of the checks of one name."""
    return [(check["status"], check["found"]) for check in checks if check["check"] == name]


def wrong(checks: Checks) -> Checks:
    return [check for check in checks if check["status"] in ("problem", "warning")]


def test_without_a_broker_what_needs_none_is_checked_and_the_exit_is_3(mqlstream: Run, settings: Path) -> None:
    variables = {"MQLSTREAM_BOOTSTRAP_SERVERS": NOBODY, "MQLSTREAM_DEFINITIONS": str(settings), "MQLSTREAM_HTTP_BIND": NOBODY}
    done = mqlstream("doctor", **variables)
    assert done.returncode == 3
    (error,) = done.stderr.splitlines()
    assert error.startswith(f"Error: cannot reach Kafka at {NOBODY} with PLAINTEXT: ")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines[1:4]] == [["ok", "settings"], ["ok", "definitions"], ["problem", "broker"]]
    assert f"{settings}/first.yaml: first version 2, no findings" in done.stdout
    assert "not checked  topics         no broker answers" in done.stdout


def test_an_installation_that_is_well_is_exit_0_and_nothing_is_created_by_looking(bootstrap: str) -> None:
    checks = doctor()
    assert not wrong(checks)
    names = {"settings", "definitions", "broker", "authorisation", "topics", "partitions", "clock", "dead letters", "workers"}
    assert {check["check"] for check in checks} == names
    assert of(checks, "topics")[0] == ("ok", f"{len(TOPICS.all)} topics there, with the partitions that they must have")
    assert of(checks, "authorisation") == [("not checked", "the broker knows no such question")]


def test_missing_topics_are_named_with_the_command_that_creates_them_and_are_still_missing_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with EmbeddedBroker(TOPICS.all[2:]) as broker:
        monkeypatch.setenv("MQLSTREAM_BOOTSTRAP_SERVERS", broker.bootstrap)
        for _ in range(2):
            (check,) = wrong(doctor(1))
            assert (check["check"], check["status"], check["found"]) == ("topics", "problem", "missing")
            assert check["about"] == f"{TOPICS.all[0]}, {TOPICS.all[1]}"
            assert check["mend"] == "mqlstream topics apply"


def test_partition_counts_with_which_a_worker_does_not_start_are_problems(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQLSTREAM_PARTITIONS", "6")
    first, second = wrong(doctor(1))
    assert first["about"].startswith(f"{TOPICS.lead_events}, ")
    assert (first["found"], first["expected"]) == ("4 partitions", "6 (MQLSTREAM_PARTITIONS)")
    assert "set MQLSTREAM_PARTITIONS to what is there" in first["mend"]
    assert (second["about"], second["expected"]) == (TOPICS.handoff, "6 for the role insights")


def test_a_topic_of_a_source_that_is_missing_is_a_problem(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MQLSTREAM_SOURCES", "acme.segment=segment")
    (check,) = wrong(doctor(1))
    assert (check["about"], check["found"]) == ("acme.segment", "missing, and a source is read from it")


def test_findings_of_definitions_have_their_places_and_warnings_are_exit_1_only_with_strict(bootstrap: str, settings: Path) -> None:
    doubtful = SOUND.replace("definition: first", "definition: doubtful") + "lists: {rivals: [rival.example]}\n"
    (settings / "doubtful.yaml").write_text(doubtful)
    warned = wrong(doctor(0))
    assert {check["status"] for check in warned} == {"warning"}
    assert all(check["about"].startswith(f"{settings}/doubtful.yaml:") for check in warned)
    assert wrong(doctor(1, "--strict")) == warned
    (settings / "wrong.yaml").write_text(SOUND.replace("web_visit", "web_visits"))
    problem = next(check for check in doctor(1) if check["status"] == "problem")
    assert problem["about"] == f"{settings}/wrong.yaml:4:25"
    assert "web_visits" in problem["found"] and "web_visit" in problem["mend"]


def test_an_id_that_stands_in_two_files_is_a_problem(bootstrap: str, settings: Path) -> None:
    (settings / "second.yaml").write_text(SOUND)
    (check,) = wrong(doctor(1))
    assert check["about"] == f"{settings}/second.yaml"
    assert check["found"] == f"definition 'first' stands in {settings}/first.yaml too"


def test_settings_that_a_worker_would_refuse_and_those_that_are_risky_are_told(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MQLSTREAM_DEFINITIONS")
    monkeypatch.setenv("MQLSTREAM_HTTP_BIND", "0.0.0.0:1")
    monkeypatch.setenv("MQLSTREAM_INGEST_BIND", "127.0.0.1:2")
    monkeypatch.setenv("MQLSTREAM_INGEST_MAILBOX_RULES", "acme.example=pluss")
    found = [(check["status"], check["check"], check["about"]) for check in wrong(doctor(1))]
    assert found == [
        ("problem", "settings", ""),
        ("problem", "settings", "MQLSTREAM_INGEST_BIND"),
        ("warning", "settings", "MQLSTREAM_HTTP_BIND"),
        ("warning", "settings", "MQLSTREAM_HTTP_ADVERTISE"),
        ("problem", "definitions", ""),
    ]


def test_settings_that_cannot_be_read_are_exit_2_and_one_line(mqlstream: Run) -> None:
    done = mqlstream("doctor", MQLSTREAM_PARTITIONS="many")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "MQLSTREAM_PARTITIONS" in done.stderr


def test_which_version_is_in_force_is_told_and_a_newer_file_that_does_not_count_is_a_warning(bootstrap: str, settings: Path) -> None:
    file = settings / "first.yaml"
    assert of(doctor(), "definitions")[-1] == ("ok", f"in force from {file}: none was pushed")
    assert run_here("definitions", "push", str(file)).returncode == 0
    status, told = of(doctor(), "definitions")[-1]
    assert (status, told.startswith("in force, pushed at ")) == ("ok", True)
    file.write_text(SOUND.replace("version: 2", "version: 3").replace("points: 60", "points: 70"))
    (check,) = wrong(doctor())
    assert check["about"] == "first version 2"
    assert f"{file} has version 3 with other content, which does not count" in check["found"]
    assert check["mend"] == f"mqlstream definitions push {file}"


@pytest.mark.parametrize(("ahead_ms", "status"), [(-60_000, "ok"), (30_000, "warning"), (600_000, "problem")])
def test_a_position_from_the_future_says_that_a_clock_is_wrong(bootstrap: str, ahead_ms: int, status: str) -> None:
    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for offset in range(20):
                at_ms = int(time.time() * 1000) - 86_400_000 + offset
                await producer.send(TOPICS.ingest_positions, b"{}", key=b"position", partition=1, timestamp_ms=at_ms)
            at_ms = int(time.time() * 1000) + ahead_ms
            await producer.send_and_wait(TOPICS.ingest_positions, b"{}", key=b"position", partition=1, timestamp_ms=at_ms)

    asyncio.run(write())
    (_, check) = [check for check in doctor(int(status == "problem")) if check["check"] == "clock"]
    assert (check["about"], check["status"]) == ("the workers' clocks", status)
    assert bool(check["mend"]) == (status != "ok")


def test_how_much_stands_among_the_dead_letters_is_told(bootstrap: str) -> None:
    async def write() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            await producer.send_and_wait(TOPICS.dead_letters, b"broken")

    asyncio.run(write())
    assert of(doctor(), "dead letters") == [("ok", "at most 1 record: mqlstream dlq list --count")]


def test_a_worker_that_is_not_ready_tells_why(bootstrap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def examine() -> tuple[str, str]:
        async def not_ready(_: web.Request) -> web.Response:
            return web.Response(status=503, text="score task 3 is restoring, 12 records to go\n")

        application = web.Application()
        application.router.add_get("/readyz", not_ready)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = f"127.0.0.1:{runner.addresses[0][1]}"
        monkeypatch.setenv("MQLSTREAM_HTTP_BIND", address)
        checks = await asyncio.to_thread(doctor)
        await runner.cleanup()
        return of(checks, "workers")[-1]

    assert asyncio.run(examine()) == ("warning", "not ready: score task 3 is restoring, 12 records to go")


@pytest.mark.parametrize(("skew_ms", "status"), [(900.0, "ok"), (-1_020.0, "ok"), (-1_100.0, "warning"), (400_000.0, "problem")])
def test_a_skew_counts_when_it_is_more_than_what_the_answer_took_can_explain(skew_ms: float, status: str) -> None:
    check = skew_check(skew_ms, uncertain_ms=50.0)
    assert check.status == status
    assert ("ahead of" if skew_ms > 0 else "behind") in check.found


def test_without_any_position_the_workers_clocks_are_not_judged() -> None:
    assert future_check(None, 0.0).status == "not checked"


def test_topics_that_lack_the_same_rights_are_one_line_with_a_command_that_gives_them() -> None:
    settings = Settings()
    all_rights = frozenset({READ, WRITE, DESCRIBE})
    topics = {name: Topic(name, True, (), all_rights) for name in needed(settings)}
    assert [check.status for check in topic_rights(settings, topics)] == ["ok"]
    for name in (TOPICS.handoff, TOPICS.shadow):
        topics[name] = Topic(name, True, (), frozenset({READ, DESCRIBE}))
    topics[TOPICS.scores] = Topic(TOPICS.scores, True, (), frozenset({DESCRIBE}))
    topics[TOPICS.identity] = Topic(TOPICS.identity, None)
    hidden, lacking = topic_rights(settings, topics)
    assert (hidden.about, hidden.status) == (TOPICS.identity, "problem")
    assert (lacking.about, lacking.found) == (f"{TOPICS.handoff}, {TOPICS.shadow}", "no right to Write")
    assert f"--operation Write --topic {TOPICS.handoff}" in lacking.mend
    published = {check.about for check in topic_rights(Settings(publish_scores=True), topics)}
    assert f"{TOPICS.handoff}, {TOPICS.scores}, {TOPICS.shadow}" in published, "scores are written only where they are wanted"


def test_a_group_that_may_only_be_looked_at_lacks_the_right_to_read() -> None:
    groups = [
        Group("a", False, "Empty", 0, frozenset({DESCRIBE})),
        Group("b", False, "Empty", 0, frozenset({READ})),
        Group("c", True, "", 0, None),
    ]
    (check,) = group_rights(Settings(), groups)
    assert (check.about, check.found) == ("a, c", "no right to Read")
    (check,) = group_rights(Settings(), [Group("a", False, "Empty", 0, None)])
    assert check.status == "not checked"


def test_a_group_that_is_behind_is_a_warning_only_where_nobody_works() -> None:
    place, gone = TopicPartition(TOPICS.lead_events, 0), TopicPartition("gone", 0)
    offsets, ends = {place: 7, gone: 3}, {place: (2, 12)}
    working, left = Group("g", False, "Stable", 2, None), Group("g", False, "Empty", 0, None)
    assert group_check(working, offsets, ends).status == "ok"
    assert group_check(working, offsets, ends).found == "2 members, stable, 5 offsets behind in 2 partitions"
    assert group_check(left, offsets, ends).status == "warning"
    assert group_check(left, {place: 12}, ends).status == "ok"


async def test_a_broker_that_goes_away_while_it_is_asked_is_told_and_what_comes_after_is_still_looked_at() -> None:
    async def asked(error: Exception | None) -> list[Check]:
        if error is not None:
            raise error
        return [Check("topics", "ok", "", "all there")]

    report = Report()
    await report.heed("clock", "", asked(KafkaConnectionError("closed")))
    await report.heed("topics", "", asked(None))
    await report.heed("definitions", "", asked(UsageError("a record that is no definition")))
    assert [(check.check, check.status) for check in report.checks] == [("clock", "problem"), ("topics", "ok"), ("definitions", "problem")]
    assert report.unreachable == "clock: KafkaConnectionError: closed"


def test_partitions_that_are_offline_take_no_writes_or_lack_a_copy_are_told_apart() -> None:
    partitions = (Partition(0, 1, 3, 3), Partition(1, -1, 3, 0), Partition(2, 1, 3, 1), Partition(3, 1, 3, 2))
    found = partition_checks(Settings(), {TOPICS.handoff: Topic(TOPICS.handoff, True, partitions)})
    assert [(check.status, check.about) for check in found] == [
        ("problem", f"{TOPICS.handoff}[1]"),
        ("problem", f"{TOPICS.handoff}[2]"),
        ("warning", f"{TOPICS.handoff}[3]"),
    ]


def test_settings_of_our_own_topics_that_differ_are_warnings_and_those_of_inputs_are_not() -> None:
    left = Difference(TOPICS.web_visits, "retention.ms", "2", "1", LEAVE)
    assert [check.status for check in setting_checks([left])] == ["ok"]
    altered = Difference(TOPICS.handoff, "max.message.bytes", "4194304", "1048588", ALTER)
    by_hand = Difference(TOPICS.lead_state, "cleanup.policy", "compact", "delete", BY_HAND, "the broker may delete records")
    first, second = setting_checks([left, altered, by_hand])
    assert (first.about, first.found, first.expected) == (
        TOPICS.handoff,
        "1 setting not as declared, such as max.message.bytes 1048588",
        "4194304",
    )
    assert (second.about, second.found, second.expected) == (TOPICS.lead_state, "cleanup.policy is delete", "compact")
