"""The errors a user can cause or meet; the command line turns each into one line and an exit code. No traceback."""

from __future__ import annotations


class MqlstreamError(Exception):
    """Base of all errors with a text made for users: what was got, where, what was expected, the likely cause."""

    exit_code = 2


class UsageError(MqlstreamError):
    """Wrong usage or configuration: exit 2."""


class CheckFailed(MqlstreamError):
    """A check found something: exit 1."""

    exit_code = 1


class UnreachableError(MqlstreamError):
    """A service could not be reached: exit 3."""

    exit_code = 3
