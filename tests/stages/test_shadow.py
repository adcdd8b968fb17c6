"""Shadow definitions in the score stage: told on their own topic and counted, and invisible to everybody else."""

from __future__ import annotations

from typing import Any

import jsonschema
import orjson
import pytest

from mqlstream import metrics, offline
from mqlstream.core.event import Event
from mqlstream.engine.interfaces import Effects
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import schema
from tests.stages.test_activation import EASIER, FIRST, START, TOPICS, Task, pushed, visit

SHADOW = FIRST.replace("definition: first", "definition: tried\nmode: shadow").replace("total: 100", "total: 50")


class Watched(Task):
    """A task with a live definition and its shadow."""

    def __init__(self, shadow: str = SHADOW) -> None:
        super().__init__()
        self.stage = ScoreStage(TOPICS, offline.compile_texts([FIRST, shadow]))
        self.processor = self.stage.processor(0)

    def told(self) -> list[tuple[str, bool | None]]:
        """All that stands on the shadow topic: (key, whether the lead qualifies); None: a tombstone."""
        return [(key.decode(), None if value is None else orjson.loads(value)["qualifies"]) for key, value in shadows(*self.written)]


def shadows(*written: Effects) -> list[tuple[bytes, bytes | None]]:
    return [(each.key or b"", each.value) for effects in written for each in effects.outputs if each.topic == TOPICS.shadow]


def counted(found: str) -> float:
    return metrics.REGISTRY.get_sample_value("mqlstream_shadow_leads_total", {"definition": "tried", "found": found}) or 0.0


def test_who_qualifies_under_a_shadow_is_told_once_and_not_handed_off() -> None:
    task = Watched()
    before = counted("before_live"), counted("live_with")
    assert task.read(visit(0)) == []
    assert task.told() == [("tried/ann", True)]
    assert task.read(visit(1)) == [("became_mql", "ann", 1)], "by the live definition"
    assert [event.data["definition"]["id"] for event in task.handoffs(*task.written)] == ["first"]
    assert len(task.told()) == 1
    assert (counted("before_live"), counted("live_with")) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("restart", [False, True])
def test_a_lead_that_no_longer_qualifies_is_told_too(restart: bool) -> None:
    task = Watched()
    task.read(visit(0))
    if restart:
        task.restart()
    task.read(Event("s", "later", "profile", START + 40 * 86_400_000, "ann", {"attributes": {"title": "x"}}, attributes={"title": "x"}))
    assert task.told() == [("tried/ann", True), ("tried/ann", False)]


def test_a_live_handoff_that_the_shadow_would_not_make_is_counted() -> None:
    task = Watched(SHADOW.replace("total: 50", "total: 5000"))
    before = counted("live_without")
    task.read(visit(0), visit(1))
    assert counted("live_without") == before + 1
    assert task.told() == []


def test_what_is_told_is_as_its_schema_says() -> None:
    task = Watched()
    task.read(visit(0))
    ((_, value),) = shadows(*task.written)
    told: dict[str, Any] = orjson.loads(value or b"")
    jsonschema.Draft202012Validator(schema("shadow.v1.json")).validate(told)
    assert told["live"] == [{"definition": "first", "stage": "lead", "cycle": 0}]
    assert [line["rule"] for line in told["contributions"]] == ["visit"]


def test_an_erased_lead_is_gone_from_the_shadow_topic() -> None:
    task = Watched()
    task.read(visit(0))
    task.read(Event("ops", "erase", "command", START + 86_400_000, "ann", {"do": "erase"}))
    assert task.told() == [("tried/ann", True), ("tried/ann", None)]


def test_a_shadow_that_is_pushed_looks_at_all_leads_and_goes_live_with_another_push() -> None:
    task = Watched(EASIER.replace("definition: first", "definition: second"))
    task.read(visit(0), visit(0, "bob"))
    task.read(pushed(SHADOW, 1, "all"))
    task.idle()
    assert sorted(task.told()) == [("tried/ann", True), ("tried/bob", True)]
    assert [event.data["definition"]["id"] for event in task.handoffs(*task.written)] == ["second", "second"]
    live = SHADOW.replace("mode: shadow", "mode: live").replace("version: 1", "version: 2")
    found = task.read(pushed(live, 2, "all")) + task.idle()
    assert sorted(found) == [("became_mql", "ann", 2), ("became_mql", "bob", 2)]
