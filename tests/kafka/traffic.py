"""What a market's systems write: canonical events of all kinds about many leads, and the disorder in which they arrive.

Deterministic by seed. Events are plain dicts, as platform teams would write them; nothing here knows how they are scored.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from mqlstream.topics import Topics
from tests.kafka.installation import Sent

Json = dict[str, Any]

DAY_MS = 86_400_000
START_MS = 1_746_057_600_000  # 2025-05-01T00:00:00Z
DAYS = 60
SALES = "sales-"  # leads with this prefix get feedback and commands too
_TOPIC_OF = {
    "web_visit": "web_visits",
    "form_fill": "form_fills",
    "email_click": "email_clicks",
    "webinar_attendance": "webinar_attendance",
    "activity": "activities",
    "profile": "profiles",
    "feedback": "feedback",
    "command": "commands",
}
_KINDS = ("web_visit",) * 9 + ("email_click",) * 5 + ("form_fill",) * 3 + ("activity",) * 4 + ("webinar_attendance",) * 2 + ("profile",) * 2
_PATHS = ("/", "/pricing", "/pricing?plan=team&utm_source=mail", "/product", "/careers/job-7", "/docs/ü?q=1&q=2")
_TITLES = ("CEO", "VP Marketing", "Director of IT", "Head of Sales", "Marketing Manager", "Student", "Analyst")
_SIZES = (3, 80, 250, 900, 20_000)
_DOMAINS = ("acme.example", "buyer.example", "gmail.com", "rival.example", "mailinator.com")


@dataclass(frozen=True, slots=True)
class Person:
    """One lead. What it is does not change; profiles tell more or less of it."""

    who: Json
    title: str
    size: int
    customer: bool
    zeal: float  # how much of the traffic it makes; bounded, for what a ledger has no place for can't be looked back at


def people(rng: random.Random, count: int) -> list[Person]:
    """Leads known by id, by email, or by both, written as people write."""
    found = []
    for number in range(count):
        email = f"p{number}@{rng.choice(_DOMAINS)}"
        written = email if rng.random() < 0.8 else f"  {email.upper()} "
        lead_id = f"{SALES}{number}" if number % 20 == 0 else f"lead-{number}"
        who = rng.choice(({"lead_id": lead_id}, {"email": written}, {"lead_id": lead_id, "email": written}))
        if number % 20 == 0:
            who = {"lead_id": lead_id, "email": written}
        found.append(Person(who, rng.choice(_TITLES), rng.choice(_SIZES), rng.random() < 0.05, min(50.0, rng.paretovariate(1.2))))
    return found


def events(rng: random.Random, count: int, leads: int, start_ms: int = START_MS, kinds: tuple[str, ...] = _KINDS) -> list[Json]:
    """``count`` events of ``leads`` people over 60 days, in order of time, each with an id of its own."""
    everybody = people(rng, leads)
    chosen = rng.choices(everybody, [person.zeal for person in everybody], k=count)
    step_ms = DAYS * DAY_MS // count
    found = []
    for number, person in enumerate(chosen):
        time = start_ms + number * step_ms + rng.randrange(step_ms)
        found.append(_event(rng, number, time, person, rng.choice(kinds)))
    return found


def _event(rng: random.Random, number: int, time: int, person: Person, kind: str) -> Json:
    if person.who.get("lead_id", "").startswith(SALES) and rng.random() < 0.1:
        kind = rng.choice(("feedback", "command"))
    event = {"id": f"e{number}", "source": rng.choice(("site", "mailer", "crm")), "kind": kind, "time": time}
    event |= person.who | _fields(rng, kind, person)
    if rng.random() < 0.03 and kind == "email_click":
        event["machine"] = True
    if rng.random() < 0.02 and kind not in ("feedback", "command", "profile"):
        for name in ("lead_id", "email"):
            event.pop(name, None)
        event["anonymous_id"] = f"cookie-{number}"
    return event


def _fields(rng: random.Random, kind: str, person: Person) -> Json:
    if kind == "web_visit":
        return {"url": f"https://www.acme.example{rng.choice(_PATHS)}", "duration_seconds": rng.choice((2, 15, 31.5))}
    if kind == "form_fill":
        return {"form": rng.choice(("demo", "guide", "newsletter")), "fields": {"comment": "näher 😀", "company_size": person.size}}
    if kind == "email_click":
        action = rng.choice(("delivered", "open", "click", "click", "unsubscribe" if rng.random() < 0.2 else "open"))
        return {"action": action, "campaign": rng.choice(("spring", "summer"))}
    if kind == "webinar_attendance":
        return {"webinar": "w1", "action": rng.choice(("registered", "attended", "no_show")), "attended_seconds": 1800}
    if kind == "activity":
        return {"name": rng.choice(("content_download", "chat", "cta_click", "product_use")), "properties": {"asset": "guide"}}
    if kind == "profile":
        return {"attributes": _attributes(rng, person)}
    if kind == "feedback":
        return {"decision": rng.choice(("accepted", "rejected")), "definition": "moody"}
    return {"do": rng.choice(("freeze", "resume", "reset")), "by": "ops"}


def _attributes(rng: random.Random, person: Person) -> Json:
    known: Json = {"title": person.title, "company_size": person.size, "company": "Acme", "consent": True}
    for name in list(known):
        if rng.random() < 0.3:
            del known[name]
    if person.customer:
        known["customer"] = rng.random() < 0.5
    return known


def disorder(rng: random.Random, history: Iterable[Json], late: float = 0.15, again: float = 0.04) -> list[Json]:
    """The events in an order in which they may arrive: a part of them late by hours or weeks, a part of them twice."""
    arriving: list[tuple[float, int, Json]] = []
    for event in history:
        delay = rng.choice((3_600_000, DAY_MS, 20 * DAY_MS)) * rng.random() if rng.random() < late else 0
        arriving.append((event["time"] + delay, len(arriving), event))
        if rng.random() < again:
            arriving.append((event["time"] + delay + rng.choice((0, DAY_MS)) * rng.random(), len(arriving), event))
    return [event for _, _, event in sorted(arriving, key=lambda item: item[:2])]


def sent(rng: random.Random, topics: Topics, event: Json) -> Sent:
    """The event as a record, keyed as sources do: by the lead, by a cookie, or not at all; the kind may be left to the topic."""
    topic = topic_of(topics, event)
    told = {name: value for name, value in event.items() if name != "kind"} if rng.random() < 0.5 else event
    key = rng.choice((None, f"cookie-{rng.randrange(50)}".encode(), str(event.get("lead_id", "")).encode()))
    return Sent(topic, orjson.dumps(told), key)


def topic_of(topics: Topics, event: Json) -> str:
    """The full name of the topic of an event's kind."""
    return str(getattr(topics, _TOPIC_OF[event["kind"]]))


def portions(items: list[Any], count: int) -> Iterator[list[Any]]:
    """The list cut into so many pieces of about one size, in order."""
    for number in range(count):
        yield items[len(items) * number // count : len(items) * (number + 1) // count]
