"""Whatever stands in a file, reading it raises nothing: it ends in a definition or in findings with places inside the file."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mqlstream.definition import source
from mqlstream.definition.fields import CONSTRUCTS
from mqlstream.definition.findings import ERROR, Report
from mqlstream.definition.parse import parse_text
from tests.oracle.strategies import ALL, definitions, text_of

NAMES = sorted({name for construct in CONSTRUCTS.values() for name in construct.names} | {"any", "all", "not", "score", "cell", "path"})
WORDS = [*NAMES, "web_visit", "fit", "total", "$l", "7d", "a", "lead.title", "lead.age", "2026-11-01", "mon-fri", "A1", "/x", ""]


def check(text: str) -> None:
    definition, findings = parse_text(text, "f.yaml", not_yet=frozenset())
    assert (definition is None) == any(one.severity == ERROR for one in findings)
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    for one in findings:
        assert 1 <= one.line <= lines + 1
        assert one.column >= 1
        assert str(one).isprintable()
        assert str(one).startswith(f"f.yaml:{one.line}:{one.column} {one.code} {one.message}")


scalars = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=25,
)


def as_yaml(tree: Any) -> str:
    """JSON is YAML, but for the names of what is no number in it."""
    return json.dumps(tree).replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_found_wrong(data: bytes) -> None:
    text = source.decode(data, Report("f"))
    if text is not None:
        check(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_found_wrong(text: str) -> None:
    check(text)


@given(st.text(alphabet="ab:-[]{},&*!|>'\"%@`#?\n\t 019.~$<=", max_size=80))
def test_any_jumble_of_yaml_marks_is_read_or_found_wrong(text: str) -> None:
    check(text)


@given(trees)
@settings(max_examples=300)
def test_any_tree_is_read_or_found_wrong(tree: Any) -> None:
    check(as_yaml(tree))


@given(st.dictionaries(st.sampled_from(CONSTRUCTS["definition"].names), trees, max_size=4))
@settings(max_examples=300)
def test_any_tree_in_any_section_is_read_or_found_wrong(sections: dict[str, Any]) -> None:
    check(as_yaml({"definition": "a", "version": 1, "lists": {"l": ["x"]}, **sections}))


def construct_example(name: str) -> st.SearchStrategy[str]:
    """An instance of a construct whose fields have values of any kind."""
    construct = CONSTRUCTS[name]
    fields = st.dictionaries(st.sampled_from([*construct.names, "a"]), trees, max_size=5)
    return fields.map(lambda values: "definition: a\nversion: 1\n" + construct.frame.replace("@", as_yaml(values)))


@given(st.sampled_from([name for name in CONSTRUCTS if name != "definition"]).flatmap(construct_example))
@settings(max_examples=500)
def test_any_value_in_any_construct_is_read_or_found_wrong(text: str) -> None:
    check(text)


def mutated(data: st.DataObject, text: str) -> str:
    at = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 6))
    return (
        text[:at]
        + data.draw(st.sampled_from([*WORDS, "{", "}", "[", "]", ":", ", ", "- ", "\n", "  ", "'", "1", "-"]))
        + text[at + length :]
    )


@given(st.data(), st.sampled_from(sorted(CONSTRUCTS)))
@settings(max_examples=500)
def test_a_sound_definition_with_a_slip_is_read_or_found_wrong(data: st.DataObject, name: str) -> None:
    construct = CONSTRUCTS[name]
    instance = "{" + construct.base + "}"
    text = instance if name == "definition" else "definition: a\nversion: 1\n" + construct.frame.replace("@", instance)
    check(mutated(data, mutated(data, text)))


def turned(tree: Any) -> Any:
    """The same content with the keys of every mapping the other way round, but for grades, whose order means something."""
    if isinstance(tree, dict):
        return {key: value if key == "grades" else turned(value) for key, value in reversed(tree.items())}
    return [turned(item) for item in tree] if isinstance(tree, list) else tree


@given(definitions(ALL))
def test_a_sound_definition_is_the_same_however_it_is_written(tree: dict[str, Any]) -> None:
    definition, findings = parse_text(text_of(tree), "f", not_yet=frozenset())
    assert [str(one) for one in findings if one.severity == ERROR] == []
    assert definition is not None
    as_json, _ = parse_text(as_yaml(tree), "g", not_yet=frozenset())
    assert as_json == definition
    other, _ = parse_text(as_yaml(turned(tree)), "h", not_yet=frozenset())
    assert other is not None
    assert other.digest == definition.digest
