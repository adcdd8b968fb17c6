"""Options that many commands share. What only one has stands with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def config_option(command: _Command) -> _Command:
    """Add ``--config F`` to a command; it arrives as the argument ``config_file``."""
    option = click.option(
        "--config", "config_file", type=click.Path(path_type=Path), metavar="F", help="Settings file (YAML); variables win over it."
    )
    return option(command)


class Whole(click.IntRange):
    """A whole number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"got {value!r}, expected a whole number {_within(self)}", param, ctx)


class Number(click.FloatRange):
    """A number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            number = math.nan
        if math.isnan(number):  # which lies within no bounds, and which no comparison tells
            self.fail(f"got {value!r}, expected a number {_within(self)}", param, ctx)
        return number


def _within(bounds: click.IntRange | click.FloatRange) -> str:
    return f"of {bounds.min} or more" if bounds.max is None else f"from {bounds.min} to {bounds.max}"
