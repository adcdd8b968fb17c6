"""What the compiler works out about a definition, where it shows in what becomes of a lead."""

from __future__ import annotations

import pytest

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

WEIGHTED = """\
definition: a
version: 1
rules: [{id: partner, on: activity, points_from: {field: properties.points, min: 0, max: 50}, weight: 0.5}]
fit: [{id: review, points_from: {field: review_points, min: 0, max: 30}, weight: 0.5}]
qualify: {threshold: {total: 40}}
tests:
  - name: points that the event or the lead brings along are weighted after they are clipped
    start: 2026-11-02T09:00:00Z
    lead: {review_points: 99}
    events: [{at: 1h, activity: {name: meeting, properties: {points: 80}}}]
    expect: [{at: 0h, fit: 15}, {at: 1h, engagement: 25, stage: mql}]
"""


@pytest.mark.parametrize("text", [NEGATIVE, WEIGHTED], ids=["negative", "brought along"])
def test_a_lead_is_worth_its_weighted_points(text: str) -> None:
    definition, findings = parse_text(text, "a.yaml")
    assert definition is not None
    assert findings == []
    assert [result.failures for result in run_cases(definition)] == [()]
