"""Segment and RudderStack: `track page screen identify group alias`, one by one or as ``{"batch": [...]}``.

Field names from https://segment.com/docs/connections/spec/common/ and .../spec/{track,page,screen,identify,group,alias}/,
https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ (batch), and
https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/. Both spell in camelCase; their warehouses and
some of their libraries write the same names in snake_case (``message_id``, ``anonymous_id``), which is taken too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, email_in, inner, of_types, text, told, utc
from mqlstream.ingest.fields import missing

EVENT_TYPES = {
    "page": "web_visit",
    "screen": "activity",
    "track": "activity",
    "identify": "profile",
    "group": "profile",
    "alias": "profile",
}
PASSED_OVER: dict[str, str] = {}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if "batch" in an_object(found):
        return parts_of(found["batch"], "batch", found)
    return Parts((found,))


def _read(item: Any, shared: Any, options: Any) -> Found:
    call = an_object(item)
    told_type = call.get("type")
    kind = of_types("type", told_type, EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    context = inner(call, "context")
    found = _common(call, context, shared)
    found["kind"] = kind
    properties = call.get("properties")
    if told_type == "page":
        _page(found, inner(call, "properties"), inner(context, "page"))
    elif told_type in ("track", "screen"):
        return _activity(found, call, properties, context, told_type, options)
    else:
        _profile(found, call, told_type)
    return found


def _common(call: dict[str, Any], context: dict[str, Any], shared: Any) -> dict[str, Any]:
    """Id, time and identity, the same in all calls."""
    get = call.get
    user = text(get("userId") or get("user_id"))
    traits = get("traits")
    email = at(context, "traits", "email") or at(traits, "email") or at(get("properties"), "email") or email_in(user)
    time = get("timestamp") or get("originalTimestamp") or get("original_timestamp") or get("sentAt") or get("sent_at")
    if time is None:
        # Within a batch the envelope's time of sending is the best there is.
        time = at(shared, "sentAt") or get("receivedAt") or get("received_at")
    return told(
        id=text(get("messageId") or get("message_id"))
        or composed(get("type"), user, text(get("anonymousId") or get("anonymous_id")), text(time), text(get("event") or get("name"))),
        time=utc("timestamp", time),
        email=email if type(email) is str else None,
        user_id=user,
        anonymous_id=text(get("anonymousId") or get("anonymous_id")),
        user_agent=context.get("userAgent") or context.get("user_agent"),
    )


def _page(found: dict[str, Any], properties: dict[str, Any], page: dict[str, Any]) -> None:
    for name in ("url", "title", "referrer", "path"):
        value = properties.get(name)
        value = page.get(name) if value is None else value
        if value is not None:
            found[name] = value
    if properties:
        found["properties"] = properties


def _activity(
    found: dict[str, Any], call: dict[str, Any], properties: Any, context: dict[str, Any], call_type: str, options: Mapping[str, Any]
) -> Found:
    name = call.get("event") if call_type == "track" else call.get("name") or at(properties, "name")
    if name is None or name == "":
        raise missing("event" if call_type == "track" else "name", "what was done")
    url = at(context, "page", "url")
    if url is not None:
        found["url"] = url
    form = options.get("forms", {}).get(name) if type(name) is str else None
    if form is not None:
        return found | {"kind": "form_fill", "form": form, "fields": properties}
    return found | {"name": name, "properties": properties}


def _profile(found: dict[str, Any], call: dict[str, Any], call_type: Any) -> None:
    if call_type == "identify":
        attributes = call.get("traits")
        found["attributes"] = {} if attributes is None else attributes
    elif call_type == "group":
        group = text(call.get("groupId") or call.get("group_id"))
        traits = inner(call, "traits")
        found["account"] = group
        found["attributes"] = told(company=traits.get("name"), industry=traits.get("industry"), company_size=traits.get("employees"))
    else:
        # The previous id becomes a visitor that the user id links: nothing else is known by an alias.
        found["anonymous_id"] = text(call.get("previousId") or call.get("previous_id"))
        found["attributes"] = {}


SEGMENT = Adapter(
    name="segment",
    title="Segment",
    pages=(
        "https://segment.com/docs/connections/spec/common/",
        "https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/",
    ),
    takes='one call (`type` says which), a list of calls, or `{"batch": [...]}`',
    kinds=("web_visit", "activity", "form_fill", "profile"),
    identity="`context.traits.email`, `traits.email`, `properties.email`, or a `userId` that is an address; `userId` is the user id, "
    "`anonymousId` the visitor",
    event_id="`messageId`; where it is missing, composed of type, user, visitor, time and name",
    time="`timestamp`, else `originalTimestamp`, `sentAt`, `receivedAt`: RFC 3339",
    machine="none; `context.userAgent` is kept as `user_agent`",
    ignored="`integrations` and `context` beyond `page`, `traits` and `userAgent`",
    notes="`page` is a web visit, `track` and `screen` an activity by the name of the event, `identify` a profile of its traits, "
    "`group` a profile of the company, `alias` a profile without attributes that links `previousId` with `userId`.",
    options=(Option("forms", "map", "Names of `track` events that are form fills, and of which form.", "Signed Up: signup"),),
    open=_open,
    read=_read,
)
