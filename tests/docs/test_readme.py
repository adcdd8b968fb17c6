"""Every example in the README is carried out, in order, in one folder: what a reader would do."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
import pytest
from confluent_kafka import Consumer, Producer

from mqlstream.cli import main
from mqlstream.config import load
from mqlstream.config.fields import FIELDS
from mqlstream.core.event import Event
from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.handoff import cloudevents
from mqlstream.ingest.canonical import canonical
from mqlstream.topics import Topics
from tests.docs.readme import README, blocks, commands

ROOT = README.parent
BLOCKS = blocks()
TOPICS = Topics("mql.")
# Commands of mqlstream that need no broker and end by themselves: run, and their output compared. The others need one;
# of these the command and its options are looked up.
OFFLINE = ("lint", "score", "config", "export")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README shows under a name."""
    path = tmp_path_factory.mktemp("reader")
    for block in BLOCKS:
        if block.file and block.language in ("yaml", "json"):
            (path / block.file).write_text(block.text)
    return path


def shell(text: str, folder: Path) -> str:
    """Run a command line as a reader would; its output and messages as a terminal shows them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MQLSTREAM_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}", "PYTHONUNBUFFERED": "1"}
    run = subprocess.run(
        ["/bin/sh", "-c", text], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    assert run.returncode in (0, 1), run.stdout.decode()
    return run.stdout.decode()


def test_the_commands_print_what_the_readme_shows(folder: Path):
    ran = 0
    for command in commands():
        words = shlex.split(command.text)
        if words[0] == "mqlstream" and set(words) & set(OFFLINE):
            assert shell(command.text, folder) == command.output, f"README.md:{command.line}"
            ran += 1
    assert ran >= 4


def test_the_handoffs_are_what_the_readme_says(folder: Path):
    shell("mqlstream score --definition first.yaml events.jsonl > told.jsonl", folder)
    events = [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]
    assert [(event["type"].split(".")[2], event["lead_id"]) for event in events] == [
        ("stage_changed", "bob@rival.example"),
        ("became_mql", "ann@acme.example"),
    ]


@pytest.mark.parametrize("command", [command for command in commands() if "mqlstream " in command.text], ids=lambda command: command.text)
def test_every_command_and_option_in_the_readme_exists(command):
    words = [word for word in shlex.split(command.text) if not re.match(r"[A-Z_]+=", word)]
    node: click.Command = main
    words = words[words.index("mqlstream") + 1 :]
    while words and isinstance(node, click.Group):
        found = node.get_command(click.Context(node), words.pop(0))
        assert found is not None, command.text
        node = found
    known = {option for parameter in node.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_make_target_in_the_readme_exists():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in commands():
        if command.text.startswith("make "):
            assert command.text.removeprefix("make ") in targets


def test_every_other_program_in_the_readme_is_known_here():
    assert {shlex.split(command.text)[0] for command in commands()} <= {
        "make",
        "mqlstream",
        "export",
        "echo",
        "curl",
        "MQLSTREAM_DEFINITIONS=first.yaml",
    }


def test_every_json_object_in_the_readme_is_an_event_that_is_accepted():
    lines = [line for block in BLOCKS if block.language == "json" for line in block.text.splitlines()]
    lines += [shlex.split(command.text)[1] for command in commands() if command.text.startswith("echo ")]
    assert len(lines) >= 7
    for line in lines:
        assert isinstance(canonical(line.encode(), kind="form_fill", source="readme"), Event), line


def test_every_variable_in_the_readme_is_a_setting():
    known = {field.variable for field in FIELDS} | {f"{field.variable}_FILE" for field in FIELDS if field.secret}
    assert set(re.findall(r"MQLSTREAM_[A-Z_]*[A-Z]", README.read_text())) <= known


def test_the_table_of_settings_has_every_plain_one_with_its_default():
    rows = dict(re.findall(r"^\| `(MQLSTREAM_\w+)` \| (.+?) \|", README.read_text(), re.MULTILINE))
    plain = {field.variable for field in FIELDS if "." not in field.name and not field.name.startswith(("sasl_", "ssl_"))}
    assert set(rows) == plain
    unset = load(None, {})
    for variable, default in rows.items():
        if default.startswith("`"):
            given = load(None, {variable: default.strip("`")})
            assert replace(given, origins=unset.origins) == unset, variable


def test_every_link_to_a_file_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text()):
        assert (ROOT / target).exists(), target


@contextmanager
def program(text: str, bootstrap: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python example of the README, running against another broker than the one it names."""
    script = folder / "example.py"
    script.write_text(text.replace("localhost:9092", bootstrap))
    process = subprocess.Popen([sys.executable, "-u", script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_python_producer_writes_an_event_that_is_accepted(folder: Path):
    text = next(block.text for block in BLOCKS if "AIOKafkaProducer" in block.text)
    with EmbeddedBroker([TOPICS.form_fills]) as broker:
        with program(text, broker.bootstrap, folder) as process:
            assert process.wait(30) == 0, process.stdout.read() if process.stdout else ""
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "t", "auto.offset.reset": "earliest"})
        consumer.subscribe([TOPICS.form_fills])
        record = consumer.poll(30)
        consumer.close()
        assert record is not None
        assert isinstance(canonical(record.value() or b"", kind="form_fill", source=TOPICS.form_fills), Event)


def test_the_python_subscriber_prints_a_handoff(folder: Path):
    shell("mqlstream score --definition first.yaml events.jsonl > told.jsonl", folder)
    text = next(block.text for block in BLOCKS if "Subscriber" in block.text and block.language == "python")
    with EmbeddedBroker([TOPICS.handoff]) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for line in (folder / "told.jsonl").read_text().splitlines():
            key, value, headers = cloudevents.encode(json.loads(line), "/mqlstream")
            producer.produce(TOPICS.handoff, key=key, value=value, headers=list(headers))
        producer.flush(30)
        with program(text, broker.bootstrap, folder) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
    assert line == "call ann@acme.example: 112 points: Asked for a demo, Looked at pricing, Decides\n"
