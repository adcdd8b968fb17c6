"""`mqlstream definitions` on the embedded broker, and what differs between definitions, as people use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from mqlstream import wire
from mqlstream.cli.definitions import command
from mqlstream.core.event import Event
from mqlstream.definition import load
from mqlstream.definition.publish import self_contained
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.doors import definitions as door
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.topics import Topics
from tests.cli.conftest import run_here

TOPICS = Topics()
TEXT = """
definition: first
version: 1
lists: {rivals: [rival.example]}
rules:
  - {id: visit, on: web_visit, points: 60}
  - {id: demo, on: form_fill, where: {form: demo}, points: 30}
disqualify: [{id: rival, where: {email_domain: {in: $rivals}}}]
qualify: {threshold: {total: 100}}
"""
NEXT = TEXT.replace("version: 1", "version: 2").replace("total: 100", "total: 50").replace("where: {form: demo}, points: 30", "points: 40")


@pytest.fixture
def bootstrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with EmbeddedBroker(TOPICS.all) as broker:
        monkeypatch.setenv("MQLSTREAM_BOOTSTRAP_SERVERS", broker.bootstrap)
        yield broker.bootstrap


def file(folder: Path, text: str, name: str = "first.yaml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def definitions(*arguments: str, exit_code: int = 0) -> Any:
    """The rows that a command prints as JSON."""
    done = run_here("definitions", *arguments, "--format", "json")
    assert done.returncode == exit_code, (done.stdout, done.stderr)
    return json.loads(done.stdout) if done.stdout else done.stderr


def activations(bootstrap: str) -> list[list[wire.Activation]]:
    """Those in each partition of lead-events."""

    async def read() -> list[list[wire.Activation]]:
        broker = KafkaBroker({"bootstrap_servers": bootstrap})
        found: list[list[wire.Activation]] = []
        for partition in range(PARTITIONS):
            heard = [wire.heard(*record) async for chunk in broker.restore((TOPICS.lead_events, partition)) for record in chunk.records]
            found.append([each for each in heard if isinstance(each, wire.Activation)])
        return found

    return asyncio.run(read())


def test_a_push_publishes_a_version_and_activates_it_in_every_partition(bootstrap: str, tmp_path: Path) -> None:
    (row,) = definitions("push", file(tmp_path, TEXT), "--by", "ann")
    assert row == {"definition": "first", "version": 1, "before": None, "action": "pushed", "on_activate": "none", "new_fields": []}
    (row,) = definitions("push", file(tmp_path, NEXT), "--on-activate", "new")
    assert (row["before"], row["version"], row["on_activate"]) == (1, 2, "new")
    found = activations(bootstrap)
    assert len(found) == PARTITIONS
    assert all(each == found[0] for each in found)
    assert [(each.version, each.handoff, each.text) for each in found[0]] == [(1, "none", TEXT), (2, "new", NEXT)]
    assert found[0][0].by == "ann"
    assert found[0][1].digest == load(tmp_path / "first.yaml").digest
    (listed,) = definitions("list")
    assert (listed["definition"], listed["version"], listed["mode"]) == ("first", 2, "live")


def test_what_is_published_already_is_not_pushed_again_unless_it_is_to_hand_off(bootstrap: str, tmp_path: Path) -> None:
    actions = [
        definitions("push", file(tmp_path, TEXT), *options)[0]["action"]
        for options in ([], [], ["--on-activate", "all"], ["--dry-run"], ["--dry-run", "--on-activate", "all"])
    ]
    assert actions == ["pushed", "unchanged", "again", "would be unchanged", "would be again"]
    assert [[each.handoff for each in partition] for partition in activations(bootstrap)] == [["none", "all"]] * PARTITIONS


def test_a_version_that_does_not_rise_is_refused_and_nothing_of_the_push_is_done(bootstrap: str, tmp_path: Path) -> None:
    definitions("push", file(tmp_path, NEXT))
    second = file(tmp_path, TEXT.replace("definition: first", "definition: second"), "second.yaml")
    told = definitions("push", second, file(tmp_path, TEXT), exit_code=1)
    expected = "definition first version 1 is not above version 2, which is published with another content: expected 3 or more"
    assert told.strip() == f"Error: {tmp_path}/first.yaml: {expected}"
    assert [row["definition"] for row in definitions("list")] == ["first"]
    assert [len(partition) for partition in activations(bootstrap)] == [1] * PARTITIONS


def test_a_definition_with_errors_is_not_pushed_and_its_findings_are_told(bootstrap: str, tmp_path: Path) -> None:
    done = run_here("definitions", "push", file(tmp_path, TEXT.replace("points: 60", "points: many")))
    assert done.returncode == 1
    assert "first.yaml:6:" in done.stderr
    assert definitions("list") == []


def test_rolling_back_is_pushing_the_old_content_as_a_new_version(bootstrap: str, tmp_path: Path) -> None:
    for text in (TEXT, NEXT, TEXT.replace("version: 1", "version: 3")):
        definitions("push", file(tmp_path, text))
    assert definitions("diff", "first@1", "first@3") == []
    assert definitions("diff", file(tmp_path, TEXT.replace("version: 1", "version: 4"))) == []


def test_a_diff_names_what_was_added_removed_and_changed(bootstrap: str, tmp_path: Path) -> None:
    definitions("push", file(tmp_path, TEXT))
    changed = NEXT.replace("  - {id: visit, on: web_visit, points: 60}", "  - {id: read, on: web_visit, points: 5}")
    found = {row["what"]: (row["change"], row["before"], row["after"]) for row in definitions("diff", file(tmp_path, changed), exit_code=1)}
    assert found["rules.visit"][0] == "removed"
    assert found["rules.read"][0] == "added"
    assert found["rules.demo.points"] == ("changed", 30, 40)
    assert found["qualify.threshold.total"] == ("changed", 100, 50)
    done = run_here("definitions", "diff", "first", str(tmp_path / "first.yaml"))
    assert "changed  rules.demo.points: 30 -> 40\n" in done.stdout
    assert done.returncode == 1


def test_lists_in_files_of_their_own_are_published_inline(bootstrap: str, tmp_path: Path) -> None:
    (tmp_path / "rivals.txt").write_text("rival.example  # the one\n1e3\nno\n")
    definitions("push", file(tmp_path, TEXT.replace("[rival.example]", "{file: rivals.txt}")))
    activation = activations(bootstrap)[0][0]
    assert json.loads(activation.text)["lists"] == {"rivals": ["rival.example", "1e3", "no"]}
    assert activation.digest == load(tmp_path / "first.yaml").digest
    path = tmp_path / "first.yaml"
    assert self_contained(path, load(path)) == activation.text


def test_new_fields_are_named(bootstrap: str, tmp_path: Path) -> None:
    definitions("push", file(tmp_path, TEXT))
    later = TEXT.replace("version: 1", "version: 2").replace("on: web_visit,", "on: web_visit, where: {path: {prefix: /pricing}},")
    assert definitions("push", file(tmp_path, later), "--dry-run")[0]["new_fields"] == ["web_visit: path"]


BY_PATH = TEXT.replace("version: 1", "version: 2").replace("on: web_visit,", "on: web_visit, where: {path: {prefix: /pricing}},")


def written(bootstrap: str, partition: int = 0) -> list[wire.Activation | Event]:
    """What stands in a partition of lead-events."""

    async def read() -> list[wire.Activation | Event]:
        found: list[wire.Activation | Event] = []
        async for chunk in KafkaBroker({"bootstrap_servers": bootstrap}).restore((TOPICS.lead_events, partition)):
            for key, value in chunk.records:
                heard = wire.heard(key, value)
                found.append(heard if isinstance(heard, wire.Activation) else wire.decode(value or b""))
        return found

    return asyncio.run(read())


def write(bootstrap: str, *events: Event) -> None:
    """Events of leads, all in the first partition."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for event in events:
                await producer.send_and_wait(TOPICS.lead_events, wire.encode(event), key=wire.key_of(event.lead), partition=0)

    asyncio.run(send())


