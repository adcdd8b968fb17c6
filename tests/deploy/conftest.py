"""What the checks of deploy/ need from the machine."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of Prometheus' promtool; without it the test is skipped, loudly, and fails where CI=true."""
    path = shutil.which("promtool")
    if path is not None:
        return path
    reason = "promtool is not installed (Debian: apt-get install prometheus): the alerts were NOT checked"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
