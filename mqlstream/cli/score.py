"""`mqlstream score`: events from files through the production step, without a broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import orjson

from mqlstream.cli.lines import accepted, check_there, opened, progress, tell_outcomes
from mqlstream.cli.output import FORMATS, emit
from mqlstream.cli.sorting import Line, in_order
from mqlstream.cli.telling import tell
from mqlstream.config import load as load_settings
from mqlstream.core.event import Event
from mqlstream.core.outputs import Output
from mqlstream.definition import load
from mqlstream.errors import CheckFailed, UsageError
from mqlstream.ingest.fields import Refused, text_ms
from mqlstream.ingest.identity import normalise_email
from mqlstream.ingest.linking import Visitors
from mqlstream.offline import Replay
from mqlstream.program import ingest_options, machine_rules, program_of, visitor_limits

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--definition", "definitions", multiple=True, required=True, type=_PATH, help="Definition file; may be repeated.")
@click.option("--leads", is_flag=True, help="Print one object per lead instead of the output events.")
@click.option("--as-of", "as_of", help="Only events up to this time: epoch ms or RFC 3339. Default: the latest in the input.")
@click.option("--explain", "explained", metavar="LEAD", help="Print one lead's score, with all that makes it up.")
@click.option("--presorted", is_flag=True, help="Stream the input, which is in order already; fails where it is not.")
@click.option("--config", "config_file", type=_PATH, help="Settings file: form fields that are attributes, email lists.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Default: jsonl; with --explain table.")
@click.argument("files", metavar="EVENTS.jsonl...", nargs=-1, required=True)
def command(
    definitions: tuple[Path, ...],
    leads: bool,
    as_of: str | None,
    explained: str | None,
    presorted: bool,
    config_file: Path | None,
    format_: str | None,
    files: tuple[str, ...],
) -> int:
    """Score canonical events offline, one JSON object a line (`-` is stdin). They are put in order first, and events of a visitor
    wait for the one that tells whose they are.

    Prints the output events as JSON lines; unusable lines go to stderr as FILE:LINE: reason, and make exit 1.

    \b
    Examples:
      mqlstream score --definition config/b2b-default.yaml events.jsonl
      mqlstream score --definition config/b2b-default.yaml events.jsonl --leads --as-of 2026-11-01T00:00:00Z
      mqlstream score --definition config/b2b-default.yaml events.jsonl --explain ann@acme.example
    """
    until = _moment(as_of)
    settings = load_settings(config_file, {})
    options = ingest_options(settings)
    program = program_of(_distinct([load(path, warn=lambda finding: click.echo(str(finding), err=True)) for path in definitions]), settings)
    replay = Replay(program, machine_rules(settings), bounded=presorted)
    check_there(files)
    with ExitStack() as stack:
        # Sorted input is gone through twice: read, then applied.
        passed = stack.enter_context(progress(files, 1 if presorted else 2, "Scoring", quiet=leads or explained is not None))
        lines = accepted(((name, opened(name, stack)) for name in files), replay.count, options, passed)
        visitors = Visitors(replay.count, visitor_limits(settings))
        outputs = _applied(_checked(lines) if presorted else in_order(lines, passed), visitors, replay, until)
        if leads or explained is not None:
            for _ in outputs:
                pass
            rows: Iterable[dict[str, Any]] = _explained(replay, explained, until) if explained is not None else replay.leads(until)
        else:
            rows = outputs
        _print(rows, explained, format_)
    return tell_outcomes(replay.outcomes)


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return text_ms("--as-of", text)
    except Refused as error:
        raise UsageError(error.detail) from None


def _distinct(definitions: list[Any]) -> list[Any]:
    seen: set[str] = set()
    for definition in definitions:
        if definition.id in seen:
            raise UsageError(f"--definition: got two definitions named {definition.id!r}, expected each name once")
        seen.add(definition.id)
    return definitions


def _checked(lines: Iterator[Line]) -> Iterator[Line]:
    before: Line | None = None
    for line in lines:
        if before is not None and line.comes_before(before):
            raise CheckFailed(
                f"{line.place}: out of order: {_told(line.event)} comes after {_told(before.event)} ({before.place}); "
                "expected events by time, source, id, canonical JSON. Leave --presorted out to have them sorted"
            )
        yield line
        before = line


def _told(event: Event) -> str:
    return f"time {event.time}, source {event.source}, id {event.id}"


def _applied(lines: Iterator[Line], visitors: Visitors, replay: Replay, until: int | None) -> Iterator[Output]:
    for line in lines:
        if until is None or line.event.time <= until:
            for event in visitors.take(line.event):
                yield from replay.apply(event)
        else:
            replay.outcomes[line.event.kind, "after --as-of"] += 1
    visitors.finish()
    yield from replay.advance(replay.latest if until is None else until)


def _explained(replay: Replay, name: str, until: int | None) -> list[dict[str, Any]]:
    """The rows of one lead, which may be named by its address in any spelling."""
    found = list(replay.leads(until, only=name)) or list(replay.leads(until, only=normalise_email(name) or name))
    if not found:
        raise CheckFailed(f"--explain: no accepted event of lead {name!r}; expected a lead id as in the events (or its email)")
    return found


def _print(rows: Iterable[dict[str, Any]], explained: str | None, format_: str | None) -> None:
    if explained is not None and format_ in (None, "table"):
        for row in rows:
            tell(row)
    elif format_ in (None, "jsonl"):
        for row in rows:
            click.echo(orjson.dumps(row))
    else:
        emit(list(rows), format_, ())
