"""GoTo Webinar: the attendees of a session with their stays, and the webhooks about registrants.

Field names from https://developer.goto.com/GoToWebinarV2/ (attendees: `registrantKey email attendanceTimeInSeconds sessionKey
attendance.joinTime attendance.leaveTime`) and https://developer.goto.com/guides/GoToWebinar/07_HOW_WebHooksOverview/ (`eventName webinarKey
registrantKey timestamp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.attendance import watched
from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, beside, composed, listed, needed, of_types, shared_text, split_name, text, told

EVENT_TYPES = {"registrant.added": "registered", "registrant.joined": "attended"}
PASSED_OVER = {"webinar.created": "not about a person", "webinar.changed": "not about a person", "webinar.deleted": "not about a person"}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if "attendees" in an_object(found):
        session = {
            "sessionKey": shared_text("sessionKey", found.get("sessionKey")),
            "webinarKey": shared_text("webinarKey", found.get("webinarKey")),
            "endTime": found.get("endTime"),
        }
        return parts_of(found["attendees"], "attendees", session)
    return Parts((found,))


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
    time = payload.get("timestamp")
    event_id = composed(webinar, who, action, *([] if action == "registered" else [time]))
    found = _attendance(payload, webinar, event_id, time, action, None)
    names = split_name(payload.get("firstName"), payload.get("lastName"))
    if action != "registered" or not names or not payload.get("email"):
        return found
    return [found, told(kind="profile", id=beside(event_id, "profile"), time=time, email=payload.get("email"), attributes=names)]


GOTOWEBINAR = Adapter(
    name="gotowebinar",
    title="GoTo Webinar",
    pages=("https://developer.goto.com/GoToWebinarV2/", "https://developer.goto.com/guides/GoToWebinar/07_HOW_WebHooksOverview/"),
    takes='the attendees of a session, `{"attendees": [...]}` with `sessionKey`, `webinarKey` and `endTime` beside it, one attendee, '
    "or a webhook",
    kinds=("webinar_attendance", "profile"),
    identity="`email`; webhooks that carry none name no lead",
    event_id="none of its own: composed of `sessionKey` (webhooks: `webinarKey`), `registrantKey` and action; a joining's time as well",
    time="the first `attendance.joinTime`; `timestamp` of a webhook; `endTime` for a no-show: RFC 3339",
    machine="none",
    ignored="webhooks about webinars; attendees without times",
    notes="`attendanceTimeInSeconds` is the vendor's sum over rejoins; where it is missing the stays are summed, overlapping ones "
    "once. Somebody with 0 seconds and no stay is a `no_show` at the session's `endTime`. Bring webhooks or the report of a "
    "webinar, not both.",
    options=(Option("webinar", "text", "The webinar of attendees that name none.", "spring-launch"),),
    open=_open,
    read=_read,
)
