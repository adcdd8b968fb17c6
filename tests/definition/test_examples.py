"""The definitions we ship: each lints clean, its own tests pass, and every number in it is shown by one of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mqlstream.cases import run_cases
from mqlstream.definition import load, parse_text
from mqlstream.definition.lint import lint
from mqlstream.definition.model import Bounds, Definition, Fit, Inactivity, Rule
from tests.definition.test_lint import CONFIG

FILES = sorted(path for path in CONFIG.rglob("*.yaml") if path.read_text().partition("\ndefinition: ")[1])


def names() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in FILES]


def failed(definition: Definition) -> list[str]:
    return [f"{result.name}: {failure}" for result in run_cases(definition) for failure in result.failures]


def test_the_examples_are_found() -> None:
    assert {path.stem for path in FILES} == {
        "account-engagement-defaults",
        "b2b-default",
        "buying-committee",
        "eloqua-matrix",
        "gitlab-handbook",
        "hubspot-like",
    }


@pytest.mark.parametrize("path", names())
def test_a_definition_has_no_findings(path: Path) -> None:
    assert [str(finding) for finding in lint(path)] == []


@pytest.mark.parametrize("path", names())
def test_the_tests_of_a_definition_pass(path: Path) -> None:
    assert failed(load(path)) == []


@pytest.mark.parametrize("path", names())
def test_a_definition_tells_people_what_it_is(path: Path) -> None:
    assert path.read_text().startswith("# ")
    definition = load(path)
    assert definition.description
    parts: tuple[Rule | Fit | Inactivity, ...] = (*definition.rules, *definition.fit, *definition.inactivity)
    assert all(part.label != part.id for part in parts)


def test_the_command_line_says_the_same_of_all_of_them() -> None:
    for arguments in (["lint", "--strict"], ["test"]):
        done = subprocess.run([sys.executable, "-m", "mqlstream", *arguments, *FILES], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def changed_rules(definition: Definition) -> Iterator[tuple[str, Definition]]:
    for place, rule in enumerate(definition.rules):
        for what, other in changes_of_rule(rule):
            yield f"{rule.id}: {what}", replace(definition, rules=(*definition.rules[:place], other, *definition.rules[place + 1 :]))


def changes_of_rule(rule: Rule) -> Iterator[tuple[str, Rule]]:
    if rule.points is not None:
        yield "points", replace(rule, points=rule.points + 1)
    for number, tier in enumerate(rule.tiers):
        tiers = (*rule.tiers[:number], replace(tier, points=tier.points + 10), *rule.tiers[number + 1 :])
        yield f"tier {number + 1}", replace(rule, tiers=tiers)
    if rule.set is not None:
        yield "set", replace(rule, set={name: value + 1 for name, value in rule.set.items()})
    if rule.limit is not None:
        yield "limit", replace(rule, limit=None)
    if rule.decay is not None:
        yield "decay", replace(rule, decay=None)
    if rule.count is not None:
        yield "count", replace(rule, count=replace(rule.count, at_least=rule.count.at_least + 1))


def changed_fit(definition: Definition) -> Iterator[tuple[str, Definition]]:
    for place, fit in enumerate(definition.fit):
        for number, case in enumerate(fit.cases):
            cases = (*fit.cases[:number], replace(case, points=case.points + 10), *fit.cases[number + 1 :])
            other: Fit = replace(fit, cases=cases)
            yield f"{fit.id}: case {number + 1}", replace(definition, fit=(*definition.fit[:place], other, *definition.fit[place + 1 :]))


def changed_bounds(definition: Definition) -> Iterator[tuple[str, Definition]]:
    def moved(bounds: Bounds) -> Iterator[tuple[str, Bounds]]:
        if bounds.cap is not None:
            yield "cap", replace(bounds, cap=bounds.cap + 1)
        if bounds.floor is not None:
            yield "floor", replace(bounds, floor=bounds.floor - 1)

    for name, bounds in definition.dimensions.items():
        for what, other in moved(bounds):
            yield f"{name}: {what}", replace(definition, dimensions={**definition.dimensions, name: other})
    for name, group in definition.groups.items():
        for what, other in moved(group.bounds):
            yield f"{name}: {what}", replace(definition, groups={**definition.groups, name: replace(group, bounds=other)})
    for what, other in moved(definition.total):
        yield f"total: {what}", replace(definition, total=other)


def changed_life(definition: Definition) -> Iterator[tuple[str, Definition]]:
    for entry in definition.inactivity:
        yield f"{entry.id}: points", replace(definition, inactivity=(replace(entry, points=entry.points - 1),))
        yield f"{entry.id}: every", replace(definition, inactivity=(replace(entry, every_ms=None),))
    for condition in definition.disqualify:
        rest = tuple(one for one in definition.disqualify if one is not condition)
        yield f"disqualify: {condition.id}", replace(definition, disqualify=rest)
    for condition in definition.freeze:
        yield f"freeze: {condition.id}", replace(definition, freeze=tuple(one for one in definition.freeze if one is not condition))
    for rule in definition.qualify.fast_track:
        others = tuple(one for one in definition.qualify.fast_track if one != rule)
        yield f"fast_track: {rule}", replace(definition, qualify=replace(definition.qualify, fast_track=others))
    recycle = definition.qualify.recycle
    if recycle is not None:
        for name, value in recycle.set.items():
            other = replace(recycle, set={**recycle.set, name: value + 1})
            yield f"recycle: {name}", replace(definition, qualify=replace(definition.qualify, recycle=other))


@pytest.mark.parametrize("path", names())
def test_no_number_can_change_without_a_test_that_fails(path: Path) -> None:
    definition = load(path)
    changes = [change for kind in (changed_rules, changed_fit, changed_bounds, changed_life) for change in kind(definition)]
    assert len(changes) > 10
    assert [what for what, other in changes if not failed(other)] == []


BROKEN = """\
definition: broken
version: 1
dimensions: {engagement: {cap: 40}}
rules:
  - {id: pricing-visit, on: web_visit, where: {path: {prefix: /pricing}}, points: 25, decay: {half_life: 14d}}
  - {id: demo-request, on: form_fill, where: {form: demo}, points: 30}
