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
_MAX_HINTED = 50  # likeness is costly to tell: a file with more faults gets no more nearest names
_LONGEST_LIKE = 50
_LONGEST_TEXT = 500
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

    def did_you_mean(self, name: str, names: Collection[str]) -> str:
        """A hint with the nearest of the valid names, or all of them where they are few; empty in a file full of faults."""
        return did_you_mean(name, names) if len(self.items) < _MAX_HINTED else ""

    def _add(self, at: Placed, severity: str, code: str, message: str, hint: str) -> None:
        if len(self.items) < MAX_FINDINGS:
            self.items.append(Finding(self.file, at.line, at.column, severity, code, _line(message), _line(hint)))
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


def _line(text: str) -> str:
    """Text from a file as one printable line of bounded length: a name in it may be anything."""
    text = text[:_LONGEST_TEXT]
    return text if text.isprintable() else "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def show(value: object) -> str:
    """A value from the file as one short printable line: ``"text"``, ``12``, ``true``, ``null``."""
    if value is not None and not isinstance(value, (str, int, float)):
        return str(value)
    text = _line(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + "..." + ('"' if isinstance(value, str) else "")


def nearest(name: str, names: Collection[str], cutoff: float = 0.6) -> str | None:
    """The valid name that is most like ``name``, if one is like it at all."""
    if len(name) > _LONGEST_LIKE:
        return None
    short = [one.casefold() for one in names if len(one) <= _LONGEST_LIKE]
    found = difflib.get_close_matches(name.casefold(), short, n=1, cutoff=cutoff)
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
