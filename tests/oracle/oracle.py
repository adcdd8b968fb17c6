"""The oracle's front: a lead's score at a moment, recomputed from the sorted set of its events.

Definitions are plain data, as YAML loads them (without `file:` lists, `accounts` and `tests`); events are canonical
input events as plain dicts in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.oracle.counting import Met, View
from tests.oracle.events import Entry, Json, histories
from tests.oracle.scoring import Contribution, contributions, grade, scores


def score_at(definition: Json, events: Iterable[Json], lead: str, as_of: int | None = None, met: Met | None = None) -> Json:
    """The score of a lead that has an event by `as_of` (default: its newest event).

    `met` gives the stage and cycle that an event met, by `(source, id)`; without it, `lead` and 0.
    """
    entries = histories(events)[lead]
    return score_of(definition, entries, entries[-1].time if as_of is None else as_of, met)


def score_of(definition: Json, entries: Sequence[Entry], as_of: int, met: Met | None = None) -> Json:
    """The score of one lead's events in order: `{as_of, score: {total, ...}, grade, contributions: [...]}`."""
    known = [entry for entry in entries if entry.time <= as_of]
    found = contributions(View(definition, known, as_of, met or {}))
    score = scores(definition, found)
    listed = sorted((described(each) for each in found), key=lambda each: -each["points"])
    return {"as_of": as_of, "score": score, "grade": grade(definition, score), "contributions": listed}


def described(contribution: Contribution) -> dict[str, Any]:
    """A contribution as handoffs list it."""
    rule, event = contribution.rule, contribution.event
    return {
        "rule": rule["id"],
        "label": rule.get("label", rule["id"]),
        "points": contribution.points,
        "awarded": contribution.awarded,
        "time": contribution.time,
        "event_id": event and event.id,
        "source": event and event.source,
        "intent": rule.get("intent"),
    }