fit: [{id: decides, where: {title: {words_any: [vp]}}, points: 20}]
disqualify: [{id: competitor, where: {email_domain: rival.example}}]
qualify: {threshold: {total: 60}}
tests:
  - name: a life that shows it all
    start: 2026-11-02T09:00:00Z
    lead: {title: VP Marketing}
    events:
      - {at: 0h, web_visit: {path: /pricing, duration_seconds: 40}}
      - {at: 30m, form_fill: {form: demmo, fields: {name: Ann, note: a long text that does not fit into one line of a timeline}}}
      - {at: 1h, form_fill: {form: demo}}
      - {at: 1h, web_visit: {path: /pricing, machine: true}}
      - {at: 14d, profile: {email: ann@rival.example, attributes: {}}}
    expect:
      - {at: 14d, stage: mql, cycle: 2}
      - {at: 10m, total: 44.99}
      - {at: 30m, total: 45, grade: A1}
      - {at: 1h, stage: lead, engagement: 55, contributions: {demo-request: 50}}
  - name: an event that ingest refuses
    start: 2026-11-02T09:00:00Z
    events: [{at: 90s, email_click: {action: opened}}]
    expect: [{at: 1h, total: 5}]
  - name: one that holds
    start: 2026-11-02T09:00:00Z
    expect: [{at: 1h, total: 0, stage: lead, cycle: 0, grade: "", engagement: 0, contributions: {demo-request: 0}}]
