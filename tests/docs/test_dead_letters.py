"""The page on dead letters: it has every reason there is, each where it belongs, and its commands and headers exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from mqlstream.cli import main
from mqlstream.core.outcome import Reason
from mqlstream.dead_letters import letter
from mqlstream.stages import dead_letter
from tests.docs.readme import commands

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dead-letters.md"
TEXT = PAGE.read_text()
OUTCOMES = Path(__file__).resolve().parents[2] / "mqlstream" / "core" / "outcome.py"


def rejected_reasons() -> set[str]:
    """Those that the list of reasons has below the line on rejected records."""
    source = OUTCOMES.read_text().partition("# rejected:")[2].partition("class Outcome")[0]
    return {Reason[name].value for name in re.findall(r"^    ([A-Z_]+) = ", source, re.MULTILINE)}


def test_every_reason_for_a_dead_letter_is_told_with_what_to_do() -> None:
    sections = dict(re.findall(r"^### `(\w+)`\n\n(.+?)(?=\n\n#|\Z)", TEXT, re.MULTILINE | re.DOTALL))
    assert set(sections) == rejected_reasons()
    assert all(len(text.split()) >= 20 for text in sections.values())


def test_every_other_reason_is_in_the_table_of_what_is_no_dead_letter() -> None:
    rows = re.findall(r"^\| `(\w+)` \| \S", TEXT.partition("## What is no dead letter")[2], re.MULTILINE)
    assert set(rows) == {reason.value for reason in Reason if reason.value} - rejected_reasons()
    assert len(rows) == len(set(rows))


def test_the_headers_are_those_that_are_written() -> None:
    constants = [(name, value) for module in (letter, dead_letter) for name, value in vars(module).items() if isinstance(value, str)]
    ours = {value for name, value in constants if name.isupper() and value.startswith("mqlstream.")}
    assert ours == set(re.findall(r"`(mqlstream\.\w+)`", TEXT))


def test_every_command_on_the_page_exists() -> None:
    shown = commands(PAGE)
    assert len(shown) == 6
    for each in shown:
        words = shlex.split(each.text)[1:]
        node: click.Command | None = main
        while isinstance(node, click.Group):
            node = node.get_command(click.Context(node), words.pop(0))
        assert node is not None, each.text
        known = {option for parameter in node.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
