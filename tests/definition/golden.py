"""The golden cases of definition files, as they stand in cases/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CASES = Path(__file__).parent / "cases"
HEAD = "definition: example\nversion: 1\n"


def cases() -> list[Any]:
    """Every case as a parameter of a test, named after its file and itself."""
    return [
        pytest.param(case, id=f"{file.stem}: {case['name']}")
        for file in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(file.read_text())
    ]


def text_of(case: dict[str, Any]) -> str:
    """``text`` stands below the two lines that every definition begins with, ``whole`` stands alone."""
    return str(case["whole"]) if "whole" in case else HEAD + str(case["text"])
