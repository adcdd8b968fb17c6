"""A file that is written whole or not at all: whoever opens it meanwhile finds the one before."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EACCES, EISDIR, ENOENT, ENOTDIR
from os import strerror
from pathlib import Path

from mqlstream.errors import UsageError


def check_writable(path: Path) -> None:
    """Whether there is any use in working for the file. Raises `UsageError`."""
    if path.is_dir():
        raise _refused(path, EISDIR)
    if not path.parent.exists():
        raise _refused(path, ENOENT)
    if not path.parent.is_dir():
        raise _refused(path, ENOTDIR)
    if not os.access(path.parent, os.W_OK):
        raise _refused(path, EACCES)


def write_whole(path: Path, text: str) -> None:
    """Put the text in the file's place. Raises `UsageError`."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise _refused(path, error.errno or EACCES) from None
    finally:
        with suppress(OSError):
            beside.unlink()


def _refused(path: Path, number: int) -> UsageError:
    return UsageError(f"--html: cannot write {path}: {strerror(number)}")
