"""`mqlstream lead erase|merge|retract|verdict|reset|freeze|resume`: operators' commands, written to the commands topic.

What a command does to a lead is `mqlstream.core.commands`'; how it is written, `mqlstream.doors.writing`'s.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mqlstream.cli.naming import named
from mqlstream.cli.options import config_option
from mqlstream.cli.output import format_option
from mqlstream.cli.writing import SOURCE, write
from mqlstream.config import load
from mqlstream.doors.writing import COMMAND
from mqlstream.errors import UsageError
from mqlstream.topics import Topics

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _options(command: _Command) -> _Command:
    """What all commands have in common."""
    for option in (
        format_option,
        config_option,
        click.option("--time", "time", metavar="T", help="When it was decided: epoch ms or RFC 3339. Default: now."),
        click.option("--by", metavar="WHO", help="Who asks for it; kept in the lead's audit."),
        click.option("--reason", metavar="TEXT", help="Why; kept in the lead's audit."),
        click.argument("lead"),
    ):
        command = option(command)
    return command


def _event_options(command: _Command) -> _Command:
    """What names an event."""
    for option in (
        click.option("--id", "event_id", required=True, metavar="ID", help="The event's id."),
        click.option("--source", "event_source", required=True, metavar="NAME", help="The event's source, as `lead explain` shows it."),
    ):
        command = option(command)
    return command


@click.command()
@_options
@click.option("--yes", is_flag=True, help="Do not ask. Needed where no terminal is.")
def erase(lead: str, yes: bool, **told: Any) -> None:
    """Forget a lead: its attributes, its events, its links to visitors. Nothing brings it back.

    Subscribers get an `erased` event. A later event of the same person starts a new lead. docs/erasure.md says what is gone when.

    \b
    Example:
      mqlstream lead erase ann@acme.example --by dpo@us.example --reason "asked to be forgotten"
    """
    if not yes and not sys.stdin.isatty():
        raise UsageError("erase: there is no terminal to ask on; expected --yes")
    _write("erase", lead, confirm=not yes, **told)


@click.command()
@_options
@click.option("--into", required=True, metavar="LEAD", help="The lead that goes on.")
def merge(lead: str, into: str, **told: Any) -> None:
    """Give a lead's events to another lead, and all that still comes for it.

    \b
    Example:
      mqlstream lead merge ann@private.example --into ann@acme.example --by sam
    """
    _write("merge", lead, into=into, **told)


@click.command()
@_options
@_event_options
def retract(lead: str, **told: Any) -> None:
    """Take an event back: it counts as if it had never been, also when it is still to come.

    \b
    Example:
      mqlstream lead retract ann@acme.example --source web --id f1 --reason "a test by our own people"
    """
    _write("retract", lead, **told)


@click.command()
@_options
@_event_options
def verdict(lead: str, **told: Any) -> None:
    """Say that an event was a machine's, such as a mail scanner's click.

    \b
    Example:
      mqlstream lead verdict ann@acme.example --source mail --id c7 --by bot-watch
    """
    _write("machine_verdict", lead, **told)


@click.command()
@_options
def reset(lead: str, **told: Any) -> None:
    """Let all of a lead's scores start again from 0.

    \b
    Example:
      mqlstream lead reset ann@acme.example --reason "new role" --by sam
    """
    _write("reset", lead, **told)


@click.command()
@_options
def freeze(lead: str, **told: Any) -> None:
    """Hold a lead's handoffs back; it is still scored.

    \b
    Example:
      mqlstream lead freeze ann@acme.example --reason "held by a partner"
    """
    _write("freeze", lead, **told)


@click.command()
@_options
def resume(lead: str, **told: Any) -> None:
    """Let a lead be handed off again.

    \b
    Example:
      mqlstream lead resume ann@acme.example
    """
    _write("resume", lead, **told)


def _write(
    do: str, lead: str, *, config_file: Path | None, format_: str, into: str | None = None, confirm: bool = False, **told: Any
) -> None:
    settings = load(config_file, os.environ)
    lead = named(lead, settings)
    if into is not None:
        into = _another(lead, named(into, settings))
    if confirm and click.prompt(f"This cannot be undone. Type the lead's id ({lead}) to erase it", err=True) != lead:
        raise UsageError("erase: that is another id; nothing was written")
    given = {"lead_id": lead, "do": do, "source": SOURCE, "into": into, **told}
    write(settings, COMMAND, given, Topics(settings.topic_prefix).commands, format_)


def _another(lead: str, into: str) -> str:
    """Where a lead is merged to. Raises `UsageError` when it is the lead itself."""
    if lead == into:
        raise UsageError(f"--into: got {into!r}, expected another lead than the one that is merged")
    return into


ALL: tuple[click.Command, ...] = (erase, merge, retract, verdict, reset, freeze, resume)
