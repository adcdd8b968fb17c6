"""`mqlstream doctor`: what stands between these settings and a worker that does its work. The checks are in `mqlstream.doctor`."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path

import click

from mqlstream.cli.logs import quiet_client
from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.config import load
from mqlstream.errors import UnreachableError


@click.command("doctor")
@config_option
@click.option("--strict", is_flag=True, help="Exit 1 on warnings too.")
@format_option
def command(config_file: Path | None, strict: bool, format_: str) -> int:
    """Look at settings, definitions, broker, authorisation, topics, partitions, clocks and workers; change nothing.

    One line a check: ok, warning, problem or not checked, and what mends what is not well. Exit 1 when there is a problem,
    3 when the broker could not be asked.

    \b
    Examples:
      mqlstream doctor
      mqlstream doctor --config mqlstream.yaml --format json
    """
    from mqlstream.doctor.finding import PROBLEM, WARNING, counted
    from mqlstream.doctor.rounds import examine

    settings = load(config_file, os.environ)
    with quiet_client():
        report = asyncio.run(examine(settings))
    if format_ == "table":
        emit([{"status": check.status, "check": check.check, "found": str(check)} for check in report.checks], format_)
    else:
        emit([asdict(check) for check in report.checks], format_)
    if report.unreachable:
        raise UnreachableError(report.unreachable)
    problems, warnings = (sum(check.status == status for check in report.checks) for status in (PROBLEM, WARNING))
    click.echo(f"{counted(problems, 'problem')}, {counted(warnings, 'warning')} in {counted(len(report.checks), 'check')}", err=True)
    return 1 if problems or (strict and warnings) else 0
