"""`mqlstream insights`: what became of handoffs, asked of a worker. What is counted, and how, is `mqlstream.app.insights`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.cli.reaching import worker_address
from mqlstream.config import load
from mqlstream.doctor.finding import counted
from mqlstream.errors import UsageError


@click.command("insights")
@config_option
@click.option("--url", metavar="URL", help="A worker with the role insights. Default: the address in the settings, http://127.0.0.1:8080.")
@click.option("--definition", metavar="D", help="Only this definition.")
@click.option("--since", metavar="DAY", help="Handoffs from this day on, such as 2026-11-02 (UTC).")
@click.option("--until", metavar="DAY", help="Handoffs before this day.")
@format_option
def command(config_file: Path | None, url: str | None, definition: str | None, since: str | None, until: str | None, format_: str) -> None:
    """Show the funnel, what became of each rule's MQLs, how fast sales answers, and whether in time.

    \b
    Examples:
      mqlstream insights
      mqlstream insights --url http://worker:8080 --definition b2b-default --since 2026-11-01 --format json
    """
    from mqlstream.doors.insights import ask

    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"--url: got {url!r}, expected a worker's address such as http://127.0.0.1:8080")
    worker = url or worker_address(load(config_file, os.environ))
    asked = {name: value for name, value in (("definition", definition), ("since", since), ("until", until)) if value is not None}
    definitions = asyncio.run(ask(worker, asked))["definitions"]
    if format_ != "table":
        emit(definitions, format_)
        return
    for each in definitions:
        _show(each)
    if not definitions:
        click.echo("No handoffs yet." if definition is None else f"No handoffs of a definition {definition!r} yet.", err=True)


def _show(definition: Mapping[str, Any]) -> None:
    """One definition as tables: how far handoffs came, the rules, and sales' answers."""
    click.echo(f"{definition['definition']}: handoffs")
    funnel = definition["funnel"]
    emit([{"stage": stage, "handoffs": number, "of_all": _percent(number, funnel["mql"])} for stage, number in funnel.items()], "table")
    click.echo("\nrules, by the handoffs they contributed to")
    emit([{**line, "acceptance": _ratio(line["acceptance"]), "lift": _ratio(line["lift"])} for line in definition["rules"]], "table")
    speed, sla = definition["speed_to_lead"], definition["sla"]
    click.echo(
        f"\nfirst answer of sales: {counted(speed['count'], 'handoff')}, half within {_duration(speed['p50_seconds'])}, "
        f"nine of ten within {_duration(speed['p90_seconds'])}; SLA kept {sla['kept']}, breached {sla['breached']}\n"
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%" if whole else "-"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds} s"
