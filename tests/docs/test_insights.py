"""The answer that docs/insights.md shows is what is counted from three handoffs, and its commands exist."""

from __future__ import annotations

import json

from mqlstream.app.insights.report import Window, report
from mqlstream.cli.insights import command
from tests.app.insights.lives import BEGIN_MS, HOUR_MS, Life
from tests.app.insights.test_counting import book_of, facts
from tests.docs.readme import README, blocks, commands

GUIDE = README.parent / "docs" / "insights.md"
TOLD = [
    Life("ann", "first", 1, BEGIN_MS, ("demo-request", "pricing-visit"), 4 * HOUR_MS, ((HOUR_MS, "sal"), (HOUR_MS, "sql"))),
    Life("bob", "first", 1, BEGIN_MS, ("demo-request",), 4 * HOUR_MS, ((5 * HOUR_MS, "recycled"),), breached=True),
    Life("eve", "first", 1, BEGIN_MS + 24 * HOUR_MS, ("demo-request",), 4 * HOUR_MS),
]


def test_the_answer_is_the_one_that_is_shown() -> None:
    shown = json.loads(next(block.text for block in blocks(GUIDE) if block.language == "json"))
    assert shown == report(book_of(facts(TOLD)).days, Window(since="2026-11-01"))


def test_the_commands_have_the_options_that_are_shown() -> None:
    known = {option for parameter in command.params for option in parameter.opts}
    shown = [each.text.split() for each in commands(GUIDE) if each.text.startswith("mqlstream insights")]
    assert shown
    assert {word for words in shown for word in words if word.startswith("--")} <= known
