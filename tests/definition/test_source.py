"""How files are read: YAML's core schema, places, and limits that keep a hostile file harmless."""

from __future__ import annotations

import pytest

from mqlstream.definition import source
from mqlstream.definition.findings import Report
from mqlstream.definition.parse import parse_text


def value_of(text: str) -> object:
    report = Report("f")
    node = source.read(f"key: {text}\n", report)
    assert not report.items
    assert isinstance(node, source.Entries)
    return source.plain(node)["key"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("no", "no"),
        ("NO", "NO"),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("nULL", "nULL"),
        ("", None),
        ("12", 12),
        ("+12", 12),
        ("012", 12),
        ("0o14", 12),
        ("0xC", 12),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("2026-11-01", "2026-11-01"),
        ("'12'", "12"),
        ("'true'", "true"),
        ('"\\u00e9"', "é"),
        ("|\n  a\n  b", "a\nb\n"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_a_scalar_means_what_the_core_schema_says(text: str, value: object) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


def codes(text: str) -> list[str]:
    definition, findings = parse_text(text, "f")
    assert definition is None
    return [one.code for one in findings]


def test_keys_and_values_know_their_place_in_characters() -> None:
    node = source.read("é: 1\nb:\n  - ö: {c: x}\n", Report("f"))
    assert isinstance(node, source.Entries)
    key, items = node.entries["b"]
    assert (key.line, key.column) == (2, 1)
    assert isinstance(items, source.Items)
    assert isinstance(items.items[0], source.Entries)
    inner = items.items[0].entries["ö"][1]
    assert (inner.line, inner.column) == (3, 8)


def test_a_thousand_laughs_are_refused_and_never_expanded() -> None:
    lines = ["a0: &a0 [ha]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert codes("\n".join(lines)).count("alias") == 30 + 29 * 9


def test_nesting_is_bounded() -> None:
    assert codes("a: " + "[" * 200 + "]" * 200) == ["too-deep"]
    assert codes("a: " + "{a: " * 200 + "1" + "}" * 200) == ["too-deep"]
    assert codes("a: " + "[" * 500_000) == ["too-deep"]
    assert codes("\n".join("  " * level + "a:" for level in range(200))) == ["too-deep"]


def test_nesting_up_to_the_bound_is_read() -> None:
    deep = source.MAX_DEPTH - 1
    report = Report("f")
    assert source.read("a: " + "[" * deep + "]" * deep, report) is not None
    assert not report.items
    assert source.read("a: " + "[" * (deep + 1) + "]" * (deep + 1), report) is None


def test_the_number_of_nodes_is_bounded() -> None:
    assert codes("a: [" + "1, " * source.MAX_NODES + "1]") == ["too-large"]


def test_the_size_is_bounded_in_bytes() -> None:
    assert codes("# " + "é" * (source.MAX_BYTES // 2)) == ["too-large"]


def test_findings_are_bounded() -> None:
    text = "definition: a\nversion: 1\n" + "".join(f"x{n}: 1\n" for n in range(5000))
    found = codes(text)
    assert len(found) == 501
    assert found.count("too-many-findings") == 1


def test_a_byte_that_is_no_utf8_has_its_place() -> None:
    report = Report("f")
    assert source.decode(b"a: 1\nb: \xff\n", report) is None
    assert [str(one) for one in report.items] == ["f:2:4 encoding got the byte 0xff, expected UTF-8 text"]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert source.decode("\ufeffa: 1".encode(), Report("f")) == "a: 1"


def test_a_lone_surrogate_has_its_place() -> None:
    assert [str(one) for one in parse_text("a: 1\nb: \ud800", "f")[1]] == [
        "f:2:4 encoding got half a character (a lone surrogate), expected text"
    ]
