"""Livestorm: people of a session, as its webhooks and its API write them.

Field names from https://developers.livestorm.co/docs/webhooks-1 (`people.registered people.attended people.not_attended
people.watched_replay`; the name stands in `data.meta.webhook.event`) and
https://developers.livestorm.co/reference/get_sessions-id-people (`attributes.email`, `attributes.registrant_detail`: `event_id
session_id created_at updated_at attended attendance_duration has_viewed_replay is_guest_speaker fields`).

A person's object says where the person stands, not what has just happened. So each one gives what it shows: a registration always, then
attendance and replay if they are there. Seen again they have the same ids, and count once.
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, json_object, needed_object, parts_of
from mqlstream.ingest.adapters.values import at, composed, inner, listed, of_types, seconds_ms, split_name, text, told
from mqlstream.ingest.fields import missing, shown

EVENT_TYPES = {
    "people.registered": "registered",
    "people.attended": "attended",
    "people.not_attended": "no_show",
    "people.watched_replay": "watched_on_demand",
}
PASSED_OVER = {
    "event.created": "not about a person",
    "event.published": "not about a person",
    "session.created": "not about a person",
    "session.started": "not about a person",
    "session.ended": "not about a person",
    "job.ended": "not about a person",
}
MADE_UP = "@unknown.livestorm.co"  # of people whom a form did not ask for their address
ATTRIBUTES = {
    "company": "company",
    "job_title": "title",
    "industry": "industry",
    "company_size": "company_size",
    "country": "country",
    "phone": "phone",
}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_object(value)
    hook = text(at(found, "data", "meta", "webhook", "event") or at(found, "meta", "webhook", "event") or found.get("event"))
    if type(found.get("data")) is list:
        return parts_of(found["data"], "data", hook)
    return Parts((found.get("data", found),), None, hook)


def _read(item: Any, shared: Any, options: Any) -> Found | list[Found]:
    person = needed_object("data", item)
    named = None
    if shared is not None:
        named = of_types("meta.webhook.event", shared, EVENT_TYPES, PASSED_OVER)
        if type(named) is Skip:
            return named
    if person.get("type") is None:
        raise missing("type", "people, or another type of object")
    if person.get("type") != "people":
        return Skip(f"type {shown(person.get('type'))}: not about a person")
    attributes = inner(person, "attributes")
    detail = attributes.get("registrant_detail")
    if type(detail) is not dict:
        return Skip("has no registrant_detail: a member of the team")
    if detail.get("is_guest_speaker") is True or attributes.get("role") == "team_member":
        return Skip("speaks or belongs to the team: no buyer", "webinar_attendance")
    return _shown(person, attributes, detail, named)


def _shown(person: dict[str, Any], attributes: dict[str, Any], detail: dict[str, Any], named: str | None) -> list[Found]:
    """All that the state of a person says has happened."""
    session = text(detail.get("session_id")) or text(detail.get("event_id"))
    email = text(attributes.get("email"))
    if email is not None and email.endswith(MADE_UP):
        email = None
    who = email or text(person.get("id"))
    if session is None or who is None:
        raise missing("registrant_detail.session_id" if session is None else "email", "a text")
    common = told(kind="webinar_attendance", email=email, webinar=text(detail.get("event_id")) or session)
    registered_ms = _moment("created_at", detail.get("created_at"))
    found: list[Found] = [{**common, "id": composed(session, who, "registered"), "time": registered_ms, "action": "registered"}]
    fields = {name: at(field, "value") for field in listed(detail.get("fields")) if (name := text(at(field, "id"))) is not None}
    known = split_name(attributes.get("first_name"), attributes.get("last_name"))
    known |= {to: fields[name] for name, to in ATTRIBUTES.items() if fields.get(name) not in (None, "")}
    if known:
        found.append(told(kind="profile", id=composed(session, who, "profile"), time=registered_ms, email=email, attributes=known))
    updated = detail.get("updated_at")
    for action, holds in (
        ("attended", detail.get("attended") is True),
        ("no_show", named == "no_show"),
        ("watched_on_demand", detail.get("has_viewed_replay") is True or named == "watched_on_demand"),
    ):
        if holds:
            event = {**common, "id": composed(session, who, action), "time": _moment("updated_at", updated), "action": action}
            if action == "attended" and detail.get("attendance_duration") is not None:
                event["attended_seconds"] = detail["attendance_duration"]
            found.append(event)
    return found


def _moment(name: str, value: Any) -> Any:
    """Livestorm writes epoch seconds; RFC 3339 passes as it is."""
    return value if type(value) is str and "T" in value else seconds_ms(f"registrant_detail.{name}", value)


LIVESTORM = Adapter(
    name="livestorm",
    title="Livestorm",
    pages=("https://developers.livestorm.co/docs/webhooks-1", "https://developers.livestorm.co/reference/get_sessions-id-people"),
    takes="one person (`data`), or a list of a session's people; a webhook's name where it is given (`data.meta.webhook.event`, "
    "`meta.webhook.event` or `event`)",
    kinds=("webinar_attendance", "profile"),
    identity="`attributes.email`, unless Livestorm made it up (`@unknown.livestorm.co`)",
    event_id="none of its own: composed of `registrant_detail.session_id` (else `event_id`), the email, and the action",
    time="`registrant_detail.created_at` of a registration, `updated_at` of all else: epoch seconds",
    machine="none",
    ignored="webhooks about events, sessions and jobs; members of the team (no `registrant_detail`, or `role` `team_member`) and "
    "guest speakers",
    checked="the webhooks' names against the first page; a person's fields, made-up addresses and times in seconds against Livestorm's "
    "own examples on GitHub; `data.meta.webhook.event` and `role` against one open integration",
    notes="An object says where a person stands: it gives a registration with a profile, and `attended` (with `attendance_duration`, "
    "the vendor's sum over rejoins) and `watched_on_demand` as soon as it shows them. What is shown again has the same id; the "
    "first counts. `no_show` only where the webhook is named.",
    open=_open,
    read=_read,
)
