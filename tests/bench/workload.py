"""The work that all compared systems do: events of four kinds, points that decay, one signal at 100 points.

The events are the same for everyone, by seed. `points` and `apply` are what the Python peers run; the Java peer and
`definition.yaml` say the same in their own languages. `signals` counts what a correct system finds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

DAY_MS = 86_400_000
HALF_LIFE_MS = 14 * DAY_MS
SPAN_MS = 60 * DAY_MS
THRESHOLD = 100.0
PARTITIONS = 4

# Topic of each kind for the peers, and how many of a hundred events are of it.
TOPICS = {
    "web_visit": ("bench.web-visits", 70),
    "form_fill": ("bench.form-fills", 5),
    "email_click": ("bench.email-clicks", 20),
    "webinar_attendance": ("bench.webinar-attendance", 5),
}
PAGES = ("/pricing", "/blog/a", "/", "/docs", "/demo", "/careers")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"

State = list[Any]  # points as of the time beside them, that time, whether the signal was given, events


class Input(NamedTuple):
    """One event as the peers read it: JSON object and lead."""

    kind: str
    lead: str
    event: dict[str, Any]


def inputs(events: int, leads: int, end_ms: int, seed: int = 7) -> Iterator[Input]:
    """Events in the order of their times, spread over the 60 days before ``end_ms``; half of them of a few busy leads."""
    rnd = random.Random(seed)
    kinds = list(TOPICS)
    weights = [share for _, share in TOPICS.values()]
    step_ms = SPAN_MS // events
    for number in range(events):
        kind = rnd.choices(kinds, weights)[0]
        place = int(leads * rnd.random() ** 3) if number % 2 else rnd.randrange(leads)
        lead = f"lead-{place:07d}"
        event = {"id": f"{number:012x}", "source": "bench", "lead_id": lead, "kind": kind, "time": end_ms - SPAN_MS + number * step_ms}
        yield Input(kind, lead, event | _fields(kind, lead, rnd))


def _fields(kind: str, lead: str, rnd: random.Random) -> dict[str, Any]:
    if kind == "web_visit":
        url = "https://example.com" + rnd.choice(PAGES)
        return {"url": url, "duration_seconds": rnd.randrange(300), "referrer": "https://search.example", "user_agent": AGENT}
    if kind == "form_fill":
        form = "demo-request" if rnd.random() < 0.3 else "newsletter"
        return {"form": form, "fields": {"name": lead, "title": "VP Engineering", "company_size": 500, "country": "DE"}}
    if kind == "email_click":
        return {
            "campaign": f"c-{rnd.randrange(30)}",
            "action": "click" if rnd.random() < 0.4 else "open",
            "url": "https://example.com/ebook",
        }
    return {"webinar": f"w-{rnd.randrange(20)}", "action": "attended", "attended_seconds": rnd.randrange(3600)}


def points(event: dict[str, Any]) -> float:
    """What one event is worth when it happens."""
    kind = event["kind"]
    if kind == "web_visit":
        page = event["url"].removeprefix("https://example.com")
        worth = {"/pricing": 10, "/demo": 8, "/careers": -5}.get(page, 1)
        return worth + (2 if event["duration_seconds"] > 120 else 0)
    if kind == "form_fill":
        return 30 if event["form"] == "demo-request" else 5
    if kind == "email_click":
        return 3 if event["action"] == "click" else 0.5
    return 15 if event["attended_seconds"] > 1200 else 3


def fresh() -> State:
    """The state of a lead never seen."""
    return [0.0, 0, False, 0]


def apply(state: State, event: dict[str, Any]) -> bool:
    """Add one event to a lead's state, in place; whether the lead passes the threshold for the first time."""
    score, as_of, signalled, count = state
    time, worth = event["time"], points(event)
    if time >= as_of:
        score *= 0.5 ** ((time - as_of) / HALF_LIFE_MS)
        as_of = time
    else:
        worth *= 0.5 ** ((as_of - time) / HALF_LIFE_MS)  # late: what it would be worth by now
    score += worth
    passes = score >= THRESHOLD and not signalled
    state[:] = (score, as_of, signalled or passes, count + 1)
    return passes


def signals(events: int, leads: int) -> int:
    """How many leads pass the threshold when all events are taken in the order of their times."""
    states: dict[str, State] = {}
    return sum(apply(states.setdefault(lead, fresh()), event) for _, lead, event in inputs(events, leads, SPAN_MS))
