"""All findings of definition files, and how they are written. What is looked for is in `reader`, `where`, `checks`, `doubts`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from mqlstream.definition.findings import ERROR, WARNING, DefinitionError, Finding
from mqlstream.definition.parse import parse_file

__all__ = ["ERROR", "WARNING", "DefinitionError", "Finding", "lint"]


def lint(path: str | Path, *, today: date | None = None) -> list[Finding]:
    """All findings of one file in its order.

    ``today`` is what ``review_by`` and ``active`` are compared with (None: not at all). Raises `UsageError` when the file
    cannot be read; everything that is wrong in it is a finding.
    """
    return parse_file(path, today=today)[1]
