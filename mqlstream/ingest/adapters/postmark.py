"""Postmark's webhooks: one record a call, told apart by ``RecordType``.

Field names from https://postmarkapp.com/developer/webhooks/ (open-tracking-webhook, click-webhook, delivery-webhook, bounce-webhook,
spam-complaint-webhook, subscription-change-webhook, and inbound-webhook, which has no record type).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mqlstream.ingest.adapters.base import Adapter, Found, Skip, an_object, open_object
from mqlstream.ingest.adapters.values import composed, of_types, text, told
from mqlstream.ingest.fields import shown


class _Type(NamedTuple):
    """Which action a record type is, and where it says when and who."""

    action: str
    time: str
    email: str


EVENT_TYPES = {
    "Delivery": _Type("delivered", "DeliveredAt", "Recipient"),
    "Open": _Type("open", "ReceivedAt", "Recipient"),
    "Click": _Type("click", "ReceivedAt", "Recipient"),
    "Bounce": _Type("bounce", "BouncedAt", "Email"),
    "SpamComplaint": _Type("complaint", "BouncedAt", "Email"),
    "SubscriptionChange": _Type("unsubscribe", "ChangedAt", "Recipient"),
}
PASSED_OVER = {"Inbound": "an incoming message; whether it answers a campaign is not said"}
FINAL_BOUNCES = frozenset({"HardBounce", "BadEmailAddress"})
OTHER_BOUNCES = {"SpamComplaint": "complaint", "SpamNotification": "complaint", "Unsubscribe": "unsubscribe"}


def _read(item: Any, shared: Any, options: Any) -> Found:
    record = an_object(item)
    get = record.get
    record_type = get("RecordType")
    if record_type is None and "FromFull" in record:
        return Skip(f"Inbound: {PASSED_OVER['Inbound']}")
    found = of_types("RecordType", record_type, EVENT_TYPES, PASSED_OVER)
    if type(found) is Skip:
        return found
    action = found.action
    if record_type == "Bounce":
        bounce = text(get("Type")) or ""
        action = "bounce" if bounce in FINAL_BOUNCES else OTHER_BOUNCES.get(bounce, "")
        if not action:
            return Skip(f"bounce of type {shown(bounce)}: passes by itself", "email_click")
    if record_type == "SubscriptionChange":
        why = _no_unsubscribe(record)
        if why:
            return Skip(why, "email_click")
    time, email, message, link = get(found.time), get(found.email), get("MessageID"), get("OriginalLink")
    return told(
        kind="email_click",
        id=composed(record_type, text(get("ID")) or message, email, time, link),
        time=time,
        email=email,
        action=action,
        campaign=text(get("Tag")),
        url=link,
        message_id=text(message),
        user_agent=get("UserAgent"),
        reason=get("Description"),
    )


def _no_unsubscribe(change: dict[str, Any]) -> str | None:
    """Why a change of the suppressions is no unsubscribing by the recipient."""
    if change.get("SuppressSending") is not True:
        return "a subscription was taken up again, which no action says"
    if change.get("SuppressionReason") != "ManualSuppression":
        return "follows a bounce or complaint that has a record of its own"
    origin = change.get("Origin")
    if origin is not None and origin != "Recipient":
        return f"suppressed by {shown(origin)}, not by the recipient"
    return None


POSTMARK = Adapter(
    name="postmark",
    title="Postmark",
    pages=(
        "https://postmarkapp.com/developer/webhooks/webhooks-overview",
        "https://postmarkapp.com/developer/webhooks/subscription-change-webhook",
    ),
    takes="one webhook record (`RecordType`), or a list of them",
    kinds=("email_click",),
    identity="`Recipient`, `Email`",
    event_id="none of its own: composed of `RecordType`, `ID` (bounces) or `MessageID`, recipient, time and `OriginalLink`",
    time="`DeliveredAt ReceivedAt BouncedAt ChangedAt`: RFC 3339",
    machine="none; `UserAgent` is kept as `user_agent`",
    ignored="`Inbound`; bounces that pass by themselves (`Type` other than `HardBounce BadEmailAddress`); suppressions that follow a "
    "bounce or complaint, or that `Origin` says the sender made; subscriptions taken up again",
    checked="every record type against the payloads that django-anymail is tested with; subscription changes also against the page, "
    "which says that `MessageID` is null where no recipient did it",
    open=open_object,
    read=_read,
)
