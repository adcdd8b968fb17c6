"""Reads the Dockerfile, and carries out its build stage in an empty folder: for machines without a container engine.

`python -m tests.deploy.dockerfile` copies what the build stage copies, runs what it runs, and asks the installed program
for its version, a lint of the example and an export of the topics that it must have brought along. What stands in for
the image's base is the running Python.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Stage:
    """One build stage: its base image, its name ("" for the last, usually) and its instructions in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str | None:
        """The arguments of the last such instruction, which is the one in force."""
        return next((text for word, text in reversed(self.steps) if word == instruction), None)


def read(path: Path = ROOT / "Dockerfile") -> list[Stage]:
    """The stages of a Dockerfile; comments are dropped, continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        instruction, _, text = line.strip().partition(" ")
        if instruction == "FROM":
            base, _, name = text.partition(" AS ")
            stages.append(Stage(base, name))
        elif instruction and stages:
            stages[-1].steps.append((instruction, text.strip()))
    return stages


def copied(stage: Stage) -> list[tuple[list[str], str]]:
    """The (sources, destination) of each COPY from the build's context."""
    pairs = [shlex.split(text) for word, text in stage.steps if word == "COPY" and not text.startswith("--")]
    return [(words[:-1], words[-1]) for words in pairs]


def build(stage: Stage, folder: Path) -> Path:
    """Carry out a build stage under ``folder``; the prefix it installs to, there."""
    source, prefix = folder / "src", folder / "prefix"
    source.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {"PREFIX": str(prefix), "PATH": f"{_base_python().parent}{os.pathsep}{os.environ['PATH']}"}
    for instruction, text in stage.steps:
        if instruction == "COPY":
            words = shlex.split(text)
            for name in words[:-1]:
                _copy(ROOT / name, source, words[-1])
        elif instruction == "RUN":
            print(f"RUN {text}", flush=True)
            subprocess.run(text, shell=True, cwd=source, env=environment, check=True)
    return prefix


def _base_python() -> Path:
    # A virtual environment's interpreter makes environments that depend on it; the image's base has none.
    return Path(getattr(sys, "_base_executable", sys.executable))


def _copy(origin: Path, folder: Path, destination: str) -> None:
    target = folder / destination
    if origin.is_dir():
        shutil.copytree(origin, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return
    if destination.endswith("/"):
        target.mkdir(parents=True, exist_ok=True)
    shutil.copy2(origin, target)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mqlstream-image-") as name:
        folder = Path(name)
        prefix = build(read()[0], folder)
        assert list(prefix.glob("lib/python*/site-packages/mqlstream/core/step.*.so")), "the core is not native"
        environment = {"PATH": f"{prefix / 'bin'}{os.pathsep}{os.defpath}"}
        example = next(prefix.glob("lib/python*/site-packages/mqlstream/_data/config/b2b-default.yaml"))
        for arguments in (["--version"], ["lint", str(example)], ["topics", "export", "--as", "script"]):
            print("RUN mqlstream", *arguments, flush=True)
            output = subprocess.run([prefix / "bin/mqlstream", *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE)
            print(output.stdout.decode()[:200], flush=True)
    print("The Dockerfile's build steps were carried out; no image was made.")


if __name__ == "__main__":
    main()
