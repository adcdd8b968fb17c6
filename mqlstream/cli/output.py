"""How commands print data: one option, three formats. What is printed belongs to the commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

FORMATS = ("table", "json", "jsonl")
_Command = TypeVar("_Command", bound=Callable[..., Any])


def format_option(command: _Command) -> _Command:
    """Add ``--format table|json|jsonl`` to a command; it arrives as the argument ``format_``."""
    option = click.option(
        "--format", "format_", type=click.Choice(FORMATS), default="table", show_default=True, help="How to print the data."
    )
    return option(command)


def emit(rows: Sequence[Mapping[str, Any]], format_: str, columns: Sequence[str] = ()) -> None:
    """Print rows to stdout: an aligned table, one JSON array, or one JSON object a line.

    ``columns`` fixes what the table shows, in order; by default the keys of all rows in the order met.
    The JSON formats always carry every key.
    """
    if format_ == "json":
        click.echo(json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=2))
    elif format_ == "jsonl":
        for row in rows:
            click.echo(json.dumps(dict(row), ensure_ascii=False))
    elif rows:
        _table(rows, columns or tuple(dict.fromkeys(key for row in rows for key in row)))


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    lines = [[column.replace("_", " ").upper() for column in columns]]
    lines += [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        # A cell is one line, whatever a file or a broker put into it.
        return " ".join(value.split())
    return json.dumps(value, ensure_ascii=False, default=str)
