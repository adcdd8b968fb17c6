"""Zoom webinars: webhooks as they happen, and the participants' report afterwards.

Field names from https://developers.zoom.us/docs/api/webinars/events/ (`webinar.registration_created`, `webinar.participant_joined`,
`webinar.participant_left`: `event event_ts payload.object.uuid .id .topic .registrant .participant`) and
https://developers.zoom.us/docs/api/rest/reference/zoom-api/methods/#operation/reportWebinarParticipants (`participants: join_time
leave_time user_email registrant_id duration`).

A webhook tells of one joining or one leaving, and this program keeps nothing between two records: so each joining is an `attended`
without seconds, and rules count one a webinar by a limit. Whoever leaves and comes back stands in the report once for each stay; a report
is one record, so here the stays are summed, and each person is one `attended` with seconds. Bring webhooks or the report, not both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.attendance import watched
from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_object, parts_of
from mqlstream.ingest.adapters.values import at, beside, composed, inner, needed, of_types, shared_text, text
from mqlstream.ingest.fields import missing, shown

EVENT_TYPES = {
    "webinar.registration_created": "registered",
    "webinar.participant_joined": "attended",
    "webinar.participant_left": "left",
}
PASSED_OVER = {
    "endpoint.url_validation": "a handshake of Zoom",
    "webinar.created": "not about a person",
    "webinar.updated": "not about a person",
    "webinar.deleted": "not about a person",
    "webinar.started": "not about a person",
    "webinar.ended": "not about a person",
    "webinar.alert": "not about a person",
    "webinar.permanently_deleted": "not about a person",
    "webinar.recovered": "not about a person",
    "webinar.sharing_started": "shown, not watched",
    "webinar.sharing_ended": "shown, not watched",
    "webinar.chat_message_sent": "no joining or leaving",
    "webinar.chat_message_file_sent": "no joining or leaving",
    "webinar.participant_bind": "no joining or leaving",
    "webinar.participant_feedback": "no joining or leaving",
    "webinar.participant_role_changed": "no joining or leaving",
    "webinar.registration_approved": "follows a registration",
    "webinar.registration_denied": "takes a registration back, which no action says",
    "webinar.registration_cancelled": "takes a registration back, which no action says",
}
WHEN = {"attended": "join_time", "left": "leave_time"}
ATTRIBUTES = {
    "first_name": "first_name",
    "last_name": "last_name",
    "job_title": "title",
    "org": "company",
    "no_of_employees": "company_size",
    "industry": "industry",
    "country": "country",
    "phone": "phone",
}


def _open(value: bytes, headers: Headers, options: Mapping[str, Any]) -> Parts:
    found = json_object(value)
    if "participants" not in found:
        return Parts((found,))
    # The rows of a person belong together; the order is that of their first rows.
    people: dict[str, list[Any]] = {}
    for number, row in enumerate(parts_of(found["participants"], "participants").items):
        who = text(at(row, "user_email")) or text(at(row, "registrant_id")) or text(at(row, "id")) or f"row {number}"
        people.setdefault(who.lower(), []).append(row)
    webinar = shared_text("webinar_id", found.get("webinar_id"), found.get("id"), options.get("webinar"))
    webinar_uuid = shared_text("webinar_uuid", found.get("webinar_uuid"), found.get("uuid"), webinar)
    return Parts(list(people.items()), "participants by person", (webinar or webinar_uuid, webinar_uuid))


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found | list[Found]:
    if type(item) is tuple:
        who, rows = item
        return _reported(who, rows, *shared)
    hook = an_object(item)
    told_event = hook.get("event")
    if type(told_event) is str and told_event[:8] == "meeting.":
        return Skip(f"{shown(told_event)}: not about a webinar")
    action = of_types("event", told_event, EVENT_TYPES, PASSED_OVER)
    if type(action) is Skip:
        return action
    webinar = inner(hook.get("payload"), "object")
    name = text(webinar.get("id")) or needed("payload.object.uuid", webinar.get("uuid"), "the webinar's id")
    place = text(webinar.get("uuid")) or name
    if action == "registered":
        return _registered(hook, webinar, name, place)
    person = inner(webinar, "participant")
    when, email = person.get(WHEN[action]), text(person.get("email"))
    who = text(person.get("registrant_id")) or text(person.get("id")) or email or text(person.get("user_id"))
    # Somebody may come more than once.
    return _attendance(composed(place, who, action, when), when, email, name, action, webinar)


def _registered(hook: dict[str, Any], webinar: dict[str, Any], name: str, place: str) -> list[Found]:
    """Somebody registers once; what the form asked is told of the person."""
    person = inner(webinar, "registrant")
    when, email = hook.get("event_ts"), text(person.get("email"))
    event_id = composed(place, text(person.get("id")) or email, "registered")
    attributes = {to: value for of_zoom, to in ATTRIBUTES.items() if (value := person.get(of_zoom))}
    profile = {"kind": "profile", "id": beside(event_id, "profile"), "time": when, "email": email, "attributes": attributes}
    return [_attendance(event_id, when, email, name, "registered", webinar), profile]


def _attendance(event_id: str, when: Any, email: str | None, name: str, action: str, webinar: dict[str, Any]) -> dict[str, Any]:
    found = {"kind": "webinar_attendance", "id": event_id, "time": when, "email": email, "webinar": name, "action": action}
    topic = webinar.get("topic")
    if topic is not None:
        found["topic"] = topic
    return found


def _reported(who: str, rows: list[Any], webinar: str | None, webinar_uuid: str | None) -> Found:
    """One person of a report, whose stays are its rows."""
    if webinar is None:
        raise missing("webinar_id", "the webinar's id beside the participants, or the option `webinar`")
    stays = [(row.get("join_time"), row.get("leave_time")) for row in map(an_object, rows) if row.get("status") != "in_waiting_room"]
    there = watched(stays)
    if there is None:
        return Skip("was in the waiting room only", "webinar_attendance")
    email = next((email for row in rows if (email := text(row.get("user_email")))), None)
    return {
        "kind": "webinar_attendance",
        "id": composed(webinar_uuid, who, "attended", there.first_ms),
        "time": there.first_ms,
        "email": email,
        "webinar": webinar,
        "action": "attended",
        "attended_seconds": there.seconds,
        "stays": len(rows),
    }


ZOOM = Adapter(
    name="zoom",
    title="Zoom webinars",
    pages=(
        "https://developers.zoom.us/docs/api/webinars/events/",
        "https://zoom.github.io/rivet-javascript/types/Meetings.WebinarParticipantJoinedEvent.html",
        "https://developers.zoom.us/docs/api/rest/reference/zoom-api/methods/#operation/reportWebinarParticipants",
    ),
    takes="one webhook, or a report of a webinar's participants (`participants`, with `webinar_id` and, if possible, `webinar_uuid` "
    "put beside it)",
    kinds=("webinar_attendance", "profile"),
    identity="`payload.object.registrant.email`, `payload.object.participant.email`, `user_email` of a report (empty for guests who "
    "did not register)",
    event_id="none of its own: composed of the webinar's `uuid`, `registrant_id`, `id` or email of the person, action, and the time "
    "of joining or leaving",
    time="`event_ts` (epoch milliseconds) of a registration, `join_time`, `leave_time`: RFC 3339",
    machine="none",
    ignored="events of the webinar itself, approvals, denials and cancellations of registrations, chat, feedback and roles, meetings, the "
    "handshake `endpoint.url_validation`",
    checked="every event's name, the fields of registrations, joinings, leavings and of the report's rows against the types of Zoom's own "
    "library (rivet-javascript)",
    notes="A webhook tells of one joining or leaving, without the time between: each joining is an `attended` without seconds (limit "
    "rules to one a webinar). A report lists every stay: a person's stays are summed, overlapping ones once, into one "
    "`attended` with `attended_seconds`. Join the pages of a report into one record first, or a person on two pages attends "
    "twice. Bring webhooks or the report of a webinar, not both.",
    options=(Option("webinar", "text", "The webinar of reports that name none.", "spring-launch"),),
    open=_open,
    read=_read,
)
