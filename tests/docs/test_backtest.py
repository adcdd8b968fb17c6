"""docs/backtest.md is followed: its files, its command, and what that prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mqlstream.cli.backtest import command
from mqlstream.core.feedback import MOVES
from mqlstream.handoff.outcomes import accepts
from tests.cli.conftest import run_here
from tests.docs.readme import README, blocks, commands

PAGE = README.parent / "docs" / "backtest.md"


def test_following_the_page_gives_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(PAGE):
        if block.file and block.language in ("yaml", "json"):
            (tmp_path / block.file).write_text(block.text)
    (shown,) = commands(PAGE)
    words = shown.text.split()
    assert words[:2] == ["mqlstream", "backtest"]
    done = run_here(*words[1:])
    assert (done.returncode, (done.stdout + done.stderr).strip()) == (0, shown.output.strip())
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    whole = json.loads(run_here(*words[1:], "--format", "json").stdout)
    assert [row["change"] for row in whole["leads"]] == ["becomes", "stops", "moves"]
    tables = "".join(line for line in PAGE.read_text().splitlines() if line.startswith("|"))
    for name in (*whole["summary"], *whole["leads"][0], *whole["feedback"]["new"]):
        if name not in ("becomes", "stops", "moves", "stays", "median_days_moved", "weeks", "lead_id"):
            assert f"`{name}`" in tables, name


def test_which_answers_accept_is_as_the_page_says() -> None:
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith("| `mqls`")]
    accepting, _, rejecting = row.partition("first answer")[2].partition(" accept;")
    assert {word for word in accepting.split("`") if word.isalpha()} == {each for each, move in MOVES.items() if accepts(move.stage)}
    assert {word for word in rejecting.split("`") if word in MOVES} == {each for each, move in MOVES.items() if not accepts(move.stage)}


def test_the_options_of_the_page_are_those_that_there_are() -> None:
    known = {option for parameter in command.params for option in parameter.opts}
    shown = {word.strip("`*., :") for word in PAGE.read_text().split() if word.strip("`*").startswith("--")}
    assert {word for word in shown if word.startswith("--")} <= known
