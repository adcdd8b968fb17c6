"""What the compiler works out about a definition, where it shows in what becomes of a lead."""

from __future__ import annotations

from mqlstream.cases import run_cases
from mqlstream.definition.parse import parse_text

NEGATIVE = """\
definition: a
version: 1
fit: [{id: debts, weight: -1, one_of: [{where: {debts: many}, points: 10}, {where: {debts: none}, points: -60}]}]
qualify: {threshold: {total: 60}}
tests:
  - name: a negative weight turns the least points into the most
    start: 2026-11-02T09:00:00Z
    lead: {debts: none}
    events: [{at: 1h, form_fill: {form: demo}}]
    expect: [{at: 1h, total: 60, stage: mql}]
"""


def test_a_lead_is_not_passed_over_for_a_bound_on_points_with_a_negative_weight() -> None:
    definition, findings = parse_text(NEGATIVE, "a.yaml")
    assert definition is not None
    assert findings == []
    assert [result.failures for result in run_cases(definition)] == [()]
