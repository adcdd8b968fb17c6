"""The Faust shell: how a worker ends, seen from outside the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HOSTED = Path(__file__).with_name("hosted.py")


@contextmanager
def hosted(behaviour: str, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(HOSTED), behaviour, *options],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_roles_finish_and_exits_0(number: signal.Signals) -> None:
    with hosted("drain") as process:
        process.send_signal(number)
        assert process.communicate(timeout=20) == ("drained\n", "")
        assert process.returncode == 0


@pytest.mark.parametrize("behaviour", ["never drain", "block the loop"])
def test_a_role_that_does_not_drain_is_ended_in_bounded_time(behaviour: str) -> None:
    with hosted(behaviour) as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "Error: the worker did not drain within 1 s and was ended\n")
        assert process.returncode == 1


def test_a_second_signal_ends_the_process_at_once() -> None:
    with hosted("block the loop") as process:
        process.send_signal(signal.SIGTERM)
        # Until the first one is seen, a second would be merged with it.
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.returncode == 128 + signal.SIGTERM


def test_a_crash_of_a_role_ends_the_worker_with_a_traceback_and_1() -> None:
    with hosted("crash") as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "the worker ends because of a failure" in errors
        assert "ZeroDivisionError: a defect" in errors


def test_a_role_that_ends_by_itself_is_a_crash() -> None:
    with hosted("end") as process:
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "RuntimeError: role steps ended by itself" in errors


def test_an_error_made_for_users_is_one_line_with_its_exit_code() -> None:
    with hosted("unreachable") as process:
        assert process.communicate(timeout=20) == ("", "Error: broker example:9092 does not answer\n")
        assert process.returncode == 3


def test_neither_our_options_nor_a_cluster_s_variables_reach_faust() -> None:
    # -L and --datadir are Faust's own options; Kubernetes sets WEB_PORT so when there is a service named web.
    with hosted("drain", "-L", "nonsense", "--datadir", "/nowhere", WEB_PORT="tcp://10.0.0.1:80", BROKER_URL="nonsense://") as process:
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("drained\n", "")
        assert process.returncode == 0
