"""What is found in a definition file: one finding per fault or doubt, collected, never raised one by one.

How a file is read and what is checked lives elsewhere (`source`, `reader`, `where`, `parse`, `doubts`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from mqlstream.errors import MqlstreamError

ERROR = "error"
WARNING = "warning"

# A hostile file could have a fault in every node; nobody reads past the first hundreds.
MAX_FINDINGS = 500
_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One finding; ``line`` and ``column`` count from 1, ``severity`` is ``error`` or ``warning``."""

    file: str
    line: int
    column: int
    severity: str
    code: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column} {self.code} {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class Placed(Protocol):
    """Anything with a place in the file: every node of `source` has one."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Place:
    line: int = 1
    column: int = 1


@dataclass(slots=True)
class Report:
    """Collects the findings of one file."""

    file: str
    items: list[Finding] = field(default_factory=list)
    failed: bool = False

    def error(self, at: Placed, code: str, message: str, hint: str = "") -> None:
        self.failed = True
        self._add(at, ERROR, code, message, hint)

    def warn(self, at: Placed, code: str, message: str, hint: str = "") -> None:
        self._add(at, WARNING, code, message, hint)

    def _add(self, at: Placed, severity: str, code: str, message: str, hint: str) -> None:
        if len(self.items) < MAX_FINDINGS:
            self.items.append(Finding(self.file, at.line, at.column, severity, code, message, hint))
        elif len(self.items) == MAX_FINDINGS:
            text = f"more than {MAX_FINDINGS} findings, the rest is left out"
            self.items.append(Finding(self.file, at.line, at.column, severity, "too-many-findings", text))

    def sorted(self) -> list[Finding]:
        """In the order of the file."""
        return sorted(self.items, key=lambda one: (one.line, one.column))


class DefinitionError(MqlstreamError):
    """A definition that cannot be used. ``findings`` has all of them, the text one line per error."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(str(one) for one in findings if one.severity == ERROR))


def show(value: object) -> str:
    """A value from the file as one short printable line: ``"text"``, ``12``, ``true``, ``null``."""
    if value is not None and not isinstance(value, (str, int, float)):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + "..." + ('"' if isinstance(value, str) else "")


def nearest(name: str, names: Collection[str], cutoff: float = 0.6) -> str | None:
    """The valid name that is most like ``name``, if one is like it at all."""
    found = difflib.get_close_matches(name[:100].casefold(), [one.casefold() for one in names], n=1, cutoff=cutoff)
    return next((one for one in names if found and one.casefold() == found[0]), None)


def did_you_mean(name: str, names: Collection[str]) -> str:
    """A hint: the nearest name, or the valid ones where they are few."""
    near = nearest(name, names)
    if near is not None:
        return f"did you mean {near}?"
    if not names:
        return ""
    some = sorted(names)[:12]
    return "valid: " + " ".join(some) + (" ..." if len(names) > len(some) else "")
