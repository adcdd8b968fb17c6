"""The Makefile on machines that lack something: one clear line instead of a puzzle."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("sh", "awk", "make")


def make(folder: Path, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    environment = {"PATH": path, "HOME": str(folder)}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A PATH with next to nothing on it, and certainly no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (folder / tool).symlink_to(found)
    return str(folder)


def test_without_python_make_says_what_it_needs(tmp_path: Path, bare: str):
    run = make(tmp_path, bare, "test")
    assert run.returncode == 2
    assert run.stderr.splitlines()[0] == ("make: no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.12")


def test_a_python_that_is_too_old_is_passed_over(tmp_path: Path, bare: str):
    for name, status in (("python3", 1), ("python3.12", 0)):
        script = Path(bare) / name
        # Says whether it is new enough; asked for anything else, it tells that it was chosen.
        script.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit {status}\necho "{name} was chosen" >&2\nexit 7\n')
        script.chmod(0o755)
    run = make(tmp_path, bare, "test")
    assert run.returncode == 2
    assert "python3.12 was chosen" in run.stderr
    assert "python3 was chosen" not in run.stderr


def test_a_python_that_cannot_make_environments_is_told(tmp_path: Path, bare: str):
    script = Path(bare) / "python3"
    script.write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    script.chmod(0o755)
    run = make(tmp_path, bare, "test")
    assert run.returncode == 2
    assert "make: python3 cannot make virtual environments; on Debian: apt-get install python3-venv" in run.stderr.splitlines()


def test_help_names_every_target():
    run = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]})
    phony = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")).split()[1:]
    assert [line.split()[1] for line in run.stdout.splitlines()] == phony


def test_a_core_that_there_is_none_of_is_told(tmp_path: Path, bare: str):
    run = make(tmp_path, bare, "test", "CORE=rust")
    assert run.returncode == 2
    assert "CORE=rust: expected python or native" in run.stderr
