"""PostHog: captured events, as its API takes them, its webhooks send them and its exports write them.

Field names from https://posthog.com/docs/api/capture (`event distinct_id properties timestamp uuid`, `batch`),
https://posthog.com/docs/data/events (`$pageview $identify $set $current_url $device_id $user_id`) and
https://posthog.com/docs/cdp/destinations/webhook (``{"event": {...}, "person": {...}}``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, email_in, inner, needed, text, told, utc
from mqlstream.ingest.fields import shown

EVENT_TYPES = {
    "$pageview": "web_visit",
    "$bot_pageview": "web_visit",
    "$screen": "activity",
    "$identify": "profile",
    "$set": "profile",
    "$create_alias": "profile",
}
PASSED_OVER = "an event of PostHog's own"  # all other names that begin with a dollar


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if "batch" in an_object(found):
        return parts_of(found["batch"], "batch")
    return Parts((found,))


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found:
    hook = an_object(item)
    event = hook["event"] if type(hook.get("event")) is dict else hook
    name = needed("event", event.get("event"), "the event's name")
    kind = EVENT_TYPES.get(name) or (None if name[:1] == "$" else "activity")
    if kind is None:
        return Skip(f"{shown(name)}: {PASSED_OVER}")
    properties = event.get("properties")
    if type(properties) is str:  # exports to Kafka write them as a text of JSON
        properties = json_object(properties.encode(errors="replace"), "properties")
    properties = {} if properties is None else an_object(properties, "properties")
    found = _common(event, inner(hook, "person"), properties, name)
    form = (options.get("forms") or {}).get(name)
    if kind == "profile":
        attributes = {**inner(properties, "$set_once"), **inner(properties, "$set"), **inner(event, "$set")}
        if name == "$create_alias":
            found["anonymous_id"] = text(properties.get("alias"))
        return found | {"kind": kind, "attributes": attributes}
    url = told(url=properties.get("$current_url"))
    if kind == "web_visit":
        page = told(title=properties.get("title"), referrer=_referrer(properties), session_id=text(properties.get("$session_id")))
        return found | url | page | {"kind": kind}
    own = {key: value for key, value in properties.items() if key[:1] != "$"}
    if form is not None:
        return found | url | {"kind": "form_fill", "form": form, "fields": own}
    return found | url | {"kind": kind, "name": "screen" if name == "$screen" else name, "properties": own}


def _common(event: dict[str, Any], person: dict[str, Any], properties: dict[str, Any], name: str) -> dict[str, Any]:
    distinct = text(event.get("distinct_id") or properties.get("distinct_id"))
    device = text(properties.get("$device_id"))
    user = text(properties.get("$user_id")) or (distinct if distinct != device else None)
    email = at(properties, "$set", "email") or at(person, "properties", "email") or properties.get("email") or email_in(user)
    time = event.get("timestamp")
    return told(
        id=text(event.get("uuid")) or composed(distinct, name, text(time)),
        time=utc("timestamp", time),
        email=email if type(email) is str else None,
        user_id=user,
        anonymous_id=text(properties.get("$anon_distinct_id")) or device,
        user_agent=properties.get("$raw_user_agent"),
        machine=True if name == "$bot_pageview" or properties.get("$browser_type") == "bot" else None,
    )


def _referrer(properties: dict[str, Any]) -> Any:
    referrer = properties.get("$referrer")
    return None if referrer == "$direct" else referrer


POSTHOG = Adapter(
    name="posthog",
    title="PostHog",
    pages=(
        "https://posthog.com/docs/api/capture",
        "https://posthog.com/docs/data/events",
        "https://posthog.com/docs/cdp/destinations/webhook",
    ),
    takes='one event, a list of them, `{"batch": [...]}`, or a webhook\'s `{"event": {...}, "person": {...}}`',
    kinds=("web_visit", "activity", "form_fill", "profile"),
    identity="`properties.$set.email`, `person.properties.email`, `properties.email`, or a `distinct_id` that is an address; "
    "`$user_id`, or a `distinct_id` other than `$device_id`, is the user id; `$anon_distinct_id` or `$device_id` the "
    "visitor",
    event_id="`uuid`; where it is missing, composed of `distinct_id`, event and `timestamp`",
    time="`timestamp`: RFC 3339; without an offset it is UTC",
    machine="`$bot_pageview`, `$browser_type` `bot`; `$raw_user_agent` is kept as `user_agent`",
    ignored="every name with a dollar but `$pageview $bot_pageview $screen $identify $set $create_alias`; properties with a dollar "
    "of other events",
    options=(Option("forms", "map", "Names of events that are form fills, and of which form.", "{signed up: signup}"),),
    open=_open,
    read=_read,
)
