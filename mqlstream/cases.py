"""The tests inside a definition: a lead's history played through the production step, and what it must come to.

for result in run_cases(definition):
    print(result.name, result.failures)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mqlstream.core.event import ACTIVITY_KINDS, Event
from mqlstream.core.outputs import Output
from mqlstream.core.plan import Program
from mqlstream.definition.compile import compile_program
from mqlstream.definition.model import Case, Definition
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import Rejected
from mqlstream.offline import Replay, order_key

LEAD = "test-lead"
_LONGEST = 80  # characters of what an event says
_HALF = 0.005 + 1e-9  # values are compared to 2 decimals


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case ended: ``failures`` is empty when it passed, else one text per unmet expectation, timeline included."""

    name: str
    line: int
    failures: tuple[str, ...]


class Happened(NamedTuple):
    """An event that was applied, or nothing but time that passed; and what it set off."""

    event: Event | None
    outputs: list[Output]


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
            what = "refused" if isinstance(result, Rejected) else "ignored"
            yield f"the event at {_after(raw['time'] - case.start_ms)} is {what}: {result.reason.value}: {result.detail}"
    accepted.sort(key=lambda pair: pair[0])
    replay = Replay(program)
    happened: list[Happened] = []
    applied = 0
    for at_ms, expected in sorted(case.expect, key=lambda pair: pair[0]):
        while applied < len(accepted) and accepted[applied][1].time <= at_ms:
            event = accepted[applied][1]
            happened.append(Happened(None, replay.advance(event.time)))
            happened.append(Happened(event, replay.apply(event)))
            applied += 1
        happened.append(Happened(None, replay.advance(at_ms)))
        row = next(replay.leads(at_ms, only=LEAD), None)
        unmet = list(_unmet(expected, row or _untouched(program)))
        if unmet:
            yield "\n".join([f"at {_after(at_ms - case.start_ms)}: {'; '.join(unmet)}", *_timeline(row, happened, case.start_ms)])


def _inputs(case: Case) -> Iterator[Mapping[str, Any]]:
    if case.lead:
        # Its source sorts before any word: what the lead is, is known before the first event of the same moment.
        profile = {"id": "lead", "source": "!", "kind": "profile", "time": case.start_ms, "lead_id": LEAD, "attributes": dict(case.lead)}
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
                yield f"{name}: got {_shown(row[name])}, expected {_shown(wanted)}"
        elif name == "contributions":
            for rule, points in wanted.items():
                got = sum(each["points"] for each in row["contributions"] if each["rule"] == rule)
                if abs(got - points) > _HALF:
                    yield f"contributions of {rule}: got {got:.2f}, expected {points:.2f}"
        elif abs(row["score"][name] - wanted) > _HALF:
            yield f"{name}: got {row['score'][name]:.2f}, expected {wanted:.2f}"


def _timeline(row: Mapping[str, Any] | None, happened: Sequence[Happened], start_ms: int) -> Iterator[str]:
    """The lead's life up to that moment: every event in order, what it is worth now, and what it set off."""
    if row is None:
        yield "    nothing has happened by then"
        return
    score = ", ".join(f"{name} {value:.2f}" for name, value in row["score"].items())
    yield f"    stage {row['stage']}, cycle {row['cycle']}, {score}"
    for event, outputs in happened:
        if event is not None:
            own = [each for each in row["contributions"] if (each["source"], each["event_id"]) == (event.source, event.id)]
            worth = ", ".join(map(_worth, own)) or ("no points" if event.kind in ACTIVITY_KINDS else "")
            yield f"    {_after(event.time - start_ms):>9}  {event.kind} {_said(event)}  {worth}".rstrip()
        for output in outputs:
            yield f"    {'' if event else _after(output['time'] - start_ms):>9}  {_set_off(output)}"
    for each in row["contributions"]:
        if each["event_id"] is None:
            yield f"    {'standing':>9}  {_worth(each)}"
    for clip in row.get("clipped", ()):
        yield f"    clipped: {clip['scope']} {clip['name']} adds up to {clip['sum']:.2f}, {clip['counted']:.2f} count"


def _shown(value: str | int) -> str:
    return "none" if value == "" else str(value)  # a lead without a grade


def _worth(contribution: Mapping[str, Any]) -> str:
    points, awarded = contribution["points"], contribution["awarded"]
    return f"{points:+.2f} {contribution['rule']}" + (f" (of {awarded:g})" if abs(points - awarded) > _HALF else "")


def _said(event: Event) -> str:
    """What the event says, in one short line."""
    fields = {**event.body, **(event.attributes or {})}
    shown = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in fields.items()}
    text = " ".join(f"{name}={value}" for name, value in shown.items())
    text += " (machine)" if event.machine else ""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _set_off(output: Output) -> str:
    """An output event in words: ``-> became_mql, cycle 1``."""
    name = output["type"].removeprefix("mqlstream.").split(".")[-2]
    data = output["data"]
    to = f" to {data['to']}" if "to" in data else ""
    reason = f": {data['reason']}" if "reason" in data else ""
    return f"-> {name}{to}, cycle {data['cycle']}{reason}" if "cycle" in data else f"-> {name}{to}{reason}"


def _after(elapsed_ms: int) -> str:
    """A time after the start of the case, as the file would write it."""
    for unit, ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if elapsed_ms and elapsed_ms % ms == 0:
            return f"{elapsed_ms // ms}{unit}"
    return "0h" if elapsed_ms == 0 else datetime.fromtimestamp(elapsed_ms / 1000, UTC).strftime("%H:%M:%S")
