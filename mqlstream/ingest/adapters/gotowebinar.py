"""GoTo Webinar: the attendees of a session with their stays, and the webhooks about registrants.

Field names from https://developer.goto.com/GoToWebinarV2/ (attendees: `registrantKey email attendanceTimeInSeconds sessionKey
attendance.joinTime attendance.leaveTime`; those of all sessions of a webinar stand in `_embedded.attendeeParticipationResponses`) and
https://developer.goto.com/guides/GoToWebinar/07_HOW_WebHooksOverview/ (`eventName webinarKey registrantKey timestamp joinTime`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.attendance import watched
from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, beside, composed, inner, listed, needed, of_types, shared_text, text, told

EVENT_TYPES = {"registrant.added": "registered", "registrant.joined": "attended"}
PASSED_OVER = {"webinar.created": "not about a person", "webinar.changed": "not about a person", "webinar.deleted": "not about a person"}
ATTRIBUTES = {
    "firstName": "first_name",
    "lastName": "last_name",
    "organization": "company",
    "jobTitle": "title",
    "industry": "industry",
    "phone": "phone",
}
_PAGE = "attendeeParticipationResponses"


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    pages = inner(an_object(found), "_embedded")
    if "attendees" not in found and _PAGE not in pages:
        return Parts((found,))
    session = {
        "sessionKey": shared_text("sessionKey", found.get("sessionKey")),
        "webinarKey": shared_text("webinarKey", found.get("webinarKey")),
        "endTime": found.get("endTime"),
    }
    return parts_of(found["attendees"], "attendees", session) if "attendees" in found else parts_of(pages[_PAGE], _PAGE, session)


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found | list[Found]:
    payload = an_object(item)
    if "eventName" in payload:
        return _hook(payload)
    session = needed("sessionKey", payload.get("sessionKey") or at(shared, "sessionKey"), "the session's key")
    webinar = text(payload.get("webinarKey") or at(shared, "webinarKey")) or options.get("webinar") or session
    who = needed("registrantKey", payload.get("registrantKey"), "the registrant's key")
    there = watched((at(stay, "joinTime"), at(stay, "leaveTime")) for stay in listed(payload.get("attendance")))
    seconds = payload.get("attendanceTimeInSeconds")
    if there is None:
        ended = payload.get("endTime") or at(shared, "endTime")
        if ended is None or seconds not in (0, None):
            return Skip("has no times of joining", "webinar_attendance")
        return _attendance(payload, webinar, composed(session, who, "no_show"), ended, "no_show", 0)
    return _attendance(
        payload, webinar, composed(session, who, "attended"), there.first_ms, "attended", there.seconds if seconds is None else seconds
    )


def _attendance(payload: dict[str, Any], webinar: str, event_id: str, time: Any, action: str, seconds: Any) -> dict[str, Any]:
    return told(
        kind="webinar_attendance",
        id=event_id,
        time=time,
        email=payload.get("email"),
        webinar=webinar,
        action=action,
        attended_seconds=seconds if action == "attended" else None,
    )


def _hook(payload: dict[str, Any]) -> Found | list[Found]:
    action = of_types("eventName", payload.get("eventName"), EVENT_TYPES, PASSED_OVER)
    if type(action) is Skip:
        return action
    webinar = needed("webinarKey", payload.get("webinarKey"), "the webinar's key")
    who = needed("registrantKey", payload.get("registrantKey"), "the registrant's key")
    if action != "registered":
        time = payload.get("joinTime") or payload.get("timestamp")
        return _attendance(payload, webinar, composed(webinar, who, action, time), time, action, None)
    time, email = payload.get("timestamp"), payload.get("email")
    event_id = composed(webinar, who, action)
    found = _attendance(payload, webinar, event_id, time, action, None)
    attributes = {to: value for of_goto, to in ATTRIBUTES.items() if (value := payload.get(of_goto))}
    if not attributes or not email:
        return found
    return [found, told(kind="profile", id=beside(event_id, "profile"), time=time, email=email, attributes=attributes)]


GOTOWEBINAR = Adapter(
    name="gotowebinar",
    title="GoTo Webinar",
    pages=("https://developer.goto.com/GoToWebinarV2/", "https://developer.goto.com/guides/GoToWebinar/07_HOW_WebHooksOverview/"),
    takes='the attendees of a session, `{"attendees": [...]}` with `sessionKey`, `webinarKey` and `endTime` beside it, a page of the '
    "attendees of all sessions (`_embedded`), one attendee, or a webhook",
    kinds=("webinar_attendance", "profile"),
    identity="`email`",
    event_id="none of its own: composed of `sessionKey` (webhooks: `webinarKey`), `registrantKey` and action; a joining's time as well",
    time="the first `attendance.joinTime`; `joinTime` of a webhook (epoch milliseconds), else its `timestamp`; `endTime` for a no-show: "
    "RFC 3339",
    machine="none",
    ignored="webhooks about webinars; attendees without times",
    checked="the four webhooks against an AsyncAPI file and an example made from the vendor's guide, attendees against the vendor's API "
    "definition, `_embedded` against open integrations",
    notes="`attendanceTimeInSeconds` is the vendor's sum over rejoins; where it is missing the stays are summed, overlapping ones "
    "once. Somebody with 0 seconds and no stay is a `no_show` at the session's `endTime`. Bring webhooks or the report of a "
    "webinar, not both.",
    options=(Option("webinar", "text", "The webinar of attendees that name none.", "spring-launch"),),
    open=_open,
    read=_read,
)