"""

AT_HALF_AN_HOUR = """\
at 30m: total: got 44.97, expected 45.00; grade: got none, expected A1
    stage lead, cycle 0, total 44.97, engagement 24.97, fit 20.00
           0h  profile title=VP Marketing
           0h  web_visit path=/pricing duration_seconds=40  +24.97 pricing-visit (of 25)
          30m  form_fill form=demmo fields={"name": "Ann", "note": "a long text that does not fit into...  no points
     standing  +20.00 decides"""

AT_ONE_HOUR = """\
at 1h: stage: got mql, expected lead; contributions of demo-request: got 30.00, expected 50.00; engagement: got 40.00, expected 55.00
    stage mql, cycle 1, total 60.00, engagement 40.00, fit 20.00
           0h  profile title=VP Marketing
           0h  web_visit path=/pricing duration_seconds=40  +24.95 pricing-visit (of 25)
          30m  form_fill form=demmo fields={"name": "Ann", "note": "a long text that does not fit into...  no points
           1h  form_fill form=demo  +30.00 demo-request
               -> became_mql, cycle 1
           1h  web_visit path=/pricing (machine)  no points
     standing  +20.00 decides
    clipped: dimension engagement adds up to 54.95, 40.00 count"""

AT_TWO_WEEKS = """\
at 14d: stage: got disqualified, expected mql; cycle: got 1, expected 2
    stage disqualified, cycle 1, total 60.00, engagement 40.00, fit 20.00
           0h  profile title=VP Marketing
           0h  web_visit path=/pricing duration_seconds=40  +12.50 pricing-visit (of 25)
          30m  form_fill form=demmo fields={"name": "Ann", "note": "a long text that does not fit into...  no points
           1h  form_fill form=demo  +30.00 demo-request
               -> became_mql, cycle 1
           1h  web_visit path=/pricing (machine)  no points
          14d  profile
               -> mql_withdrawn, cycle 1: competitor
     standing  +20.00 decides
    clipped: dimension engagement adds up to 42.50, 40.00 count"""

REFUSED = (
    'the event at 90s is refused: bad_field: action: got "opened", expected one of '
    "delivered open click reply unsubscribe bounce complaint (did you mean open?)"
)


def test_an_unmet_expectation_shows_what_was_expected_and_got_and_the_life_of_the_lead_until_then() -> None:
    definition, _ = parse_text(BROKEN, "broken.yaml")
    assert definition is not None
    whole, refused, sound = run_cases(definition)
    assert (whole.name, whole.line) == ("a life that shows it all", 11)
    assert whole.failures == (AT_HALF_AN_HOUR, AT_ONE_HOUR, AT_TWO_WEEKS)
    assert refused.failures == (REFUSED, "at 1h: total: got 0.00, expected 5.00\n    nothing has happened by then")
    assert sound.failures == ()


TIMED = """\
definition: timed
version: 1
rules: [{id: demo, on: form_fill, points: 100, decay: {half_life: 1d}}]
qualify: {threshold: {total: 100}, rearm: {below: 50}, recycle: {set: {engagement: 5}, cooldown: 14d}}
sla: {accept_within: 2h}
tests:
  - name: time passes, and sales answers
    start: 2026-11-02T09:00:00Z
    events:
      - {at: 0d, form_fill: {form: demo}}
      - {at: 2d, form_fill: {form: demo}}
      - {at: 2d, feedback: {decision: accepted, definition: timed}}
      - {at: 3d, feedback: {decision: recycled, definition: timed, reason: no budget}}
    expect: [{at: 3d, stage: lead}]
"""

TIMED_LIFE = """\
at 3d: stage: got recycled, expected lead
    stage recycled, cycle 2, total 5.00, engagement 5.00, fit 0.00
           0h  form_fill form=demo  no points
               -> became_mql, cycle 1
           2h  -> sla_breached, cycle 1
        1441m  -> cooled, cycle 1
           2d  form_fill form=demo  no points
               -> became_mql, cycle 2
           2d  feedback decision=accepted definition=timed
               -> stage_changed to sal, cycle 2: accepted
           3d  feedback decision=recycled definition=timed reason=no budget
               -> stage_changed to recycled, cycle 2: recycled
     standing  +5.00 recycle"""


def test_the_life_of_a_lead_shows_what_time_did_and_what_sales_answered() -> None:
    definition, findings = parse_text(TIMED, "timed.yaml")
    assert definition is not None, findings
    (result,) = run_cases(definition)
    assert result.failures == (TIMED_LIFE,)
