"""Postmark's webhooks: one record a call, told apart by ``RecordType``.

Field names from https://postmarkapp.com/developer/webhooks/ (open-tracking-webhook, click-webhook, delivery-webhook, bounce-webhook,
spam-complaint-webhook, subscription-change-webhook).
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
    found = of_types("RecordType", get("RecordType"), EVENT_TYPES, PASSED_OVER)
    if type(found) is Skip:
        return found
    action = found.action
    if action == "bounce":
        bounce = text(get("Type")) or ""
        action = "bounce" if bounce in FINAL_BOUNCES else OTHER_BOUNCES.get(bounce, "")
        if not action:
            return Skip(f"bounce of type {shown(bounce)}: passes by itself", "email_click")
    if action == "unsubscribe" and found.time == "ChangedAt":
        if get("SuppressSending") is not True:
            return Skip("a subscription was taken up again, which no action says", "email_click")
        if get("SuppressionReason") != "ManualSuppression":
            return Skip("follows a bounce or complaint that has a record of its own", "email_click")
    return told(
        kind="email_click",
        id=composed(get("RecordType"), text(get("ID")) or get("MessageID"), get(found.email), get(found.time), get("OriginalLink")),
        time=get(found.time),
        email=get(found.email),
        action=action,
        campaign=text(get("Tag")),
        url=get("OriginalLink"),
        message_id=text(get("MessageID")),
        user_agent=get("UserAgent"),
        reason=get("Description"),
    )


POSTMARK = Adapter(
    name="postmark",
    title="Postmark",
    pages=("https://postmarkapp.com/developer/webhooks/webhooks-overview",),
    takes="one webhook record (`RecordType`), or a list of them",
    kinds=("email_click",),
    identity="`Recipient`, `Email`",
    event_id="none of its own: composed of `RecordType`, `ID` (bounces) or `MessageID`, recipient, time and `OriginalLink`",
    time="`DeliveredAt ReceivedAt BouncedAt ChangedAt`: RFC 3339",
    machine="none; `UserAgent` is kept as `user_agent`",
    ignored="`Inbound`; bounces that pass by themselves (`Type` other than `HardBounce BadEmailAddress`); suppressions that follow a "
    "bounce or complaint; subscriptions taken up again",
    open=open_object,
    read=_read,
)
