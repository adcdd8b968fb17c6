"""`mqlstream lead`: one lead, asked of a running worker. The commands to change one are in `mqlstream.cli.commanding`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mqlstream.cli import commanding
from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.cli.reaching import worker_address
from mqlstream.cli.telling import date, plain, tell, tell_life
from mqlstream.config import load
from mqlstream.doors.asking import ask
from mqlstream.errors import UsageError
from mqlstream.ingest.fields import Refused, text_ms

_MERGES_FOLLOWED = 8
_LONG = ("contributions", "clipped", "timeline", "standing", "qualify")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _options(command: _Command) -> _Command:
    """What `show` and `explain` have in common."""
    for option in (
        format_option,
        click.option("--at", metavar="T", help="As it will stand then: epoch ms or RFC 3339. Default: the lead's newest event or timer."),
        click.option("--definition", metavar="ID", help="Only this definition. Default: all in force."),
        click.option("--url", metavar="URL", help="Any worker. Default: the address in the settings, http://127.0.0.1:8080."),
        config_option,
        click.argument("lead"),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Show a lead, explain its score, and correct what is known of it.

    Any worker can be asked: it asks the one that has the lead. What corrects a lead is written to the commands topic, and takes
    effect in the order of the lead's events.

    The token that workers want when they listen beyond their own machine is MQLSTREAM_HTTP_TOKEN, or the file named by
    MQLSTREAM_HTTP_TOKEN_FILE.

    \b
    Examples:
      mqlstream lead show ann@acme.example
      mqlstream lead explain ann@acme.example --definition b2b-saas
      mqlstream lead retract ann@acme.example --source web --id f1 --by sam
    """


for correction in commanding.ALL:
    command.add_command(correction)


@command.command()
@_options
def show(lead: str, config_file: Path | None, url: str | None, definition: str | None, at: str | None, format_: str) -> None:
    """Where a lead stands, under each definition.

    \b
    Example:
      mqlstream lead show ann@acme.example --url http://worker-1:8080 --format json
    """
    told = _ask(lead, config_file, url, definition, at)
    rows = [{name: value for name, value in row.items() if name not in _LONG} for row in told["definitions"]]
    if format_ != "table":
        emit([{**row, "attributes": told["attributes"]} for row in rows], format_)
        return
    shown = [{**row, **row["score"], "as_of": date(row["as_of"])} for row in rows]
    scores = dict.fromkeys(name for row in rows for name in row["score"])
    emit(shown, format_, ("lead_id", "definition", "stage", "cycle", *scores, "grade", "as_of"))


@command.command()
@_options
def explain(lead: str, config_file: Path | None, url: str | None, definition: str | None, at: str | None, format_: str) -> None:
    """A lead's whole life: each event, what each rule made of it, and what is missing to become an MQL.

    \b
    Example:
      mqlstream lead explain ann@acme.example --at 2026-12-24T00:00:00Z
    """
    told = _ask(lead, config_file, url, definition, at)
    if format_ != "table":
        emit([told], format_)
        return
    for row in told["definitions"]:
        tell(row)
        tell_life(row)


def _ask(lead: str, config_file: Path | None, url: str | None, definition: str | None, at: str | None) -> dict[str, Any]:
    settings = load(config_file, os.environ)
    query = {"definition": definition} if definition is not None else {}
    if at is not None:
        try:
            query["at"] = str(text_ms("--at", at))
        except Refused as error:
            raise UsageError(error.detail) from None
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"--url: got {url!r}, expected a worker's address such as http://127.0.0.1:8080")
    if not lead:
        raise UsageError("LEAD: got nothing, expected a lead id")
    worker = url or worker_address(settings)
    told = asyncio.run(ask(worker, lead, query, settings.http_token))
    for _ in range(_MERGES_FOLLOWED):
        into = told["merged_into"]
        if into is None:
            break
        click.echo(f"{plain(lead)} was merged into {plain(into)}", err=True)
        lead, told = into, asyncio.run(ask(worker, into, query, settings.http_token))
    return told
