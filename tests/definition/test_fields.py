"""Every construct is described, and every example in a description is a definition that reads without a fault."""

from __future__ import annotations

from typing import Any

import pytest

from mqlstream.definition.fields import CONSTRUCTS, NOT_YET
from mqlstream.definition.findings import ERROR
from mqlstream.definition.parse import parse_text
from mqlstream.definition.types import Construct, Field

HEAD = "definition: example\nversion: 1\n"


def example(construct: Construct, field: Field | None) -> str:
    """A whole definition around one instance of the construct, with the field's example in it."""
    beside = construct.base if field is None or field.beside is None else field.beside
    parts = [beside] if beside else []
    if field is not None:
        parts.append(f"{field.name}: {field.example}")
    instance = "{" + ", ".join(parts) + "}"
    return instance if construct.name == "definition" else HEAD + construct.frame.replace("@", instance)


def everything() -> list[Any]:
    return [
        pytest.param(construct, field, id=construct.name + (f".{field.name}" if field else ""))
        for construct in CONSTRUCTS.values()
        for field in (None, *construct.fields)
    ]


@pytest.mark.parametrize(("construct", "field"), everything())
def test_an_example_reads_without_an_error(construct: Construct, field: Field | None) -> None:
    definition, findings = parse_text(example(construct, field), "f", not_yet=frozenset())
    assert [str(one) for one in findings if one.severity == ERROR] == []
    assert definition is not None


@pytest.mark.parametrize(("construct", "field"), everything())
def test_everything_is_documented(construct: Construct, field: Field | None) -> None:
    text = construct.doc if field is None else field.doc
    assert text.endswith((".", "`"))
    assert (
        field is None
        or field.required
        or field.default
        or construct.exactly_one
        or construct.name in {"comparison", "qualify", "expectation"}
    )


@pytest.mark.parametrize("path", sorted({"definition.accounts", "qualify.recycle", *NOT_YET}))
def test_what_is_not_supported_yet_is_refused_at_its_key(path: str) -> None:
    construct = CONSTRUCTS[path.split(".")[0]]
    field = construct.field(path.split(".")[1])
    assert field is not None
    definition, findings = parse_text(example(construct, field), "f", not_yet=frozenset({path}))
    assert definition is None
    assert (f"{field.name} is not supported yet", "remove it until it is") in [(one.message, one.hint) for one in findings]


def test_an_unknown_key_is_an_error_in_every_construct() -> None:
    for construct in CONSTRUCTS.values():
        text = example(construct, Field("surprise", construct.fields[0].type, "", "1"))
        _, findings = parse_text(text, "f", not_yet=frozenset())
        assert [one.code for one in findings if one.severity == ERROR] == ["unknown-key"], construct.name
