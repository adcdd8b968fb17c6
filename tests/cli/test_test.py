"""`mqlstream test`: what it prints of tests that pass and fail, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

HEAD = """\
definition: a
version: 1
rules: [{id: demo, on: form_fill, points: 40}]
qualify: {threshold: {total: 40}}
"""
PASSING = """\
tests:
  - name: a form makes an MQL
    start: 2026-11-02T09:00:00Z
    events: [{at: 1h, form_fill: {form: demo}}]
    expect: [{at: 59m, stage: lead}, {at: 1h, total: 40, stage: mql}]
"""
FAILING = """\
  - name: a form is worth 50
    start: 2026-11-02T09:00:00Z
    events: [{at: 1h, form_fill: {form: demo}}]
    expect: [{at: 1h, total: 50}]
"""
TOLD = """\
ok  a.yaml:6  a form makes an MQL
FAILED  a.yaml:10  a form is worth 50
  at 1h: total: got 40.00, expected 50.00
      stage mql, cycle 1, total 40.00, engagement 40.00, fit 0.00
             1h  form_fill form=demo  +40.00 demo
                 -> became_mql, cycle 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Names in the output are as they were given: the command runs in the files' folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_tests_that_pass_are_exit_0(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD + PASSING)
    done = mqlstream("test", "a.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok  a.yaml:6  a form makes an MQL\n", "1 test passed\n")


def test_a_test_that_fails_is_exit_1_and_tells_why(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD + PASSING + FAILING)
    done = mqlstream("test", "a.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (1, TOLD, "Error: 1 of 2 tests failed\n")


def test_several_files_are_tested_together(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD + PASSING)
    (folder / "b.yaml").write_text(HEAD + "tests:\n" + FAILING)
    done = mqlstream("test", "a.yaml", "b.yaml")
    assert done.returncode == 1
    assert [line.split()[:2] for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        ["ok", "a.yaml:6"],
        ["FAILED", "b.yaml:6"],
    ]


def test_the_results_are_data_in_json(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD + PASSING + FAILING)
    done = mqlstream("test", "--format", "json", "a.yaml")
    assert done.returncode == 1
    passed, failed = json.loads(done.stdout)
    assert passed == {"file": "a.yaml", "passed": True, "name": "a form makes an MQL", "line": 6, "failures": []}
    assert (failed["passed"], failed["line"]) == (False, 10)
    assert failed["failures"][0].splitlines()[0] == "at 1h: total: got 40.00, expected 50.00"


def test_a_file_without_tests_says_so(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD)
    done = mqlstream("test", "a.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "a.yaml: has no tests\n0 tests passed\n")


def test_warnings_go_to_stderr_and_change_nothing(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD.replace("total: 40", "total: 40, fit: 5") + "tests:\n" + PASSING.partition("\n")[2])
    done = mqlstream("test", "a.yaml")
    assert done.returncode == 1, "with a fit that nobody has there is no MQL"
    assert done.stderr.splitlines()[0] == "a.yaml:4:39 unreachable fit: no lead can reach 5, the most is 0"


def test_a_missing_file_is_exit_2(mqlstream: Run, folder: Path) -> None:
    done = mqlstream("test", "a.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "Error: there is no file a.yaml, expected a definition\n")


def test_a_definition_with_errors_is_exit_2_with_all_of_them(mqlstream: Run, folder: Path) -> None:
    (folder / "a.yaml").write_text(HEAD + "tests:\n  - {name: a, start: now, expect: [{at: 1h, totl: 5}]}\n")
    done = mqlstream("test", "a.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        'Error: a.yaml:6:22 wrong-type start: got the text "now", expected a time like 2026-11-02T09:00:00Z',
        'a.yaml:6:45 unknown-key an entry of expect has no key "totl"; did you mean total?',
    ]


def test_no_file_is_wrong_usage(mqlstream: Run) -> None:
    done = mqlstream("test")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "Error: Missing argument 'FILE...'."
