"""The oracle's `where`, by examples worked out by hand from the language's text."""

from __future__ import annotations

from typing import Any

import pytest

from tests.oracle.conditions import holds, lookup, words
from tests.oracle.events import Json

LISTS = {"rivals": ["Rival.example", "rival2.example"], "titles": ["vice president", "cto"]}

EVENT: Json = {
    "path": "/Pricing/Straße",
    "duration_seconds": 40,
    "seconds_text": "40",
    "zero": 0,
    "yes": True,
    "nothing": None,
    "tags": ["Alpha", 3, True],
    "empty": [],
    "title": "Senior Vice-President, Sales_EMEA",
    "host": "rival.EXAMPLE",
    "properties": {"plan": "pro", "plan.size": 7, "plan_deep": {"level": 2}},
    "properties.flat": "literal",
}


def check(where: Json, values: Json = EVENT) -> bool:
    return holds(where, lambda path: lookup(values, path), LISTS)


@pytest.mark.parametrize(
    "where",
    [
        {"duration_seconds": 40},
        {"duration_seconds": 40.0},
        {"duration_seconds": [10, 40]},
        {"path": "/PRICING/strasse"},
        {"path": {"prefix": "/pricing"}},
        {"path": {"prefix": ["/docs", "/pricing"]}},
        {"path": {"suffix": "STRASSE"}},
        {"path": {"suffix": ["/a", "ße"]}},
        {"path": {"contains": "ing/str"}},
        {"path": {"contains_any": ["docs", "PRIC"]}},
        {"path": {"glob": "/pricing*"}},
        {"path": {"glob": "/[o-q]ricing/stra??e"}},
        {"path": {"glob": "*"}},
        {"duration_seconds": {"gte": 40, "lte": 40, "gt": 39.5, "lt": 41}},
        {"yes": True},
        {"yes": {"ne": 1}},
        {"zero": {"ne": False}},
        {"duration_seconds": {"ne": "40"}},
        {"seconds_text": "40"},
        {"seconds_text": {"not_in": [40]}},
        {"nothing": {"exists": False}},
        {"nothing": {"ne": "x"}},
        {"missing": {"not_in": ["x"]}},
        {"missing": {"ne": "x", "not_in": ["y"], "exists": False}},
        {"zero": {"exists": True}},
        {"empty": {"exists": True}},
        {"tags": {"contains": "ALPHA"}},
        {"tags": {"contains_any": ["beta", "alpha"]}},
        {"tags": {"exists": True, "ne": "alpha", "not_in": ["alpha"]}},
        {"title": {"words_any": ["VICE PRESIDENT"]}},
        {"title": {"words_any": ["president sales_emea"]}},
        {"title": {"words_any": "$titles"}},
        {"host": {"in": "$rivals"}},
        {"path": {"not_in": "$rivals"}},
        {"properties.plan": "pro"},
        {"properties.plan.size": 7},
        {"properties.plan_deep.level": 2},
        {"properties.flat": "literal"},
        {"properties.plan_deep": {"exists": True}},
        {"any": [{"zero": 1}, {"yes": True}]},
        {"all": [{"zero": 0}, {"yes": True}]},
        {"not": {"zero": 1}},
        {"not": {"zero": 0, "yes": False}},
        {"not": {"missing": "x"}},
        {"any": [{"all": [{"zero": 0}, {"not": {"yes": False}}]}], "zero": 0},
    ],
    ids=str,
)
def test_a_condition_holds(where: Json) -> None:
    assert check(where)


@pytest.mark.parametrize(
    "where",
    [
        {"duration_seconds": "40"},
        {"seconds_text": 40},
        {"seconds_text": {"gte": 1}},
        {"yes": 1},
        {"yes": {"gte": 0}},
        {"yes": "true"},
        {"zero": False},
        {"duration_seconds": {"in": [True, "40"]}},
        {"missing": "x"},
        {"missing": {"lt": 5}},
        {"missing": {"exists": True}},
        {"nothing": {"exists": True}},
        {"zero": {"exists": False}},
        {"tags": "alpha"},
        {"tags": {"in": ["alpha"]}},
        {"tags": {"prefix": "al"}},
        {"tags": {"glob": "*"}},
        {"tags": {"words_any": ["alpha"]}},
        {"tags": {"contains": "alph"}},
        {"empty": {"contains": "alpha"}},
        {"duration_seconds": {"contains": "4"}},
        {"duration_seconds": {"glob": "*"}},
        {"path": {"glob": "/pricing"}},
        {"path": {"glob": "pricing*"}},
        {"path": {"glob": "/[a-c]ricing*"}},
        {"title": {"words_any": ["vice sales"]}},
        {"title": {"words_any": ["sales"]}},
        {"title": {"words_any": ["presiden"]}},
        {"host": {"not_in": "$rivals"}},
        {"properties": "pro"},
        {"properties": {"contains": "pro"}},
        {"any": [{"zero": 1}, {"yes": False}]},
        {"all": [{"zero": 0}, {"yes": False}]},
        {"not": {"zero": 0}},
        {"zero": 0, "yes": False},
        {"duration_seconds": {"gte": 40, "lt": 40}},
    ],
    ids=str,
)
def test_a_condition_does_not_hold(where: Json) -> None:
    assert not check(where)


def test_an_age_is_compared_with_a_duration() -> None:
    assert check({"age": {"gte": "2d", "lt": "49h"}}, {"age": 172_800_000})
    assert not check({"age": {"gt": "2d"}}, {"age": 172_800_000})


@pytest.mark.parametrize(
    ("text", "found"),
    [("VP, R&D", ["vp", "r", "d"]), ("Straße", ["strasse"]), ("a_b-c", ["a_b", "c"]), ("", [])],
)
def test_words_are_runs_of_word_characters(text: str, found: list[Any]) -> None:
    assert words(text) == found


def test_combining_marks_are_not_normalised() -> None:
    assert not check({"x": "é"}, {"x": "e\u0301"})
