"""SendGrid's event webhook: a list of events of several messages and recipients.

Field names from https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event (`event email timestamp sg_event_id sg_message_id
url useragent category marketing_campaign_name sg_machine_open`).
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Skip, an_object, open_object
from mqlstream.ingest.adapters.values import composed, of_types, seconds_ms, text, told
from mqlstream.ingest.fields import missing

EVENT_TYPES = {
    "delivered": "delivered",
    "open": "open",
    "click": "click",
    "bounce": "bounce",
    "spamreport": "complaint",
    "unsubscribe": "unsubscribe",
    "group_unsubscribe": "unsubscribe",
}
PASSED_OVER = {
    "processed": "not yet with the recipient",
    "deferred": "will be tried again",
    "dropped": "was never sent",
    "group_resubscribe": "takes an unsubscribe back, which no action says",
    "account_status_change": "about the account",
}


def _read(item: Any, shared: Any, options: Any) -> Found:
    event = an_object(item)
    get = event.get
    action = of_types("event", get("event"), EVENT_TYPES, PASSED_OVER)
    if type(action) is Skip:
        return action
    if get("type") == "blocked":
        return Skip("bounce of type blocked: the address is good, the message was not taken", "email_click")
    category, time, url = get("category"), get("timestamp"), get("url")
    if type(category) is list:
        category = category[0] if category else None
    event_id = text(get("sg_event_id"))
    if event_id is None:
        if not get("sg_message_id") and not get("email"):
            raise missing("sg_event_id", "the event's id, or sg_message_id or email to make one of")
        event_id = composed(get("sg_message_id"), get("event"), get("email"), time, url)
    return told(
        kind="email_click",
        id=event_id,
        time=seconds_ms("timestamp", time),
        email=get("email"),
        action=action,
        campaign=text(get("marketing_campaign_name") or get("singlesend_name") or category),
        url=url,
        message_id=text(get("sg_message_id")),
        machine=True if get("sg_machine_open") is True else None,
        user_agent=get("useragent"),
        reason=get("reason"),
    )


SENDGRID = Adapter(
    name="sendgrid",
    title="SendGrid",
    pages=(
        "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event",
        "https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/understanding-apple-mail-privacy-protection-and-open-events",
    ),
    takes="the event webhook's list of events, or one of them",
    kinds=("email_click",),
    identity="`email`",
    event_id="`sg_event_id`; where it is missing, composed of message, event, email, timestamp and url",
    time="`timestamp`: epoch seconds",
    machine="`sg_machine_open` (Apple's Mail Privacy Protection)",
    ignored="`processed deferred dropped group_resubscribe account_status_change`, bounces of type `blocked`",
    checked="types, fields and batches against the first page, `sg_machine_open` against the second; `marketing_campaign_name` stands "
    "there, `singlesend_name` in open integrations only",
    open=open_object,
    read=_read,
)
