"""Mailchimp Transactional (Mandrill): ``mandrill_events``, a JSON list in an HTML form, or the list itself.

Field names from https://mailchimp.com/developer/transactional/docs/webhooks/ (`event ts _id msg.email msg.tags url user_agent`).
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.forms import form_or_json
from mqlstream.ingest.adapters.values import composed, inner, listed, needed, of_types, seconds_ms, text, told

EVENT_TYPES = {
    "delivered": "delivered",
    "open": "open",
    "click": "click",
    "hard_bounce": "bounce",
    "spam": "complaint",
    "unsub": "unsubscribe",
}
PASSED_OVER = {
    "send": "not yet with the recipient",
    "deferral": "will be tried again",
    "soft_bounce": "passes by itself",
    "reject": "was never sent",
    "inbound": "an incoming message",
}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = form_or_json(value)
    if type(found) is list:
        return parts_of(found, "")
    events = found.get("mandrill_events")
    if events is None:
        return Parts((found,))
    if type(events) is str:
        events = json_value(events.encode(errors="replace"), "mandrill_events")
    return parts_of(events, "mandrill_events")


def _read(item: Any, shared: Any, options: Any) -> Found:
    event = an_object(item)
    get = event.get
    if get("event") is None and get("type") in ("blacklist", "whitelist"):
        return Skip(f"{get('type')}: about a list of the account")
    action = of_types("event", get("event"), EVENT_TYPES, PASSED_OVER)
    if type(action) is Skip:
        return action
    message = inner(event, "msg")
    return told(
        kind="email_click",
        id=composed(needed("_id", get("_id") or message.get("_id"), "the message's id"), get("event"), text(get("ts")), get("url")),
        time=seconds_ms("ts", get("ts")),
        email=message.get("email"),
        action=action,
        campaign=text(next(iter(listed(message.get("tags"))), None)) or text(message.get("template")),
        url=get("url"),
        message_id=text(get("_id")),
        user_agent=get("user_agent"),
        reason=message.get("bounce_description"),
    )


MANDRILL = Adapter(
    name="mandrill",
    title="Mailchimp Transactional (Mandrill)",
    pages=("https://mailchimp.com/developer/transactional/docs/webhooks/",),
    takes="an HTML form with `mandrill_events`, the list in it, or one event",
    kinds=("email_click",),
    identity="`msg.email`",
    event_id="none of its own (`_id` is the message's): composed of `_id`, event, `ts` and url",
    time="`ts`: epoch seconds",
    machine="none; `user_agent` is kept",
    ignored="`send deferral soft_bounce reject inbound`, and changes of the account's lists",
    open=_open,
    read=_read,
)
