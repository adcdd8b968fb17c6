"""Events in files as commands take them: one JSON object a line, in any order. What is unusable is told and counted.

What an event is stands in `mqlstream.ingest`; what is done with it belongs to the commands.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from errno import ENOENT
from os import strerror
from pathlib import Path
from typing import BinaryIO

import click

from mqlstream.cli.sorting import Line
from mqlstream.core.event import Event
from mqlstream.core.outcome import Outcome
from mqlstream.errors import UsageError
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import Anonymous, IngestOptions, Rejected

_LONG = 5_000_000  # bytes of input from which on a progress bar is worth its place


def check_there(names: tuple[str, ...]) -> None:
    """Before the first event is scored, for a name may be mistyped at the end of a long list. Pipes must not be opened twice."""
    for name in names:
        if name != "-" and not Path(name).exists():
            raise UsageError(f"{name}: {strerror(ENOENT)}, expected a file of events, one JSON object a line")


@contextmanager
def progress(names: tuple[str, ...], times: int, label: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Takes how many bytes have been gone through, ``times`` each in all, and draws a bar on stderr when that is a terminal.

    Not for short input, nor for input of unknown length, nor when output events (not ``quiet``) come out on the same terminal.
    """
    regular = all(Path(name).is_file() for name in names)  # a pipe and "-" are none
    size = sum(Path(name).stat().st_size for name in names) if regular else 0
    with progress_over(size, times, label, quiet=quiet) as passed:
        yield passed


@contextmanager
def progress_over(size: int, times: int, label: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """As `progress`, for ``size`` bytes that are elsewhere."""
    if size < _LONG or not sys.stderr.isatty() or (sys.stdout.isatty() and not quiet):
        yield lambda _: None
        return
    with click.progressbar(length=size * times, label=label, file=sys.stderr, update_min_steps=size * times // 200) as bar:
        yield bar.update


def opened(name: str, stack: ExitStack) -> BinaryIO:
    """The file to read, closed with the stack. Raises `UsageError`."""
    if name == "-":
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}, expected a file of events, one JSON object a line") from None


def accepted(
    files: Iterator[tuple[str, BinaryIO]], count: Callable[[str, Outcome], None], options: IngestOptions, passed: Callable[[int], None]
) -> Iterator[Line]:
    """The events of all files, those of visitors too; what is unusable is told on stderr and counted, by kind and outcome."""
    for name, lines in files:
        label = "<stdin>" if name == "-" else name
        for number, raw in enumerate(lines, 1):
            passed(len(raw))
            if not raw.strip():
                continue
            result = canonical(raw, options=options)
            if isinstance(result, Event | Anonymous):
                yield Line(result if isinstance(result, Event) else result.event, raw, f"{label}:{number}")
                continue
            count(result.kind, result.outcome)
            if isinstance(result, Rejected):
                click.echo(f"{label}:{number}: {result.reason.value}: {result.detail}", err=True)


def tell_outcomes(counted: Mapping[tuple[str, str], int]) -> int:
    """Tell on stderr what became of every event, given by (kind, outcome); 1 when any was unusable."""
    outcomes: dict[str, int] = {}
    for (_, outcome), count in counted.items():
        outcomes[outcome] = outcomes.get(outcome, 0) + count
    parts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items(), key=lambda item: (-item[1], item[0])))
    click.echo(f"{sum(outcomes.values())} events: {parts or 'none'}", err=True)
    return 1 if any(outcome.startswith("rejected") for outcome in outcomes) else 0
