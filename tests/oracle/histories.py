"""Generated histories: canonical input events of a few leads, in order of time, and orders in which they may arrive.

An event is put together from few draws, a gap, what was done and who did it, so that an example can have many events.
What can be done is written down beforehand, the plainest first, which is where hypothesis shrinks to.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from tests.oracle.alphabet import EMAILS, GAPS_MS, NUMBERS, ODD, STARTS, TAGS, TEXTS, TITLES, URLS
from tests.oracle.events import Json, epoch_ms

_OBJECT_ODD: list[Any] = [None, "40", True, []]
FIELDS: dict[str, dict[str, list[Any]]] = {
    "web_visit": {
        "path": [*TEXTS["path"], None],
        "session_id": TEXTS["session_id"],
        "duration_seconds": [*NUMBERS["duration_seconds"], None],
        "url": URLS,
    },
    "email_click": {"action": ["open", "click", "unsubscribe", "bounce", "delivered"], "campaign": TEXTS["campaign"]},
    "form_fill": {
        "form": TEXTS["form"],
        "fields.company_size": [50, 800, 800.0, *ODD],
        "fields.plan": [*TEXTS["fields.plan"], *_OBJECT_ODD],
    }
    | {"fields.consent": [True, False, *ODD], "url": URLS},
    "webinar_attendance": {"action": ["registered", "attended", "no_show"], "attended_seconds": [0, 600, None]},
    "activity": {"name": TEXTS["name"], "properties.points": [*NUMBERS["properties.points"], *ODD]}
    | {"properties.tags": [TAGS, TAGS[:1], [], "alphabet", ["gamma", 1]], "properties.plan": [{"size": 3}, {"size": 4}, "pro"]}
    | {"properties.plan.size": [3, 4, "3"]},
    "profile": {
        "attributes.title": [*TITLES, *_OBJECT_ODD],
        "attributes.country": ["NO", "de", None],
        "attributes.company_size": [50, 800, *ODD],
        "attributes.customer": [True, False, *ODD],
        "attributes.partner_status": ["held", "free", None],
        "attributes.tags": [TAGS, TAGS[1:], None, "beta"],
        "attributes.review_points": [10, 99, "10", None],
    },
}
REQUIRED = {"email_click": "action", "webinar_attendance": "action", "activity": "name", "form_fill": "form"}
HOW_MANY = {"web_visit": 60, "email_click": 30, "form_fill": 30, "profile": 30, "activity": 20, "webinar_attendance": 8}


def _deed(kind: str, chance: random.Random) -> Json:
    """A kind and some of its fields; `fields.plan` goes into the object `fields`."""
    deed: Json = {"kind": kind}
    if kind == "profile":
        deed["attributes"] = {}
    for path, values in FIELDS[kind].items():
        if path == REQUIRED.get(kind) or chance.random() < 0.5:
            whole, _, key = path.partition(".")
            if key:
                deed.setdefault(whole, {})[key] = chance.choice(values)
            else:
                deed[path] = chance.choice(values)
    return deed


def _deeds() -> list[Json]:
    chance = random.Random(7)
    found = [_deed(kind, chance) for kind, size in HOW_MANY.items() for _ in range(size)]
    return [{"kind": "web_visit"}, *sorted(found, key=lambda deed: len(str(deed)))]


_ann: Json = {"lead_id": "ann"}
_who = st.sampled_from(
    [
        *[_ann] * 14,
        *[{"lead_id": "bob"}] * 2,
        {"email": " Eve@Rival.example"},
        *[_ann | {"machine": True}] * 2,
        *[_ann | {"email": email} for email in EMAILS],
    ]
)
_deeds_done, _gap, _start = st.sampled_from(_deeds()), st.sampled_from(GAPS_MS), st.sampled_from(STARTS)
_name = st.sampled_from([("b", "s"), ("a", "s"), ("Z", "s"), ("b", "r"), ("b", "t")])
_steps = st.tuples(_gap, _deeds_done, _who, _name)
_sizes = st.sampled_from([2, 1, 5, 8, 12, 16, 20])
_histories = _sizes.flatmap(lambda least: st.lists(_steps, min_size=least, max_size=least + 5))  # left to itself, a list is short


@st.composite
def histories(draw: st.DrawFn, conflicts: bool = True) -> list[Json]:
    """Some events in order of time, each id once but, with `conflicts`, for a rare conflicting duplicate."""
    time = epoch_ms(draw(_start))
    found: list[Json] = []
    for number, (gap, deed, who, (letter, source)) in enumerate(draw(_histories)):
        time += gap
        # The letter shuffles the order of what happens at one instant.
        found.append({**deed, **who, "time": time, "id": f"{letter}{number}", "source": source})
    if conflicts and draw(st.integers(0, 9)) == 9:
        found.append(draw(conflicting(draw(st.sampled_from(found)))))
    return found


@st.composite
def conflicting(draw: st.DrawFn, event: Json) -> Json:
    """The same event told differently: later, or longer."""
    changed: Json = draw(st.sampled_from([{"duration_seconds": 41}, {"time": event["time"] + 3_600_000}]))
    return event | changed


@st.composite
def corrections(draw: st.DrawFn, history: list[Json]) -> list[Json]:
    """Commands that take some of a history's events back, or say that a machine did them; all at its end."""
    about = draw(st.lists(st.sampled_from(history), min_size=1, max_size=4))
    return [
        {
            "kind": "command",
            "do": draw(st.sampled_from(["retract", "retract", "machine_verdict"])),
            "event_source": event["source"],
            "event_id": event["id"],
            "lead_id": event.get("lead_id", "eve@rival.example"),
            "time": history[-1]["time"],
            "id": f"x{number}",
            "source": "ops",
            "by": "ann",
        }
        for number, event in enumerate(about)
    ]


def arrivals(history: list[Json]) -> st.SearchStrategy[list[Json]]:
    """The history in any order, with some of it more than once."""
    return st.lists(st.sampled_from(history), max_size=5).flatmap(lambda again: st.permutations([*history, *again]))


def moments(history: list[Json]) -> st.SearchStrategy[int]:
    """Times worth asking about: of events, and some while after them; mostly late ones."""
    times = [event["time"] for event in [*history[len(history) // 2 :], history[-1], *history]]
    return st.builds(lambda time, gap: int(time + gap), st.sampled_from(times), st.one_of(st.just(0), _gap))


__all__ = ["arrivals", "conflicting", "corrections", "histories", "moments"]
