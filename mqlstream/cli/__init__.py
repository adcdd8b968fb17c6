"""The command line: the list of commands, and how an error becomes one line and an exit code.

A command lives in a module of its own name, as `command`, and is imported only when it is asked for, so that
``mqlstream --help`` and each command pay for nothing they don't use. What a command does lives elsewhere.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from mqlstream import __version__
from mqlstream.errors import MqlstreamError

# Name of the command and of its module -> the line that `mqlstream --help` shows.
COMMANDS = {
    "demo": "See it work: an embedded broker, simulated buyers, workers and a sales subscriber.",
    "run": "Run a worker on a Kafka cluster.",
    "score": "Score a file of events offline, without a broker.",
    "backtest": "Compare a changed definition with the one in force, over past events.",
    "lint": "Check definitions and report all findings.",
    "test": "Run the tests inside definitions.",
    "adapters": "Show which sources can be read, and what their payloads become.",
    "dlq": "Look at the records that could not be used, and give them back to their topics.",
    "topics": "Compare the declared topics with the cluster's, and create them.",
    "definitions": "Publish definitions to a running installation, list and compare them.",
    "subscribe": "Receive handoffs: print them, or pass each to a program or a webhook.",
    "lead": "Show a lead, explain its score, correct, merge and erase it.",
    "feedback": "Tell what sales made of a lead.",
    "insights": "Show the funnel, what became of each rule's MQLs, and how fast sales answers.",
    "doctor": "Check settings, definitions, broker, rights, topics, clocks and workers; change nothing.",
    "config": "Show the effective settings and where each came from.",
}

INTERRUPTED = 130  # 128 + SIGINT, as shells count
BROKEN_PIPE = 141  # 128 + SIGPIPE: the reader of our output went away (`| head`)
_STDOUT_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CommandLine(click.Group):
    """A group whose commands are imported on demand and whose errors are one line each."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"mqlstream.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"mqlstream.cli.{cmd_name}.command is no click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _to_stdout():  # where --help and --version are printed
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _to_stdout():
            return super().invoke(ctx)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> Any:
        """Run the command line and exit: 0 done, 1 a check found something, 2 wrong usage, 3 unreachable."""
        extra["standalone_mode"] = False
        try:
            status = super().main(args, prog_name or "mqlstream", **extra)
        except MqlstreamError as error:
            fail(str(error), error.exit_code)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.filename is None:
                raise
            fail(f"{error.filename}: {error.strerror}", 2)
        sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _to_stdout() -> Iterator[None]:
    """Whoever reads our output may go away, and the disk it is written to may be full: neither is a defect."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _leave_stdout()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        if error.errno not in _STDOUT_FULL or error.filename is not None:
            raise
        _leave_stdout()
        fail(f"cannot write the output: {error.strerror}", 1)


def _leave_stdout() -> None:
    """The interpreter flushes stdout once more at exit; give it something that takes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(message: str, exit_code: int) -> None:
    """Print one line to stderr and exit."""
    click.echo(f"Error: {message}", err=True)
    sys.exit(exit_code)


@click.group(cls=CommandLine, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mqlstream", message="%(prog)s %(version)s")
def main() -> None:
    """Kafka-native lead scoring: raw buyer events in, explained MQLs out, exactly once.

    \b
    Example:
      mqlstream demo
    """
