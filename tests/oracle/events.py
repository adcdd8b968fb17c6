"""Canonical events as the oracle sees them: identity, order, duplicates, derived fields, attributes.

Here is everything about events that does not depend on a rule. What counts for points (flood, horizon, ledger) is
in `counting`. Times are integer epoch milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]

SCORED_KINDS = ("web_visit", "form_fill", "email_click", "webinar_attendance", "activity")
NO_ACTIVITY = ("delivered", "bounce", "complaint", "no_show")
FIRST_TIME_MS = 946_684_800_000  # 2000-01-01T00:00:00Z
END_TIME_MS = 4_133_980_800_000  # 2101-01-01T00:00:00Z

# Enough of the kinds of mailboxes for the addresses that the generators use.
DISPOSABLE_DOMAINS = ("mailinator.com",)
ROLE_NAMES = ("info", "sales")
FREE_DOMAINS = ("gmail.com", "yahoo.com")

Key = tuple[str, str]
Order = tuple[int, str, str]


@dataclass(frozen=True)
class Entry:
    """One accepted event of a lead. `fields` is the event with its derived fields."""

    lead: str
    time: int
    source: str
    id: str
    kind: str
    machine: bool
    email: str | None
    fields: Json

    @property
    def key(self) -> Key:
        """What makes two events of a lead one event."""
        return self.source, self.id

    @property
    def order(self) -> Order:
        """The order of section 1; Python compares text by code point."""
        return self.time, self.source, self.id

    @property
    def is_activity(self) -> bool:
        """Whether the event is of a kind and action that ends a gap (machines are judged elsewhere)."""
        return self.kind in SCORED_KINDS and self.fields.get("action") not in NO_ACTIVITY


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def epoch_ms(value: int | str) -> int:
    """Epoch milliseconds of a number or of an RFC 3339 text with an offset."""
    if isinstance(value, int):
        return value
    moment = datetime.fromisoformat(value)
    whole_seconds = int(moment.replace(microsecond=0).timestamp())
    return whole_seconds * 1000 + moment.microsecond // 1000


def normalised_email(event: Mapping[str, Any]) -> str | None:
    """The address trimmed and folded, or None."""
    email = event.get("email")
    return email.strip().casefold() if isinstance(email, str) and email.strip() else None


def lead_of(event: Mapping[str, Any]) -> str | None:
    """The lead that an event belongs to offline, or None (`ignored(no_lead)`)."""
    return event.get("lead_id") or normalised_email(event)


def with_derived_fields(event: Json) -> Json:
    """The event with what its `url` says; fields that it has itself win, but null is missing."""
    url = event.get("url")
    if not isinstance(url, str):
        return event
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))  # dict: the last value wins
    utm = {name.removeprefix("utm_"): value for name, value in query.items() if name.startswith("utm_")}
    derived = {"host": parts.hostname, "path": parts.path or "/", "query": query, "utm": utm}
    return event | {name: value for name, value in derived.items() if event.get(name) is None}


def entry_of(event: Json) -> Entry | None:
    """The event as an entry; None when it is ignored (no lead) or rejected (time)."""
    lead, time = lead_of(event), epoch_ms(event["time"])
    if lead is None or not FIRST_TIME_MS <= time < END_TIME_MS:
        return None
    return Entry(
        lead=lead,
        time=time,
        source=event.get("source", "default"),
        id=event["id"],
        kind=event["kind"],
        machine=event.get("machine") is True,
        email=normalised_email(event),
        fields=with_derived_fields(event),
    )


def histories(events: Iterable[Json]) -> dict[str, list[Entry]]:
    """The accepted events of each lead in order, each once: of those that differ, the first by order and canonical JSON."""
    accepted = [(entry.order, canonical_json(event), entry) for event in events if (entry := entry_of(event)) is not None]
    accepted.sort(key=lambda item: item[:2])
    by_lead: dict[str, dict[Key, Entry]] = {}
    for _, _, entry in accepted:
        by_lead.setdefault(entry.lead, {}).setdefault(entry.key, entry)
    return {lead: sorted(entries.values(), key=lambda entry: entry.order) for lead, entries in by_lead.items()}


def email_kind(email: str) -> str:
    """`disposable`, `role`, `free` or `business`: the first that holds."""
    name, _, domain = email.rpartition("@")
    if domain in DISPOSABLE_DOMAINS:
        return "disposable"
    if name in ROLE_NAMES:
        return "role"
    return "free" if domain in FREE_DOMAINS else "business"


def attributes(entries: Sequence[Entry], as_of: int, retracted: Collection[Key] = ()) -> Json:
    """Who the lead is at `as_of`: profile attributes, each the last in order, and the derived ones.

    `entries` is every accepted event of the lead in order, whatever became of it; not empty. One that was `retracted` says nothing
    of the lead, but for that it was there.
    """
    found: Json = {}
    saying = [entry for entry in entries if entry.key not in retracted]
    for entry in saying:
        if entry.kind == "profile":
            found |= entry.fields.get("attributes") or {}
    emails = [entry.email for entry in saying if entry.email is not None]
    if emails and "@" in emails[-1]:
        found["email_domain"] = emails[-1].rpartition("@")[2]
        found["email_kind"] = email_kind(emails[-1])
    first_seen = min(entry.time for entry in entries)
    found["first_seen"] = first_seen
    found["age"] = as_of - first_seen
    return found
