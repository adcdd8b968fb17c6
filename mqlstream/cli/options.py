"""Options that many commands share. What only one has stands with it."""

from __future__ import annotations

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
