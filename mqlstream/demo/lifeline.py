"""Children that cannot outlive their parent, whatever happens to it: each holds the other end of a pipe as its stdin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from mqlstream.config.fields import PREFIX

STOP_SECONDS = 30.0


def start_child(
    module: str, *arguments: str, environ: Mapping[str, str] | None = None, stderr: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``python -m module arguments...``, with its stdout as a pipe; the module must call `end_with_parent`.

    The child is a session of its own, so that Ctrl-C in a terminal reaches only the parent, which decides. Of the settings of an
    installation, which may stand in our own environment, it gets none.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**inherited, **(environ or {})},
        start_new_session=True,
    )


def end_with_parent() -> None:
    """In the child: a SIGTERM to oneself when stdin ends, as it does when the parent stops us or is gone."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def stop_children(children: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Let all children drain at the same time, kill those that don't, and return their exit codes."""
    for child in children:
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
    for child in children:
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return [child.returncode for child in children]
