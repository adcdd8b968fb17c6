"""The command line as a whole: help, exit codes, and errors of one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mqlstream import __version__
from mqlstream.cli import COMMANDS
from tests.cli.conftest import Run

DEFINITION = Path(__file__).parents[2] / "config" / "b2b-default.yaml"


def test_help_lists_every_command_with_what_it_does(mqlstream: Run) -> None:
    done = mqlstream("--help")
    assert done.returncode == 0
    flowing = " ".join(done.stdout.split())
    for name, summary in COMMANDS.items():
        assert f"{name} {summary}" in flowing


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(mqlstream: Run, name: str) -> None:
    done = mqlstream(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"  mqlstream {name}" in done.stdout, "an example that can be copied"
    assert done.stdout.startswith(f"Usage: mqlstream {name} ")


def test_help_imports_neither_a_client_nor_a_command() -> None:
    code = (
        "import sys; sys.argv = ['mqlstream', '--help']\n"
        "from mqlstream.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'faust', 'aiokafka', 'aiohttp', 'msgspec', 'yaml', 'prometheus_client', 'confluent_kafka'}\n"
        "print(sorted(name for name in sys.modules if name in heavy or name.startswith('mqlstream.cli.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "[]\n"


def test_the_version_is_printed(mqlstream: Run) -> None:
    assert mqlstream("--version").stdout == f"mqlstream {__version__}\n"


def test_the_installed_script_is_the_same_program() -> None:
    script = Path(sys.executable).with_name("mqlstream")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"mqlstream {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "last_line"),
    [
        (["bogus"], "Error: No such command 'bogus'."),
        (["run", "--bogus"], "Error: No such option: --bogus"),
        (["demo", "--leads", "0"], "Error: Invalid value for '--leads': got '0', expected a whole number from 1 to 100000"),
        (["demo", "--leads", "x"], "Error: Invalid value for '--leads': got 'x', expected a whole number from 1 to 100000"),
        (["demo", "--seconds", "x"], "Error: Invalid value for '--seconds': got 'x', expected a number from 1 to 86400"),
        (["demo", "--seconds", "nan"], "Error: Invalid value for '--seconds': got 'nan', expected a number from 1 to 86400"),
        (["dlq", "list", "--limit", "0"], "Error: Invalid value for '--limit': got '0', expected a whole number of 1 or more"),
        (["run", "--roles", "ingest,cook"], "Error: --roles: there is no role 'cook', expected some of ingest, score, insights, web"),
        (["run", "--roles", ","], "Error: --roles: got none, expected some of ingest, score, insights, web"),
        (["run"], "Error: MQLSTREAM_DEFINITIONS is not set, expected files or folders of definitions to score with"),
        (["run", "--config", "/no/such/file"], "Error: --config: cannot read /no/such/file: No such file or directory"),
        (["subscribe", "--exec", "x", "--webhook", "http://x"], "Error: --exec and --webhook: got both, expected at most one"),
        (
            ["subscribe", "--attempts", "3"],
            "Error: --attempts and --given-up: got one of them, expected both or none, for no event may get lost",
        ),
        (["subscribe", "--group", ""], "Error: --group: got an empty name, expected the name of a consumer group"),
        (
            ["subscribe", "--exec", "x", "--format", "json"],
            "Error: --format: nothing is printed with --exec or --webhook, expected it without them",
        ),
        (["subscribe", "--webhook", "x"], "Error: --webhook: got 'x', expected a URL that begins with http:// or https://"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_was_expected(mqlstream: Run, arguments: list[str], last_line: str) -> None:
    done = mqlstream(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == last_line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["run"], ["subscribe"], ["topics", "plan"], ["feedback", "ann@acme.example", "accepted"]])
def test_an_unreachable_broker_is_exit_3_and_one_line(mqlstream: Run, command: list[str]) -> None:
    done = mqlstream(*command, MQLSTREAM_BOOTSTRAP_SERVERS="127.0.0.1:1", MQLSTREAM_DEFINITIONS=str(DEFINITION))
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "127.0.0.1:1" in line
    assert "Connect call failed" in line, "why not"


def test_a_wrong_definition_is_exit_2_with_its_place(mqlstream: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("definition: wrong\nversion: 1\nthreshold: 100\n")
    done = mqlstream("run", MQLSTREAM_DEFINITIONS=str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {file}:3:1")
    assert "Traceback" not in done.stderr


def test_a_missing_definition_is_exit_2_and_one_line(mqlstream: Run) -> None:
    done = mqlstream("run", MQLSTREAM_DEFINITIONS="/no/such.yaml")
    assert (done.returncode, done.stderr) == (2, "Error: there is no file /no/such.yaml, expected a definition\n")


def test_an_empty_folder_of_definitions_is_exit_2_and_one_line(mqlstream: Run, tmp_path: Path) -> None:
    done = mqlstream("run", MQLSTREAM_DEFINITIONS=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, f"Error: MQLSTREAM_DEFINITIONS: no definition in folder {tmp_path}, expected *.yaml\n")


def test_one_definition_in_two_files_is_exit_2_and_one_line(mqlstream: Run, tmp_path: Path) -> None:
    text = "definition: twin\nversion: 1\nqualify: {threshold: {total: 1}}\n"
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text)
    done = mqlstream("run", MQLSTREAM_DEFINITIONS=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"Error: {tmp_path}/b.yaml: definition 'twin' stands in another file too, expected each once"


@pytest.mark.parametrize("command", [["config", "show"], ["--help"], ["--version"]])
def test_a_reader_that_goes_away_ends_it_quietly(command: list[str]) -> None:
    process = subprocess.Popen([sys.executable, "-m", "mqlstream", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
@pytest.mark.parametrize("command", [["config", "show"], ["topics", "export", "--as", "script"], ["score", "--help"], ["--help"]])
def test_a_full_disk_below_the_output_is_one_line(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "mqlstream", *command], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "Error: cannot write the output: No space left on device\n")


def test_ctrl_c_is_exit_130_and_no_traceback() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "mqlstream", "demo", "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("Kafka (embedded) on ")
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
