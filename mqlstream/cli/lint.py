"""`mqlstream lint`: all findings of definition files. What is found and why is `mqlstream.definition`'s business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from mqlstream.cli.output import FORMATS, emit
from mqlstream.definition.lint import ERROR, Finding, lint
from mqlstream.errors import CheckFailed


def _print_schema(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from mqlstream.definition.schema import schema_text  # only here: reading definitions needs no schema

        click.echo(schema_text(), nl=False)
        context.exit()


@click.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--strict", is_flag=True, help="Exit 1 on warnings too.")
@click.option(
    "--print-schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of definitions, for editors, and exit.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(("text", *FORMATS)),
    default="text",
    show_default=True,
    help="text: errors to stdout, warnings to stderr, one per line; the others: all findings to stdout.",
)
def command(files: Sequence[Path], strict: bool, format_: str) -> None:
    """Read definitions and report everything that is wrong or doubtful in them.

    A finding reads file:line:column code message; hint. Exit 1 when there is an error.

    \b
    Examples:
      mqlstream lint config/b2b-default.yaml
      mqlstream lint --strict --format json definitions/*.yaml
      mqlstream lint --print-schema > definition.schema.json
    """
    today = datetime.now(UTC).date()
    findings = lint(*files, today=today)
    _print(findings, format_)
    errors = sum(finding.severity == ERROR for finding in findings)
    warnings = len(findings) - errors
    if errors or (strict and warnings):
        raise CheckFailed(f"{_count(errors, 'error')}, {_count(warnings, 'warning')} in {_count(len(files), 'file')}")
    click.echo(f"{_count(len(files), 'file')} checked: no errors, {_count(warnings, 'warning')}", err=True)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _print(findings: Sequence[Finding], format_: str) -> None:
    if format_ != "text":
        emit([asdict(finding) for finding in findings], format_)
        return
    for finding in findings:
        click.echo(str(finding), err=finding.severity != ERROR)
