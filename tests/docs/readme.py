"""Takes README.md apart: its fenced blocks, the files they stand for, and the commands with what they print."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

README = Path(__file__).resolve().parents[2] / "README.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w-]+\.(?:yaml|jsonl))`")


class Block(NamedTuple):
    """A fenced block. ``file`` is the file name that the sentence right before it gives, or empty."""

    language: str
    text: str
    file: str
    line: int


class Command(NamedTuple):
    """One ``$ command`` of a console block and the lines shown below it."""

    text: str
    output: str
    line: int


def blocks(path: Path = README) -> list[Block]:
    """All fenced blocks, in order."""
    content = path.read_text()
    found = []
    for match in _BLOCK.finditer(content):
        before = content[: match.start()].rstrip().rsplit("\n\n", 1)[-1]
        names = _FILE.findall(before)
        found.append(Block(match[1], match[2], names[-1] if names else "", content.count("\n", 0, match.start()) + 2))
    return found


def commands(path: Path = README) -> list[Command]:
    """All commands of the console blocks, in order."""
    found = []
    for block in blocks(path):
        if block.language != "console":
            continue
        for number, line in enumerate(block.text.splitlines()):
            if line.startswith("$ "):
                found.append(Command(line[2:], "", block.line + number))
            else:
                found[-1] = found[-1]._replace(output=found[-1].output + line + "\n")
    return found
