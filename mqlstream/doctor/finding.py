"""One line of the doctor's report. How it is printed is the command's."""

from __future__ import annotations

from dataclasses import dataclass

OK = "ok"
WARNING = "warning"  # works, and somebody should know
PROBLEM = "problem"  # `run` refuses, or loses what it is for
UNCHECKED = "not checked"  # nothing wrong is known: the reason stands in ``found``


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at (``check`` and ``about``) and what was ``found``; unless all is well, also what was ``expected`` and
    what will ``mend`` it.
    """

    check: str
    status: str
    about: str
    found: str
    expected: str = ""
    mend: str = ""

    def __str__(self) -> str:
        text = f"{self.about}: {self.found}" if self.about else self.found
        if self.expected:
            text += f", expected {self.expected}"
        return f"{text}; mend: {self.mend}" if self.mend else text


def some(names: list[str], shown: int = 3) -> str:
    """The first of many names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, word: str) -> str:
    """``1 topic``, ``2 topics``"""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
