"""The schemas of the handoff topic, held against what scoring really puts out."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from mqlstream.core.accounts import BECAME_MQA
from mqlstream.core.outputs import BECAME_MQL, ERASED, MQL_WITHDRAWN, STAGE_CHANGED
from mqlstream.handoff.cloudevents import schema_uri
from mqlstream.offline import score_events
from mqlstream.topics import declared, schemas

DEFINITION = """
definition: schema-test
version: 3
dimensions: {total: {cap: 120}}
groups:
  web: {dimension: engagement, cap: 60}
rules:
  - {id: pricing, on: web_visit, points: 40, group: web, decay: {half_life: 14d}, intent: bofu}
  - {id: demo, on: form_fill, points: 100}
fit:
  - {id: vp, where: {title: {prefix: vp}}, points: 15.5}
disqualify:
  - {id: competitor, where: {customer: true}}
qualify:
  threshold: {total: 90}
accounts:
  people: {at_least: 1, engagement: 20}
  threshold: {sum: 60, best: 50}
"""
DAY = 86_400_000
START = 1_767_268_800_000


def happening() -> list[dict[str, Any]]:
    """A lead that becomes an MQL, is withdrawn, and one that is disqualified before it ever was one; both are erased."""
    who = {"email": "jane@acme.example"}
    other = {"lead_id": "lead-2"}
    return [
        {"id": "1", "kind": "profile", "time": START, "attributes": {"title": "VP Sales"}, **who},
        {"id": "2", "kind": "web_visit", "time": START + DAY, **who},
        {"id": "3", "kind": "web_visit", "time": START + DAY + 1, **who},
        {"id": "4", "kind": "form_fill", "time": START + 2 * DAY, **who},
        {"id": "5", "kind": "profile", "time": START + 3 * DAY, "attributes": {"customer": True}, **who},
        {"id": "6", "kind": "profile", "time": START, "attributes": {"customer": True}, **other},
        {"id": "7", "kind": "profile", "time": START + 1, "attributes": {"customer": None}, **other},
        {"id": "8", "kind": "command", "do": "erase", "time": START + 4 * DAY, "by": "dpo", "reason": "asked to", **who},
        {"id": "9", "kind": "command", "do": "erase", "time": START + 4 * DAY, **other},
    ]


def handoff_schemas() -> dict[str, dict[str, Any]]:
    (topic,) = [topic for topic in declared() if topic.key == "handoff"]
    return schemas(topic)


@pytest.fixture(scope="module")
def outputs() -> list[dict[str, Any]]:
    return score_events([DEFINITION], happening())


def test_every_type_that_scoring_puts_out_has_its_schema(outputs: list[dict[str, Any]]) -> None:
    assert {output["type"] for output in outputs} == {BECAME_MQL, MQL_WITHDRAWN, STAGE_CHANGED, ERASED, BECAME_MQA}
    for output in outputs:
        content = handoff_schemas()[output["type"]]
        assert content["$id"] == schema_uri(output["type"])
        jsonschema.Draft202012Validator(content).validate(output["data"])


def test_the_schemas_are_closed_and_nothing_may_be_missing_but_what_nobody_said(outputs: list[dict[str, Any]]) -> None:
    for output in outputs:
        validator = jsonschema.Draft202012Validator(handoff_schemas()[output["type"]])
        assert not validator.is_valid({**output["data"], "more": 1})
        said = {"by", "reason"} if output["type"] == ERASED else set()
        for name in output["data"].keys() - said:
            assert not validator.is_valid({key: value for key, value in output["data"].items() if key != name}), name


def test_a_handoff_shows_what_was_clipped(outputs: list[dict[str, Any]]) -> None:
    (became,) = [output for output in outputs if output["type"] == BECAME_MQL]
    assert {entry["scope"] for entry in became["data"]["clipped"]} == {"group", "total"}