def test_a_backfill_stands_between_a_preparation_and_the_activation_and_tells_what_was_not_read_before(
    bootstrap: str, tmp_path: Path
) -> None:
    definitions("push", file(tmp_path, TEXT))
    visits = [Event("site", str(number), "web_visit", 1_000 + number, "ann", {"path": f"/{number}", "host": "x"}) for number in range(3)]
    write(bootstrap, *visits, Event("site", "f", "form_fill", 2_000, "ann", {"form": "demo"}))
    (row,) = definitions("push", file(tmp_path, BY_PATH), "--backfill")
    assert (row["action"], row["new_fields"]) == ("pushed", ["web_visit: path"])
    _, *_, prepared, completion, activation = written(bootstrap)
    assert isinstance(prepared, wire.Activation) and isinstance(activation, wire.Activation) and isinstance(completion, Event)
    assert (prepared.prepares, prepared.version, activation.prepares, activation.version) == (True, 2, False, 2)
    assert (completion.lead, completion.time) == ("ann", 1_002)
    assert completion.body == {"do": "complete", "events": [["site", str(number), {"path": f"/{number}"}] for number in range(3)]}


def test_a_version_that_is_published_is_pushed_again_by_a_backfill_and_all_that_it_reads_is_told(bootstrap: str, tmp_path: Path) -> None:
    definitions("push", file(tmp_path, BY_PATH))
    write(bootstrap, Event("site", "v", "web_visit", 1, "ann", {"path": "/"}), Event("site", "f", "form_fill", 2, "bob", {"form": "demo"}))
    assert definitions("push", file(tmp_path, BY_PATH))[0]["action"] == "unchanged"
    assert definitions("push", file(tmp_path, BY_PATH), "--backfill")[0]["action"] == "again"
    told = [each.body["events"] for each in written(bootstrap) if isinstance(each, Event) and each.kind == "command"]
    assert told == [[["site", "v", {"path": "/"}]], [["site", "f", {"form": "demo"}]]]


def test_of_an_erased_lead_nothing_is_told_again(bootstrap: str, tmp_path: Path) -> None:
    definitions("push", file(tmp_path, TEXT))
    visit = Event("site", "v", "web_visit", 1, "ann", {"path": "/"})
    write(bootstrap, visit, Event("site", "x", "command", 2, "ann", {"do": "erase"}))
    definitions("push", file(tmp_path, BY_PATH), "--backfill")
    assert not [each for each in written(bootstrap) if isinstance(each, Event) and each.body.get("do") == "complete"]


def test_what_is_too_large_is_refused_with_the_limit(bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_BYTES", 300)
    told = definitions("push", file(tmp_path, TEXT), exit_code=2)
    assert "expected at most 300: its lists are too long" in told


def test_a_definition_that_is_neither_a_file_nor_published_is_told(bootstrap: str) -> None:
    told = definitions("diff", "nobody", "first", exit_code=2)
    assert told.strip() == "Error: nobody is neither a file nor a published definition; nothing is published under this id"


def test_the_help_says_how_to_roll_back() -> None:
    done = run_here("definitions", "push", "--help")
    assert "To roll back, push the old content as a new version" in " ".join(done.stdout.split())
    assert set(command.commands) == {"push", "list", "diff"}
