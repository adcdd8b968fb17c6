"""docs/erasure.md names the settings and days that topics are declared with."""

from __future__ import annotations

import re
from pathlib import Path

from mqlstream.topics import Topics, declared

PAGE = (Path(__file__).parents[2] / "docs" / "erasure.md").read_text()
DAY_MS = 86_400_000
VALUES = {"6 hours": str(DAY_MS // 4), "a day": str(DAY_MS)}


def rows() -> list[list[str]]:
    """The cells of the page's tables."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def test_topics_that_are_compacted_have_the_settings_that_the_page_says() -> None:
    told = {row[0].strip("`"): VALUES.get(row[1], row[1]) for row in rows() if re.fullmatch(r"`[a-z.]+`", row[0])}
    assert told.keys() == {"segment.ms", "max.compaction.lag.ms", "min.cleanable.dirty.ratio", "delete.retention.ms"}
    (named,) = [set(re.findall(r"`mql\.([a-z0-9.-]+)`", row[0])) for row in rows() if "lead-state" in row[0]]
    for topic in declared():
        if topic.name in named:
            assert told.items() <= topic.config.items(), topic.name
    about_leads = {topic.name for topic in declared() if topic.config["cleanup.policy"] == "compact" and "lead" in topic.record_key}
    assert about_leads <= named


def test_topics_that_keep_for_days_have_the_days_that_the_page_says() -> None:
    days = {
        name: int(row[2].split()[-2]) for row in rows() for name in re.findall(r"`mql\.([a-z0-9.-]+)`", row[0]) if row[2].endswith("days")
    }
    found = {topic.name: topic for topic in declared()}
    for name, told in days.items():
        assert found[name].config["retention.ms"] == str(told * DAY_MS), name
    inputs = [topic for topic in declared() if topic.role == "input"]
    assert {topic.config["retention.ms"] for topic in inputs} == {str(90 * DAY_MS)}
    assert set(Topics("mql.").all) >= {f"mql.{name}" for name in days}
