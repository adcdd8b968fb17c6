"""The page of adapters is what they say of themselves, and its settings and commands are taken."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from mqlstream.cli import main
from mqlstream.config import load
from mqlstream.ingest.adapters.registry import ADAPTERS as ALL
from mqlstream.program import ingest_options
from tests.docs.generate import ADAPTERS, generated
from tests.docs.readme import blocks, commands


def test_the_page_is_what_the_adapters_say_of_themselves() -> None:
    assert ADAPTERS.read_text() == generated()[ADAPTERS], "run `make docs`"


def test_every_adapter_has_its_section_and_the_readme_names_it() -> None:
    page = ADAPTERS.read_text()
    readme = (ADAPTERS.parents[1] / "README.md").read_text()
    for adapter in ALL.values():
        assert f"\n## {adapter.name}\n" in page
        word = adapter.title.removesuffix(" (enriched)").removesuffix(" webinars").removeprefix("Mailchimp Transactional (").rstrip(")")
        assert word.lower() in readme.lower(), adapter.title


def test_the_settings_on_the_page_are_taken(tmp_path: Path) -> None:
    (block,) = [block for block in blocks(ADAPTERS) if block.language == "yaml"]
    path = tmp_path / "mqlstream.yaml"
    path.write_text(block.text)
    assert len(ingest_options(load(path, {})).sources) == 4
    (variable,) = [word.strip("`") for word in ADAPTERS.read_text().split() if word.startswith("`MQLSTREAM_SOURCES=")]
    assert len(ingest_options(load(None, {"MQLSTREAM_SOURCES": variable.partition("=")[2]})).sources) == 2


def test_every_command_on_the_page_exists() -> None:
    shown = commands(ADAPTERS)
    assert len(shown) == 3
    for command in shown:
        words = shlex.split(command.text)[1:]
        node: click.Command | None = main
        while isinstance(node, click.Group):
            node = node.get_command(click.Context(node), words.pop(0))
        assert node is not None, command.text
        known = {option for parameter in node.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
