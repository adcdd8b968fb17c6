"""`mqlstream test`: the tests inside definitions, through the production step, without a broker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from mqlstream.cases import CaseResult, run_cases
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
    results: list[tuple[Path, CaseResult]] = []
    for path in files:
        found = run_cases(load(path, warn=lambda finding: click.echo(str(finding), err=True)))
        results += [(path, result) for result in found]
        if not found:
            click.echo(f"{path}: has no tests", err=True)
    if format_ == "text":
        for path, result in results:
            click.echo(f"{'FAILED' if result.failures else 'ok'}  {path}:{result.line}  {result.name}")
            for failure in result.failures:
                click.echo("  " + failure.replace("\n", "\n  "))
    else:
        emit([{"file": str(path), "passed": not result.failures, **asdict(result)} for path, result in results], format_)
    failed = sum(bool(result.failures) for _, result in results)
    if failed:
        raise CheckFailed(f"{failed} of {_count(len(results))} failed")
    click.echo(f"{_count(len(results))} passed", err=True)


def _count(tests: int) -> str:
    return "1 test" if tests == 1 else f"{tests} tests"
