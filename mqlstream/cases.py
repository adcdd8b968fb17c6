"""The tests inside a definition: a lead's history played through the production step, and what it must come to.

for result in run_cases(definition):
    print(result.name, result.failures)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mqlstream.core.event import Event
from mqlstream.core.plan import Program
from mqlstream.definition.compile import compile_program
from mqlstream.definition.model import Case, Definition
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import Ignored
from mqlstream.offline import Replay, order_key

LEAD = "test-lead"
_HALF = 0.005 + 1e-9  # values are compared to 2 decimals


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended: ``failures`` is empty when it passed, else one text per unmet expectation, timeline included."""

    name: str
    line: int
    failures: tuple[str, ...]


def run_cases(definition: Definition) -> list[CaseResult]:
    """Run every case of a definition, each on a lead never heard of before."""
    program = compile_program([definition])
    return [CaseResult(case.name, case.line, tuple(_failures(program, case))) for case in definition.tests]


def _failures(program: Program, case: Case) -> Iterator[str]:
    accepted: list[tuple[Any, Event]] = []
    for raw in _inputs(case):
        result = canonical(dict(raw))
        if isinstance(result, Event):
            accepted.append((order_key(result, dict(raw)), result))
        else:
            what = "ignored" if isinstance(result, Ignored) else "refused"
            yield f"the event at {_after(raw['time'] - case.start_ms)} is {what}: {result.reason.value}: {result.detail}"
    accepted.sort(key=lambda pair: pair[0])
    replay = Replay(program)
    applied = 0
    for at_ms, expected in sorted(case.expect, key=lambda pair: pair[0]):
        while applied < len(accepted) and accepted[applied][1].time <= at_ms:
            replay.apply(accepted[applied][1])
            applied += 1
        row = next(replay.leads(at_ms, only=LEAD), None)
        unmet = list(_unmet(expected, row or _untouched(program)))
        if unmet:
            yield "\n".join([f"at {_after(at_ms - case.start_ms)}: {'; '.join(unmet)}", *_timeline(row, case.start_ms)])


def _inputs(case: Case) -> Iterator[Mapping[str, Any]]:
    if case.lead:
        profile = {"id": "lead", "source": "test", "kind": "profile", "time": case.start_ms, "lead_id": LEAD, "attributes": dict(case.lead)}
        # An address among the attributes is the lead's address: email_domain and email_kind come from it.
        yield {**profile, "email": case.lead["email"]} if "email" in case.lead else profile
    for _, event in case.events:
        yield {"lead_id": LEAD, **event}


def _untouched(program: Program) -> dict[str, Any]:
    """The row of a lead to whom nothing has happened yet."""
    score = {"total": 0.0, **dict.fromkeys(program.plans[0].dimensions, 0.0)}
    return {"stage": "lead", "cycle": 0, "grade": "", "score": score, "contributions": []}


def _unmet(expected: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted in expected.items():
        if name in ("stage", "cycle", "grade"):
            if row[name] != wanted:
                yield f"{name}: got {row[name]}, expected {wanted}"
        elif name == "contributions":
            for rule, points in wanted.items():
                got = sum(each["points"] for each in row["contributions"] if each["rule"] == rule)
                if abs(got - points) > _HALF:
                    yield f"contributions of {rule}: got {got:.2f}, expected {points:.2f}"
        elif abs(row["score"][name] - wanted) > _HALF:
            yield f"{name}: got {row['score'][name]:.2f}, expected {wanted:.2f}"


def _timeline(row: Mapping[str, Any] | None, start_ms: int) -> Iterator[str]:
    """What counts at that moment, in the order it happened."""
    if row is None:
        yield "    nothing has happened by then"
        return
    score = ", ".join(f"{name} {value:.2f}" for name, value in row["score"].items())
    yield f"    stage {row['stage']}, cycle {row['cycle']}, {score}"
    for each in sorted(row["contributions"], key=lambda contribution: contribution["time"]):
        when = _after(each["time"] - start_ms) if each["event_id"] else "standing"
        yield f"    {when:>9}  {each['points']:+.2f}  {each['rule']} (awarded {each['awarded']:g})"
    for clip in row.get("clipped", ()):
        yield f"    clipped: {clip['scope']} {clip['name']} adds up to {clip['sum']:.2f}, {clip['counted']:.2f} count"


def _after(elapsed_ms: int) -> str:
    """A time after the start of the case, as the file would write it."""
    for unit, ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if elapsed_ms and elapsed_ms % ms == 0:
            return f"{elapsed_ms // ms}{unit}"
    return "0h" if elapsed_ms == 0 else datetime.fromtimestamp(elapsed_ms / 1000, UTC).strftime("%H:%M:%S")
