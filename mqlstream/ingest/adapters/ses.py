"""Amazon SES: event publishing (``eventType``) and notifications (``notificationType``), in their SNS wrapper or bare.

Field names from https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html,
.../notification-contents.html and, for the wrapper, https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html. SES does
not say which of several recipients opened or clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, an_object, json_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, inner, listed, needed, of_types, text, told
from mqlstream.ingest.fields import Refused, shown


class _Type(NamedTuple):
    """Which action an event type is, the object that holds its particulars, and the list of recipients in it, if any."""

    action: str
    detail: str
    recipients: str = ""


EVENT_TYPES = {
    "Delivery": _Type("delivered", "delivery", "recipients"),
    "Open": _Type("open", "open"),
    "Click": _Type("click", "click"),
    "Bounce": _Type("bounce", "bounce", "bouncedRecipients"),
    "Complaint": _Type("complaint", "complaint", "complainedRecipients"),
    "Subscription": _Type("unsubscribe", "subscription"),
}
PASSED_OVER = {
    "Send": "not yet with the recipient",
    "Reject": "was never sent",
    "Rendering Failure": "was never sent",
    "DeliveryDelay": "will be tried again",
    "Received": "an incoming message",
    "AmazonSnsSubscriptionSucceeded": "a greeting of SES",
}
MAX_RECIPIENTS = 50  # of a message, as SES sends one
GREETING = "Successfully validated SNS topic for Amazon SES event publishing."
SUPPRESSED = "OnAccountSuppressionList"


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    return parts_of(found, "") if type(found) is list else Parts((an_object(found),))


def _read(item: Any, shared: Any, options: Any) -> Found | list[Found]:
    event = an_object(item)
    if "Message" in event:
        inside = _unwrapped(event)
        if isinstance(inside, Skip):
            return inside
        event = inside
    found = of_types("eventType", event.get("eventType") or event.get("notificationType"), EVENT_TYPES, PASSED_OVER)
    if type(found) is Skip:
        return found
    detail, mail = inner(event, found.detail), inner(event, "mail")
    why = _no_touch(found.action, detail)
    if why:
        return Skip(why, "email_click")
    to = _recipients(mail, detail, found)
    if not found.recipients and len(to) != 1:
        return Skip(f"{found.action} of a message to {len(to)} recipients: which of them it was is not said", "email_click", Reason.NO_LEAD)
    message = needed("mail.messageId", mail.get("messageId"), "the message's id")
    tags = inner(mail, "tags")
    campaign = listed(tags.get("campaign") or tags.get("ses:configuration-set"))
    time, link = detail.get("timestamp"), detail.get("link")
    told_of_all = told(
        kind="email_click",
        time=time,
        action=found.action,
        campaign=text(campaign[0]) if campaign else None,
        url=link,
        message_id=message,
        user_agent=detail.get("userAgent"),
    )
    which = text(detail.get("feedbackId")) or time
    return [{**told_of_all, "id": composed(message, found.action, address, which, link), "email": address} for address in to]


def _unwrapped(wrapper: dict[str, Any]) -> dict[str, Any] | Skip:
    """What SNS passes on; a subscription that nobody has confirmed yet is refused, so that its address is found."""
    kind, message = wrapper.get("Type"), wrapper["Message"]
    if kind == "SubscriptionConfirmation":
        raise Refused(Reason.UNKNOWN_KIND, "Type: got a SubscriptionConfirmation of SNS; visit the SubscribeURL in it once to confirm")
    if kind == "UnsubscribeConfirmation":
        return Skip("UnsubscribeConfirmation: a handshake of SNS")
    if type(message) is str and message.startswith(GREETING):
        return Skip("a greeting of SES")
    return json_object(needed("Message", message, "the JSON text of an event").encode(errors="replace"), "Message")


def _no_touch(action: str, detail: dict[str, Any]) -> str | None:
    """Why an event is none that a person has caused, or that a message is no good for."""
    if action == "bounce" and detail.get("bounceType") != "Permanent":
        return f"bounce of type {shown(detail.get('bounceType'))}: passes by itself"
    if action == "complaint" and detail.get("complaintSubType") == SUPPRESSED:
        return "complaint: an earlier one, because of which the message was not sent"
    if action == "unsubscribe" and at(detail, "newTopicPreferences", "unsubscribeAll") is not True:
        return "subscription: changes topics, not all of them"
    return None


def _recipients(mail: dict[str, Any], detail: dict[str, Any], found: _Type) -> Sequence[str]:
    """The addresses an event is about, each once."""
    to = (listed(detail.get(found.recipients)) if found.recipients else []) or listed(mail.get("destination"))
    if len(to) > MAX_RECIPIENTS:
        raise Refused(Reason.TOO_LARGE, f"{found.detail}: got {len(to)} recipients, expected at most {MAX_RECIPIENTS}")
    named = [_bare(address) for entry in to if (address := entry if type(entry) is str else text(at(entry, "emailAddress")))]
    return named if len(named) < 2 else list(dict.fromkeys(named))


def _bare(address: str) -> str:
    """The address of ``Name <address>``, as some bounces have it."""
    return address[:-1].rpartition("<")[2] if address.endswith(">") else address


SES = Adapter(
    name="ses",
    title="Amazon SES",
    pages=(
        "https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html",
        "https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html",
    ),
    takes="an SNS notification with the event in `Message`, the event itself, or a list of either",
    kinds=("email_click",),
    identity="`delivery.recipients`, `bounce.bouncedRecipients`, `complaint.complainedRecipients`, else the one address in "
    "`mail.destination`; an event is made for each recipient",
    event_id="none of its own: composed of `mail.messageId`, action, address, `feedbackId` or time, and `link`",
    time="`timestamp` of the object that is named like the event (`open.timestamp`), never that of `mail`: RFC 3339",
    machine="none; `userAgent` is kept as `user_agent`",
    ignored="`Send Reject DeliveryDelay Received`, `Rendering Failure`, bounces that are not `Permanent`, complaints because of an "
    "earlier one (`complaintSubType` `OnAccountSuppressionList`), greetings of SES and goodbyes of SNS, subscriptions without "
    "`unsubscribeAll`; opens and clicks of messages to several recipients (`no_lead`)",
    checked="both forms, the wrapper and the greeting of event publishing against django-anymail's adapter, the types against the "
    "vendor's pages, `complaintSubType` against the API's reference, the fields of `subscription` against open typings of the vendor's "
    "page, the greeting `AmazonSnsSubscriptionSucceeded` against one recorded by others",
    notes="A `SubscriptionConfirmation` of SNS becomes a dead letter, for the address in it must be visited once.",
    open=_open,
    read=_read,
)
