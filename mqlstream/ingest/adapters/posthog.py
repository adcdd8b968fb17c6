"""PostHog: captured events, as its API takes them, its webhooks send them and its exports write them.

Field names from https://posthog.com/docs/api/capture (`event distinct_id properties timestamp uuid`, `batch`),
https://posthog.com/docs/data/events (`$pageview $identify $set $current_url $device_id $user_id`),
https://posthog.com/docs/cdp/destinations/webhook (``{"event": {...}, "person": {...}}``) and
https://posthog.com/docs/data-pipelines/batch-exports/s3 (`properties` as the text of an object).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, email_in, inner, needed, text, told, utc_ms
from mqlstream.ingest.fields import missing, shown

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
    if type(properties) is str:  # batch exports write them as the text of an object
        properties = json_object(properties.encode(errors="replace"), "properties")
    properties = {} if properties is None else an_object(properties, "properties")
    get = properties.get
    found = _common(event, hook, properties, name)
    found["kind"] = kind
    if kind == "profile":
        found["attributes"] = {**inner(properties, "$set_once"), **inner(properties, "$set"), **inner(event, "$set")}
        if name == "$create_alias":
            found["anonymous_id"] = text(get("alias"))
        return found
    url, referrer = get("$current_url"), get("$referrer")
    if url is not None:
        found["url"] = url
    if kind == "web_visit":
        return found | told(title=get("title"), referrer=None if referrer == "$direct" else referrer, session_id=text(get("$session_id")))
    own = {key: value for key, value in properties.items() if key[:1] != "$"}
    form = options["forms"].get(name) if "forms" in options else None
    if form is not None:
        found["kind"], found["form"], found["fields"] = "form_fill", form, own
    else:
        found["name"], found["properties"] = "screen" if name == "$screen" else name, own
    return found


def _common(event: dict[str, Any], hook: dict[str, Any], properties: dict[str, Any], name: str) -> dict[str, Any]:
    """Id, time and identity, the same in all events."""
    get = properties.get
    distinct, device, time = text(event.get("distinct_id") or get("distinct_id")), text(get("$device_id")), event.get("timestamp")
    user = text(get("$user_id")) or (distinct if distinct != device else None)
    email = inner(properties, "$set").get("email") or at(hook, "person", "properties", "email") or get("email") or email_in(user)
    event_id = text(event.get("uuid"))
    if event_id is None:
        if distinct is None:
            raise missing("uuid", "the event's id, or distinct_id to make one of")
        event_id = composed(distinct, name, text(time))
    return told(
        id=event_id,
        time=utc_ms("timestamp", time),
        email=email if type(email) is str else None,
        user_id=user,
        anonymous_id=text(get("$anon_distinct_id")) or device,
        user_agent=get("$raw_user_agent"),
        machine=True if name == "$bot_pageview" or get("$browser_type") == "bot" else None,
    )


POSTHOG = Adapter(
    name="posthog",
    title="PostHog",
    pages=(
        "https://posthog.com/docs/api/capture",
        "https://posthog.com/docs/data/events",
        "https://posthog.com/docs/cdp/destinations/webhook",
        "https://posthog.com/docs/data-pipelines/batch-exports/s3",
    ),
    takes='one event, a list of them, `{"batch": [...]}`, or a webhook\'s `{"event": {...}, "person": {...}}`',
    kinds=("web_visit", "activity", "form_fill", "profile"),
    identity="`properties.$set.email`, `person.properties.email`, `properties.email`, or a `distinct_id` that is an address; "
    "`$user_id`, or a `distinct_id` other than `$device_id`, is the user id; `$anon_distinct_id` or `$device_id` the "
    "visitor",
    event_id="`uuid`; where it is missing, composed of `distinct_id`, event and `timestamp`",
    time="`timestamp`: RFC 3339; without an offset it is UTC",
    machine="`$bot_pageview`, `$browser_type` `bot`; `$raw_user_agent` is kept as `user_agent`",
    checked="`$bot_pageview`, `$browser_type`, `$anon_distinct_id`, `$create_alias` and `alias` against the source of posthog-js; single "
    "events, batches and times against the first page; the webhook's default body against an AsyncAPI file made from the third, "
    "properties as the text of an object against the fourth",
    ignored="every name with a dollar but `$pageview $bot_pageview $screen $identify $set $create_alias`; properties with a dollar "
    "of other events",
    options=(Option("forms", "map", "Names of events that are form fills, and of which form.", "{signed up: signup}"),),
    open=_open,
    read=_read,
)
