"""The guide is followed step by step, in one folder; the reference page is what the language describes itself to be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mqlstream.cases import run_cases
from mqlstream.definition.fields import CONSTRUCTS
from mqlstream.definition.findings import ERROR, Report
from mqlstream.definition.parse import parse_file, parse_text
from mqlstream.definition.reference import refreshed, table, tables_in
from mqlstream.definition.source import plain, read
from tests.definition.golden import cases
from tests.definition.test_examples import FILES
from tests.docs.generate import DOCS, REFERENCE, SCHEMA, generated
from tests.docs.readme import Block, blocks, commands

GUIDE = DOCS / "definition-guide.md"
HEAD = "definition: example\nversion: 1\n"
# Short examples qualify nobody and use only part of what they show.
ASIDE = {"never-qualifies", "unreachable", "unused"}


def shell(text: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MQLSTREAM_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    run = subprocess.run(["/bin/sh", "-c", text], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return run.stdout.decode()


def test_following_the_guide_gives_what_it_shows(tmp_path: Path) -> None:
    shown = {command.line: command for command in commands(GUIDE)}
    ran = 0
    for block in blocks(GUIDE):
        if block.file:
            path = tmp_path / block.file
            path.write_text((path.read_text() if path.exists() else "") + block.text)
            if block.language == "yaml":
                _, findings = parse_file(path)
                assert [str(one) for one in findings if one.severity == ERROR] == []
        if block.language == "console":
            for line in range(block.line, block.line + block.text.count("\n")):
                if line in shown:
                    # A terminal shows messages and output as they come; a test's two streams are told apart by nothing else.
                    assert sorted(shell(shown[line].text, tmp_path).splitlines()) == sorted(shown[line].output.splitlines()), line
                    ran += 1
    assert ran == len(shown) >= 5
    definition, findings = parse_file(tmp_path / "mine.yaml")
    assert definition is not None
    assert findings == []
    assert len(definition.tests) == 3
    assert [result.failures for result in run_cases(definition)] == [(), (), ()]


def examples() -> list[Any]:
    return [pytest.param(block, id=f"line {block.line}") for block in blocks(REFERENCE) if block.language == "yaml"]


@pytest.mark.parametrize("block", examples())
def test_an_example_of_the_reference_is_sound_and_its_tests_pass(block: Block) -> None:
    text = block.text if "definition:" in block.text else HEAD + block.text
    definition, findings = parse_text(text, "f")
    assert [str(one) for one in findings if one.code not in ASIDE] == []
    assert definition is not None
    assert [result.failures for result in run_cases(definition) if result.failures] == []
    jsonschema.validate(yaml_of(text), json.loads(SCHEMA.read_text()))


def yaml_of(text: str) -> Any:
    """The content as the language reads it: days and times stay text."""
    tree = read(text, Report("f"))
    assert tree is not None
    return plain(tree)


@pytest.mark.parametrize("path", [REFERENCE, SCHEMA], ids=lambda path: path.name)
def test_what_is_generated_is_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "make docs"


def test_every_construct_has_its_table_once() -> None:
    assert sorted(tables_in(REFERENCE.read_text())) == sorted(CONSTRUCTS)


def test_a_table_has_every_field_with_its_documentation() -> None:
    for construct in CONSTRUCTS.values():
        rows = table(construct).splitlines()
        for field in construct.fields:
            assert any(row.startswith(f"| `{field.name}` |") and field.doc in row and f"`{field.example}`" in row for row in rows)


def test_what_is_not_supported_yet_is_said() -> None:
    page = "<!-- fields of qualify -->\n<!-- end -->\n"
    assert refreshed(page, frozenset()).count("Not supported yet") == 0
    assert "recycles or rejects. *Not supported yet.* |" in refreshed(page, frozenset({"qualify.recycle"}))


def test_every_link_leads_somewhere() -> None:
    headings = {
        page: {
            re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in page.read_text().splitlines() if line[:1] == "#"
        }
        for page in (GUIDE, REFERENCE)
    }
    for page in headings:
        for target, _, heading in (found.partition("#") for found in re.findall(r"\]\(([^)\s]+)\)", page.read_text())):
            path = (DOCS / target).resolve() if target else page
            assert path.exists(), target
            assert not heading or heading in headings[path], f"{page.name}: #{heading}"


def test_every_warning_is_in_the_table_of_findings() -> None:
    warned = {warning.split()[1] for case in cases() for warning in case.values[0].get("warnings", ())}
    listed = set(re.findall(r"`([a-z-]+)`", REFERENCE.read_text().partition("| code | |")[2]))
    assert len(warned) > 10
    assert warned <= listed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_takes_the_definitions_we_ship(path: Path) -> None:
    jsonschema.validate(yaml_of(path.read_text()), json.loads(SCHEMA.read_text()))


def test_the_schema_says_what_is_wrong_with_a_slip() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    wrong = yaml_of(HEAD + "rules: [{id: a, on: form_fil, points: 5}]\n")
    assert [list(error.absolute_path) for error in validator.iter_errors(wrong)] == [["rules", 0, "on"]]


def test_the_command_line_prints_the_schema() -> None:
    done = subprocess.run([sys.executable, "-m", "mqlstream", "lint", "--print-schema"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, SCHEMA.read_text(), "")
