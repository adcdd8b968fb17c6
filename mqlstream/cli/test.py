"""`mqlstream test`: the tests inside definitions, through the production step, without a broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mqlstream.cases import run_cases
from mqlstream.cli.output import FORMATS, emit
from mqlstream.definition import load
from mqlstream.errors import CheckFailed


@click.command("test")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--format", "format_", type=click.Choice(("text", *FORMATS)), default="text", show_default=True, help="How to print.")
def command(files: Sequence[Path], format_: str) -> None:
    """Run the tests inside definitions; exit 1 when one fails.

    A failure shows what was expected and got, and the lead's timeline at that moment.

    \b
    Example:
      mqlstream test config/b2b-default.yaml
    """
    results = [
        (path, result) for path in files for result in run_cases(load(path, warn=lambda finding: click.echo(str(finding), err=True)))
    ]
    if format_ == "text":
        for path, result in results:
            click.echo(f"{'FAILED' if result.failures else 'ok'}  {path}:{result.line}  {result.name}")
            for failure in result.failures:
                click.echo("  " + failure.replace("\n", "\n  "))
    else:
        emit([{"file": str(path), "passed": not result.failures, **asdict(result)} for path, result in results], format_)
    failed = sum(bool(result.failures) for _, result in results)
    if failed:
        raise CheckFailed(f"{failed} of {len(results)} tests failed")
    click.echo(f"{len(results)} tests passed", err=True)
