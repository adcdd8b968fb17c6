"""Golden cases: every construct, sound and not, with the exact text of all findings.

Constructs that are not supported yet are read as if they were: that they are refused is a test of its own.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from mqlstream.definition.findings import ERROR
from mqlstream.definition.parse import parse_text
from tests.definition.golden import CASES, cases, text_of

TODAY = date(2026, 11, 1)
# Nearly every short example has these; they count only where a case names its warnings.
ASIDE = ("never-qualifies", "unreachable")


def findings_of(case: dict[str, Any]) -> tuple[bool, list[str], list[str]]:
    """Whether there is a definition, the errors and the warnings, without the name of the file."""
    definition, findings = parse_text(text_of(case), "f", directory=CASES, today=TODAY, not_yet=frozenset())
    errors = [str(one)[2:] for one in findings if one.severity == ERROR]
    warnings = [str(one)[2:] for one in findings if one.severity != ERROR]
    return definition is not None, errors, warnings


@pytest.mark.parametrize("case", cases())
def test_a_file_has_exactly_these_findings(case: dict[str, Any]) -> None:
    there, errors, warnings = findings_of(case)
    if "warnings" not in case:
        warnings = [one for one in warnings if one.split()[1] not in ASIDE]
    assert errors == case.get("errors", [])
    assert warnings == case.get("warnings", [])
    assert there == (not errors)
