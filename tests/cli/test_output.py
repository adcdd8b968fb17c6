"""How rows are printed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mqlstream.cli.output import emit

ROWS: list[dict[str, Any]] = [{"name": "a", "size_ms": 1, "note": "two\nlines"}, {"name": "longer", "size_ms": None, "tags": ["x"]}]


def test_a_table_is_aligned_and_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "table")
    assert capsys.readouterr().out.splitlines() == [
        "NAME    SIZE MS  NOTE       TAGS",
        "a       1        two lines  -",
        'longer  -        -          ["x"]',
    ]


def test_a_table_shows_the_columns_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "table", columns=("name",))
    assert capsys.readouterr().out == "NAME\na\nlonger\n"


def test_no_rows_are_an_empty_table_and_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    emit([], "table")
    emit([], "jsonl")
    assert capsys.readouterr().out == ""
    emit([], "json")
    assert json.loads(capsys.readouterr().out) == []


def test_json_is_one_array_and_jsonl_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    emit(ROWS, "json", columns=("name",))
    assert json.loads(capsys.readouterr().out) == ROWS
    emit(ROWS, "jsonl")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS
