"""The shape of the code that no linter knows: sizes, docstrings, what an import costs, and that the locks lock."""

from __future__ import annotations

import ast
import gc
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "mqlstream").rglob("*.py"))
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")
MODULE_LINES = 400
FUNCTION_LINES = 60


def name_of(requirement: str) -> str:
    matched = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert matched is not None, requirement
    return re.sub(r"[-_.]+", "-", matched[0]).lower()


def imported_by(statement: str) -> set[str]:
    """The top-level modules, and our own, that are loaded after a statement in a fresh interpreter."""
    program = f"import sys\n{statement}\nprint(*{{m if m.startswith('mqlstream') else m.partition('.')[0] for m in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


def parsed(text: str) -> ast.Module:
    """The tree of a source, made while no garbage is collected: what is logged then may parse source for its traceback, and
    Python 3.11 takes one parsing in the middle of another for an error."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_of_a_size_to_read(path: Path):
    text = path.read_text()
    assert text.count("\n") <= MODULE_LINES
    tree = parsed(text)
    assert not text.strip() or ast.get_docstring(tree), "a module says what lives here"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES, node.name


def test_importing_the_package_does_nothing():
    assert {module for module in imported_by("import mqlstream") if module.startswith("mqlstream")} == {"mqlstream"}


def test_help_pays_for_no_command():
    loaded = imported_by("import mqlstream.cli")
    assert loaded.isdisjoint({"aiohttp", "aiokafka", "asyncio", "confluent_kafka", "faust", "yaml"})


def test_a_subscriber_takes_nothing_along_but_the_contract():
    own = {module for module in imported_by("import mqlstream.subscriber.client") if module.startswith("mqlstream.")}
    assert own <= {
        "mqlstream.errors",
        "mqlstream.handoff",
        "mqlstream.handoff.contract",
        "mqlstream.subscriber",
        "mqlstream.subscriber.client",
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_has_its_hashes_and_no_address(lock: str):
    entries = [entry for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text()) if not entry.startswith("#")]
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry


def test_every_declared_dependency_is_locked():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    dependencies = project["project"]["dependencies"]
    declared = {
        "requirements.lock": dependencies,
        "requirements-dev.lock": [*dependencies, *project["project"]["optional-dependencies"]["dev"]],
        "requirements-build.lock": project["build-system"]["requires"],
    }
    for lock, requirements in declared.items():
        locked = {name_of(line) for line in (ROOT / lock).read_text().splitlines() if re.match(r"[a-z0-9]", line)}
        assert {name_of(requirement) for requirement in requirements} <= locked, lock


def test_the_locks_agree():
    pins: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE):
            pins.setdefault(name, set()).add(version)
    assert {name: versions for name, versions in pins.items() if len(versions) > 1} == {}
