"""The ways in: load, lint and the command; their errors are one clear line each."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from mqlstream.cli import main
from mqlstream.definition import DefinitionError, load, parse_text
from mqlstream.definition.lint import lint
from mqlstream.errors import UsageError

CONFIG = Path(__file__).parents[2] / "config"
SOUND = "definition: a\nversion: 1\nrules: [{id: r, on: form_fill, points: 5}]\nqualify: {threshold: {total: 5}}\n"
DOUBTFUL = SOUND + "review_by: 2020-01-01\n"
WRONG = SOUND + "rule: []\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.yaml"


def test_load_gives_the_definition_and_tells_its_warnings(file: Path) -> None:
    file.write_text(DOUBTFUL)
    told: list[str] = []
    definition = load(file, warn=lambda one: told.append(one.code), today=date(2026, 11, 1))
    assert (definition.id, definition.version) == ("a", 1)
    assert told == ["review-passed"]


def test_load_raises_with_all_findings(file: Path) -> None:
    file.write_text(WRONG + "versions: 1\n")
    with pytest.raises(DefinitionError) as caught:
        load(file)
    assert str(caught.value).splitlines() == [
        f'{file}:5:1 unknown-key a definition has no key "rule"; did you mean rules?',
        f'{file}:6:1 unknown-key a definition has no key "versions"; did you mean version?',
    ]
    assert [one.code for one in caught.value.findings] == ["unknown-key", "unknown-key"]
    assert caught.value.exit_code == 2


def test_a_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "missing.yaml")
    assert str(caught.value) == f"there is no file {tmp_path}/missing.yaml, expected a definition"
    with pytest.raises(UsageError) as caught:
        load(tmp_path)
    assert str(caught.value) == f"{tmp_path} is a folder, expected a definition file"


def test_a_file_of_another_encoding_and_one_too_large_are_findings(file: Path) -> None:
    file.write_bytes(b"definition: \xe9\n")
    assert [str(one) for one in lint(file)] == [f"{file}:1:13 encoding got the byte 0xe9, expected UTF-8 text"]
    file.write_bytes(b"#" * (1 << 21))
    assert [one.code for one in lint(file)] == ["too-large"]


def test_of_two_files_of_one_definition_the_later_must_have_risen(tmp_path: Path) -> None:
    old, same, changed, risen = (tmp_path / name for name in ("old.yaml", "same.yaml", "changed.yaml", "risen.yaml"))
    old.write_text(SOUND)
    same.write_text("# the same\n" + SOUND)
    changed.write_text(SOUND + "horizon: 30d\n")
    risen.write_text(SOUND.replace("version: 1", "version: 2") + "horizon: 30d\n")
    assert lint(old, same) == []
    assert [str(one) for one in lint(old, changed)] == [
        f"{changed}:2:10 version-not-risen version: got 1, but version 1 of a has another content; expected at least 2"
    ]
    assert lint(old, risen) == []


@pytest.mark.parametrize("name", ["b2b-default.yaml", "account-engagement-defaults.yaml"])
def test_the_definitions_we_ship_have_no_findings(name: str) -> None:
    assert lint(CONFIG / name, today=date(2026, 11, 1)) == []


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["lint", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_sound_file_leaves_the_output_empty(file: Path) -> None:
    file.write_text(SOUND)
    assert run(str(file)) == (0, "", "1 file checked: no errors, 0 warnings\n")


def test_errors_go_to_the_output_and_make_exit_1(file: Path) -> None:
    file.write_text(WRONG)
    code, out, err = run(str(file))
    assert (code, out) == (1, f'{file}:5:1 unknown-key a definition has no key "rule"; did you mean rules?\n')
    assert err == "Error: 1 error, 0 warnings in 1 file\n"


def test_warnings_go_to_stderr_and_count_only_when_strict(file: Path) -> None:
    file.write_text(DOUBTFUL)
    warning = f"{file}:5:12 review-passed review_by: 2020-01-01 has passed; review it and set the next day\n"
    assert run(str(file)) == (0, "", warning + "1 file checked: no errors, 1 warning\n")
    assert run("--strict", str(file)) == (1, "", warning + "Error: 0 errors, 1 warning in 1 file\n")


def test_all_findings_are_data_in_json(file: Path) -> None:
    file.write_text(DOUBTFUL)
    code, out, _ = run("--format", "json", str(file))
    assert code == 0
    assert json.loads(out) == [
        {
            "file": str(file),
            "line": 5,
            "column": 12,
            "severity": "warning",
            "code": "review-passed",
            "message": "review_by: 2020-01-01 has passed",
            "hint": "review it and set the next day",
        }
    ]
    assert json.loads(run("--format", "jsonl", str(file))[1])["line"] == 5


def test_a_missing_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    assert run(str(tmp_path / "a.yaml")) == (2, "", f"Error: there is no file {tmp_path}/a.yaml, expected a definition\n")


HEAD = "definition: a\nversion: 1\n"


def cases_of_many_alternatives() -> str:
    pairs = ", ".join(f"{{x: v{n}, y: w{n}}}" for n in range(30))
    cases = ", ".join(f"{{where: {{any: [{pairs}]}}, points: {n}}}" for n in range(200))
    return f"fit: [{{id: f, one_of: [{cases}]}}]\n"


def many_sets() -> str:
    rules = (f"{{id: r{n}, on: email_click, where: {{campaign: {{ne: t{n}}}}}, set: {{engagement: {n}}}}}" for n in range(1000))
    return "rules:\n" + "".join(f"  - {rule}\n" for rule in rules)


def many_names_like_others() -> str:
    groups = "".join(f"  {'g' * 40}x{n}: {{dimension: fit}}\n" for n in range(200))
    rules = "".join(f"  - {{id: r{n}, on: form_fill, points: 1, group: {'g' * 41}{n}}}\n" for n in range(1000))
    return f"groups:\n{groups}rules:\n{rules}"


def many_uses_of_a_long_list() -> str:
    members = ", ".join(f"m{n}" for n in range(20_000))
    fit = "".join(f"  - {{id: f{n}, where: {{a: {{in: $l, not_in: $l}}}}, points: 1}}\n" for n in range(1000))
    return f"lists: {{l: [{members}]}}\nfit:\n{fit}"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (cases_of_many_alternatives(), {"shadowed", "never-qualifies"}),
        (many_sets(), {"never-qualifies"}),
        (many_names_like_others(), {"unknown-name", "too-many-findings"}),
        (many_uses_of_a_long_list(), {"never-qualifies"}),
    ],
)
def test_a_hostile_file_takes_bounded_work(text: str, codes: set[str]) -> None:
    _, findings = parse_text(HEAD + text, "f", not_yet=frozenset())
    assert {one.code for one in findings} == codes
    # Without the bounds each of these takes minutes; this one is where they show.
    assert sum("did you mean" in one.hint for one in findings) <= 50
