"""Mailgun's webhooks (``{"signature": ..., "event-data": ...}``), bare events, and pages of the events API (``{"items": [...]}``).

Field names from https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads and, for ``client-info.bot``,
https://documentation.mailgun.com/docs/mailgun/user-manual/tracking-messages/open-click-bot-detect. The id is promised to be unique
within a day only, so the day is part of ours.
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, an_object, json_value, needed_object, parts_of
from mqlstream.ingest.adapters.values import at, composed, inner, listed, needed, of_types, seconds_ms, text, told

EVENT_TYPES = {
    "delivered": "delivered",
    "opened": "open",
    "clicked": "click",
    "unsubscribed": "unsubscribe",
    "complained": "complaint",
    "failed": "bounce",
}
PASSED_OVER = {
    "accepted": "not yet with the recipient",
    "rejected": "was never sent",
    "stored": "an incoming message",
    "list_member_uploaded": "about a mailing list",
    "list_member_upload_error": "about a mailing list",
    "list_uploaded": "about a mailing list",
}
NEVER_SENT = frozenset({"suppress-unsubscribe", "suppress-complaint"})  # the address itself is good
_DAY_MS = 86_400_000


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if "items" in an_object(found):
        return parts_of(found["items"], "items")
    return Parts((found,))


def _read(item: Any, shared: Any, options: Any) -> Found:
    event = an_object(item)
    event = needed_object("event-data", event["event-data"]) if "event-data" in event else event
    get = event.get
    action = of_types("event", get("event"), EVENT_TYPES, PASSED_OVER)
    if type(action) is Skip:
        return action
    reason = get("reason")
    if action == "bounce" and get("severity") == "temporary":
        return Skip("failed with severity temporary: will be tried again", "email_click")
    if action == "bounce" and type(reason) is str and reason in NEVER_SENT:
        return Skip(f"failed, {reason}: an earlier wish, because of which the message was not sent", "email_click")
    time_ms = seconds_ms("timestamp", get("timestamp"))
    campaigns, tags, client = listed(get("campaigns")), listed(get("tags")), inner(event, "client-info")
    campaign = text(at(campaigns[0], "name")) if campaigns else None
    return told(
        kind="email_click",
        id=composed(time_ms // _DAY_MS, needed("id", get("id"), "the event's id")),
        time=time_ms,
        email=get("recipient"),
        action=action,
        campaign=campaign or (text(tags[0]) if tags else None),
        url=get("url"),
        message_id=text(at(event, "message", "headers", "message-id")),
        machine=True if client.get("bot") else None,
        user_agent=client.get("user-agent"),
        reason=reason,
    )


MAILGUN = Adapter(
    name="mailgun",
    title="Mailgun",
    pages=(
        "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads",
        "https://documentation.mailgun.com/docs/mailgun/user-manual/tracking-messages/open-click-bot-detect",
    ),
    takes="a webhook (`event-data`), a bare event, or a page of the events API (`items`)",
    kinds=("email_click",),
    identity="`recipient`",
    event_id="composed of the UTC day and `id`, which is unique within a day only",
    time="`timestamp`: epoch seconds with a fraction",
    machine="`client-info.bot`, unless it is empty: `apple`, `gmail`, `generic`, or what else it names",
    ignored="`accepted rejected stored` and lists; `failed` with severity `temporary`, or because of an earlier unsubscribe or "
    "complaint; `signature` (who lets a webhook in checks it)",
    checked="the types, the examples of `accepted` and `delivered` and the values of `client-info.bot` against the vendor's pages, other "
    "fields against the payloads that django-anymail is tested with; the three reasons `suppress-*` against "
    "the vendor's statistics and open integrations",
    open=_open,
    read=_read,
)
