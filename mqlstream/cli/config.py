"""`mqlstream config show`: what the settings are and where each came from."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.config import load
from mqlstream.config.show import effective


@click.group()
def command() -> None:
    """Show the effective settings and where each came from.

    \b
    Example:
      mqlstream config show --config mqlstream.yaml
    """


@command.command()
@config_option
@format_option
def show(config_file: Path | None, format_: str) -> None:
    """Print every setting, its value and where that came from; secrets are masked.

    \b
    Example:
      mqlstream config show --config mqlstream.yaml --format json
    """
    emit(effective(load(config_file, os.environ)), format_, columns=("setting", "value", "from"))
