"""Mailchimp Transactional (Mandrill): ``mandrill_events``, a JSON list in an HTML form, or the list itself.

Field names from https://mailchimp.com/developer/transactional/docs/webhooks/ and
https://mandrill.zendesk.com/hc/en-us/articles/205583307-Message-Event-Webhook-Format (`event ts _id msg.email msg.tags url user_agent
user_agent_parsed.type`).
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.forms import form_or_json
from mqlstream.ingest.adapters.values import at, composed, inner, listed, needed, of_types, seconds_ms, text, told

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
LISTS = frozenset({"blacklist", "whitelist", "denylist", "safelist"})


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
    name, time, url = get("event"), get("ts"), get("url")
    if name is None and (listing := text(get("type"))) in LISTS:
        return Skip(f"{listing}: about a list of the account")
    action = of_types("event", name, EVENT_TYPES, PASSED_OVER)
    if type(action) is Skip:
        return action
    message, program = inner(event, "msg"), text(at(get("user_agent_parsed"), "type"))
    message_id = needed("_id", get("_id") or message.get("_id"), "the message's id")
    tags = listed(message.get("tags"))
    return told(
        kind="email_click",
        id=composed(message_id, name, time, url),
        time=seconds_ms("ts", time),
        email=message.get("email"),
        action=action,
        campaign=text(tags[0] if tags else message.get("template")),
        url=url,
        message_id=message_id,
        machine=True if program is not None and program.lower() == "robot" else None,
        user_agent=get("user_agent"),
        reason=message.get("bounce_description"),
    )


MANDRILL = Adapter(
    name="mandrill",
    title="Mailchimp Transactional (Mandrill)",
    pages=(
        "https://mailchimp.com/developer/transactional/docs/webhooks/",
        "https://mandrill.zendesk.com/hc/en-us/articles/205583307-Message-Event-Webhook-Format",
    ),
    takes="an HTML form with `mandrill_events`, the list in it, or one event",
    kinds=("email_click",),
    identity="`msg.email`",
    event_id="none of its own (`_id` is the message's): composed of `_id`, event, `ts` and url",
    time="`ts`: epoch seconds",
    machine="`user_agent_parsed.type` `robot`; `user_agent` is kept",
    ignored="`send deferral soft_bounce reject inbound`, and changes of the account's lists",
    checked="the events against the first page, all other names against the second and against the payloads that django-anymail and "
    "Telegraf are tested with",
    open=_open,
    read=_read,
)
