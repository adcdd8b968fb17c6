"""The command line as a process, as users start it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from mqlstream.cli import main

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def mqlstream() -> Run:
    """Run the command line with these arguments; keyword arguments are environment variables."""

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MQLSTREAM_")}
        return subprocess.run(
            [sys.executable, "-m", "mqlstream", *arguments],
            input=stdin,
            env={**environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def run_here(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command line in this process, which is many times faster than one of its own."""
    done = CliRunner().invoke(main, arguments, input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)
