"""Amazon SES: event publishing (``eventType``) and notifications (``notificationType``), in their SNS wrapper or bare.

Field names from https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html,
.../notification-contents.html and, for the wrapper, https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html.
"""

from __future__ import annotations

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
}
MAX_RECIPIENTS = 50  # of a message, as SES sends one
WRAPPERS = {"SubscriptionConfirmation": "a handshake of SNS", "UnsubscribeConfirmation": "a handshake of SNS"}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    return parts_of(found, "") if type(found) is list else Parts((an_object(found),))


def _read(item: Any, shared: Any, options: Any) -> Found | list[Found]:
    event = an_object(item)
    if "Message" in event:
        wrapper = event.get("Type")
        if type(wrapper) is str and wrapper in WRAPPERS:
            return Skip(f"{wrapper}: {WRAPPERS[wrapper]}")
        event = json_object(needed("Message", event["Message"], "the JSON text of an event").encode(errors="replace"), "Message")
    found = of_types("eventType", event.get("eventType") or event.get("notificationType"), EVENT_TYPES, PASSED_OVER)
    if type(found) is Skip:
        return found
    detail = inner(event, found.detail)
    if found.action == "bounce" and detail.get("bounceType") != "Permanent":
        return Skip(f"bounce of type {shown(detail.get('bounceType'))}: passes by itself", "email_click")
    if found.action == "unsubscribe" and at(detail, "newTopicPreferences", "unsubscribeAll") is not True:
        return Skip("subscription: changes topics, not all of them", "email_click")
    to = _recipients(event, detail, found)
    if not found.recipients and len(to) != 1:
        return Skip(f"{found.action} of a message to {len(to)} recipients: which of them it was is not said", "email_click", Reason.NO_LEAD)
    message = needed("mail.messageId", at(event, "mail", "messageId"), "the message's id")
    tags = inner(event, "mail", "tags")
    campaign = text(next(iter(listed(tags.get("campaign") or tags.get("ses:configuration-set"))), None))
    time = detail.get("timestamp")
    return [
        told(
            kind="email_click",
            id=composed(message, found.action, address, text(detail.get("feedbackId")) or time, detail.get("link")),
            time=time,
            email=address,
            action=found.action,
            campaign=campaign,
            url=detail.get("link"),
            message_id=message,
            user_agent=detail.get("userAgent"),
        )
        for address in to
    ]


def _recipients(event: dict[str, Any], detail: dict[str, Any], found: _Type) -> list[str]:
    """The addresses an event is about, each once."""
    to = (listed(detail.get(found.recipients)) if found.recipients else []) or listed(at(event, "mail", "destination"))
    if len(to) > MAX_RECIPIENTS:
        raise Refused(Reason.TOO_LARGE, f"{found.detail}: got {len(to)} recipients, expected at most {MAX_RECIPIENTS}")
    named = [entry if type(entry) is str else text(at(entry, "emailAddress")) for entry in to]
    return list(dict.fromkeys([_bare(address) for address in named if address]))


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
    ignored="`Send Reject DeliveryDelay Received`, `Rendering Failure`, bounces that are not `Permanent`, handshakes of SNS, "
    "subscriptions without `unsubscribeAll`; opens and clicks of messages to several recipients (`no_lead`)",
    open=_open,
    read=_read,
)
