"""The core as machine code writes the same bytes as the Python code it is made of: `make test CORE=native`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mqlstream.program import NATIVE_CORE

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not NATIVE_CORE, reason="the Python core has nothing to be compared with: make test CORE=native")
def test_both_cores_write_the_same_bytes():
    native, python = _written({}), _written({"PYTHONPATH": str(ROOT)})
    assert (native["native"], python["native"]) == (True, False)
    assert native["written"] == python["written"]
    for name, (changes, outputs, _) in native["written"].items():
        assert changes > 1_000, name
        assert outputs > 10, name


def _written(environment: dict[str, str]) -> Any:
    command = [sys.executable, "-m", "tests.stages.written"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)
