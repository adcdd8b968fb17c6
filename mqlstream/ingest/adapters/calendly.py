"""Calendly's webhooks: meetings that invitees book and cancel, and routing forms.

Field names from https://developer.calendly.com/api-docs/ (webhook payloads: `event created_at payload.uri .email .scheduled_event .tracking
.questions_and_answers .rescheduled .old_invitee .cancellation`) and
https://developer.calendly.com/see-how-webhook-payloads-change-when-invitees-reschedule-events.
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Skip, an_object, needed_object, open_object
from mqlstream.ingest.adapters.values import at, composed, email_in, inner, listed, needed, of_types, text, told

EVENT_TYPES = {
    "invitee.created": "meeting_booked",
    "invitee.canceled": "meeting_canceled",
    "invitee_no_show.created": "meeting_missed",
    "routing_form_submission.created": "form_fill",
}
PASSED_OVER = {"invitee_no_show.deleted": "takes a missed meeting back, which nothing says"}


def _read(item: Any, shared: Any, options: Any) -> Found:
    hook = an_object(item)
    name = of_types("event", hook.get("event"), EVENT_TYPES, PASSED_OVER)
    if type(name) is Skip:
        return name
    payload = needed_object("payload", hook.get("payload"))
    if name == "meeting_canceled" and payload.get("rescheduled") is True:
        return Skip("canceled because it was rescheduled: the new booking comes by itself", "activity")
    get = payload.get
    answers = {
        question: answer.get("answer")
        for answer in listed(get("questions_and_answers"))
        if (question := text(at(answer, "question"))) is not None
    }
    # A missed meeting is named by the invitee that it is about.
    uri = needed("payload.uri", get("uri"), "the invitee's address")
    tracking = {key[4:]: value for key, value in inner(payload, "tracking").items() if key[:4] == "utm_" and value}
    found = told(id=composed(uri, name), time=hook.get("created_at"), email=get("email"), utm=tracking or None)
    if name == "form_fill":
        address = next((value for value in answers.values() if email_in(value)), None)
        if address is not None:
            found.setdefault("email", address)
        return found | {"kind": "form_fill", "form": text(get("routing_form")) or "routing_form", "fields": answers}
    meeting, cancellation = inner(payload, "scheduled_event"), inner(payload, "cancellation")
    if name == "meeting_booked" and get("old_invitee"):
        name = "meeting_rescheduled"
    properties = told(
        meeting=meeting.get("name"),
        event_type=meeting.get("event_type"),
        start_time=meeting.get("start_time"),
        answers=answers or None,
        reason=cancellation.get("reason"),
        canceled_by=cancellation.get("canceler_type"),
    )
    found["kind"], found["name"], found["properties"] = "activity", name, properties
    return found


CALENDLY = Adapter(
    name="calendly",
    title="Calendly",
    pages=(
        "https://developer.calendly.com/api-docs/",
        "https://developer.calendly.com/see-how-webhook-payloads-change-when-invitees-reschedule-events",
    ),
    takes="one webhook, or a list of them",
    kinds=("activity", "form_fill"),
    identity="`payload.email`; of a routing form the first answer that looks like an address",
    event_id="composed of `payload.uri` and what happened",
    time="`created_at` of the webhook: RFC 3339",
    machine="none",
    ignored="cancellations because of rescheduling; `invitee_no_show.deleted`",
    notes="Activities `meeting_booked`, `meeting_rescheduled`, `meeting_canceled` and `meeting_missed`, with `properties` `meeting "
    "event_type start_time answers reason canceled_by` (`invitee` or `host`); a routing form is a form fill.",
    checked="bookings, cancellations and routing forms against an AsyncAPI file made from the vendor's reference, rescheduling against the "
    "second page; that a missed meeting comes with the invitee's own fields against another product's documentation",
    open=open_object,
    read=_read,
)
