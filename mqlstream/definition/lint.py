"""All findings of definition files, and how they are written. What is looked for is in `reader`, `where`, `checks`, `doubts`."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from mqlstream.definition.findings import ERROR, WARNING, DefinitionError, Finding
from mqlstream.definition.parse import parse_file

__all__ = ["ERROR", "WARNING", "DefinitionError", "Finding", "lint"]


def lint(*paths: str | Path, today: date | None = None) -> list[Finding]:
    """All findings of one or more files, file by file, in the order of each.

    ``today`` is what ``review_by`` and ``active`` are compared with (None: not at all). Of several files with one definition
    the later must have the higher version. Raises `UsageError` when a file cannot be read; all else is a finding.
    """
    findings: list[Finding] = []
    versions: dict[str, tuple[int, str]] = {}
    for path in paths:
        definition, found = parse_file(path, today=today, versions=versions)
        findings += found
        if definition is not None:
            versions[definition.id] = (definition.version, definition.digest)
    return findings
