"""What holds for all tests: nothing is timed, an example that fails can be run again as it is printed, Ctrl-C is heard."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

from mqlstream.program import NATIVE_CORE

# A shell that starts the tests in the background has interrupts ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("mqlstream", deadline=None, print_blob=True)
settings.load_profile("mqlstream")


def pytest_report_header() -> str:
    """On which core the tests run. One that was asked for and is not there would be found by no test."""
    assert NATIVE_CORE or os.environ.get("EXPECTED_CORE") != "native", "the native core is not the one that runs"
    return f"core: {'native' if NATIVE_CORE else 'python'}"
