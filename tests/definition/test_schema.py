"""The JSON Schema agrees with the parser: what reads passes it, and common slips do not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mqlstream.definition.fields import CONSTRUCTS
from mqlstream.definition.findings import Report
from mqlstream.definition.parse import parse_text
from mqlstream.definition.schema import json_schema
from mqlstream.definition.source import plain, read
from tests.definition.golden import CASES, cases, text_of

# What a schema can tell as well as the parser; the rest needs the names and numbers of a whole file.
SLIPS = ("unknown-key", "missing-key")


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema(frozenset())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
        return own.union(*(references(value) for value in schema.values()))
    return set().union(*(references(value) for value in schema)) if isinstance(schema, list) else set()


def test_every_reference_leads_somewhere_and_everything_is_referred_to() -> None:
    schema = json_schema(frozenset())
    assert references(schema) == {f"#/$defs/{name}" for name in schema["$defs"]}


def test_every_field_of_every_construct_is_in_it_with_its_documentation() -> None:
    schema = json_schema(frozenset())
    for construct in CONSTRUCTS.values():
        part = schema if construct.name == "definition" else schema["$defs"][construct.name]
        assert {name: one.get("description") for name, one in part["properties"].items()} == {one.name: one.doc for one in construct.fields}


def test_what_is_not_supported_yet_is_not_in_it() -> None:
    assert "mode" in json_schema(frozenset())["properties"]
    schema = json_schema(frozenset({"definition.mode", "rule.set"}))
    assert "mode" not in schema["properties"]
    assert "set" not in schema["$defs"]["rule"]["properties"]


def test_it_is_plain_json() -> None:
    schema = json_schema(frozenset())
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema


@pytest.mark.parametrize("case", cases())
def test_the_schema_takes_what_reads_and_refuses_unknown_and_missing_keys(case: dict[str, Any], validator: Any) -> None:
    tree = read(text_of(case), Report("f"))
    if tree is None:
        return
    definition, findings = parse_text(text_of(case), "f", directory=CASES, not_yet=frozenset())
    faults = [error.message for error in validator.iter_errors(plain(tree))]
    if definition is not None:
        assert faults == []
    elif {one.code for one in findings} & set(SLIPS):
        assert faults != []
