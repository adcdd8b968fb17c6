"""Segment and RudderStack: `track page screen identify group alias`, one by one or as ``{"batch": [...]}``.

Field names from https://segment.com/docs/connections/spec/common/ and .../spec/{track,page,screen,identify,group,alias}/,
https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ (batch), and
https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/. Both spell in camelCase; their warehouses and
some of their libraries write the same names in snake_case (``message_id``, ``anonymous_id``), which is taken too.

Segment has a person's traits in ``traits`` of an identify, RudderStack in ``context.traits`` of every call. The traits of a group are
the company's, its email address as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, email_in, inner, of_types, text, told, utc_ms
from mqlstream.ingest.fields import missing

EVENT_TYPES = {
    "page": "web_visit",
    "screen": "activity",
    "track": "activity",
    "identify": "profile",
    "group": "profile",
    "alias": "profile",
}
PASSED_OVER = {"merge": "merges nothing here: merge the leads by a command"}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if "batch" in an_object(found):
        return parts_of(found["batch"], "batch", found)
    return Parts((found,))


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found:
    call = an_object(item)
    get = call.get
    call_type = get("type")
    kind = of_types("type", call_type, EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    context = get("context")
    if type(context) is not dict:
        context = inner(shared, "context")  # that of the whole batch
    found = _common(call, context, shared)
    found["kind"] = kind
    if call_type == "page":
        _page(found, inner(call, "properties"), inner(context, "page"))
    elif kind == "activity":
        _activity(found, call, context, options)
    else:
        _profile(found, call, context)
    return found


def _common(call: dict[str, Any], context: dict[str, Any], shared: Any) -> dict[str, Any]:
    """Id, time and identity, the same in all calls."""
    get = call.get
    call_type, user, visitor = get("type"), text(get("userId") or get("user_id")), text(get("anonymousId") or get("anonymous_id"))
    time = get("timestamp") or get("originalTimestamp") or get("original_timestamp") or get("sentAt") or get("sent_at")
    if time is None:
        # Within a batch the envelope's time of sending is the best there is.
        time = at(shared, "sentAt") or get("receivedAt") or get("received_at")
    email = _email(context.get("traits")) or (_email(get("traits")) if call_type != "group" else None)
    return told(
        id=text(get("messageId") or get("message_id")) or composed(call_type, user, visitor, text(time), text(get("event") or get("name"))),
        time=utc_ms("timestamp", time),
        email=email or _email(get("properties")) or email_in(user),
        user_id=user,
        anonymous_id=visitor,
        user_agent=context.get("userAgent") or context.get("user_agent"),
    )


def _email(place: Any) -> str | None:
    if type(place) is not dict:
        return None
    email = place.get("email")
    return email if type(email) is str else None


def _page(found: dict[str, Any], properties: dict[str, Any], page: dict[str, Any]) -> None:
    for name in ("url", "title", "referrer", "path"):
        value = properties.get(name)
        if value is None:
            value = page.get(name)
        if value is not None:
            found[name] = value
    if properties:
        found["properties"] = properties


def _activity(found: dict[str, Any], call: dict[str, Any], context: dict[str, Any], options: Mapping[str, Any]) -> None:
    word, properties = ("event" if call["type"] == "track" else "name"), call.get("properties")
    name = call.get(word)
    if word == "name" and not name:
        name = at(properties, "name")
    if name is None or name == "":
        raise missing(word, "what was done")
    url = inner(context, "page").get("url")
    if url is not None:
        found["url"] = url
    form = options["forms"].get(name) if "forms" in options and type(name) is str else None
    if form is not None:
        found["kind"], found["form"], found["fields"] = "form_fill", form, properties
    else:
        found["name"], found["properties"] = name, properties


def _profile(found: dict[str, Any], call: dict[str, Any], context: dict[str, Any]) -> None:
    get = call.get
    if call["type"] == "identify":
        attributes = get("traits")
        if attributes is None:
            attributes = context.get("traits")
        found["attributes"] = {} if attributes is None else attributes
    elif call["type"] == "group":
        traits = inner(call, "traits")
        found["account"] = text(get("groupId") or get("group_id"))
        found["attributes"] = told(company=traits.get("name"), industry=traits.get("industry"), company_size=traits.get("employees"))
    else:
        # The previous id becomes a visitor that the user id links; an address says whose the user id is.
        previous = text(get("previousId") or get("previous_id"))
        if email_in(previous) is None:
            found["anonymous_id"] = previous
        else:
            found.setdefault("email", previous)
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
    identity="`context.traits.email`, `traits.email` (not of a `group`: that is the company's), `properties.email`, a `userId` that is an "
    "address, or such a `previousId`; `userId` is the user id, `anonymousId` the visitor",
    event_id="`messageId`; where it is missing, composed of type, user, visitor, time and name",
    time="`timestamp`, else `originalTimestamp`, `sentAt`, `receivedAt`: RFC 3339",
    machine="none; `context.userAgent` is kept as `user_agent`",
    ignored="`integrations` and `context` beyond `page`, `traits` and `userAgent`; RudderStack's `merge`",
    checked="common fields, context, batches, `group` and `alias` against Segment's documentation, the snake_case spelling against its "
    "page on warehouse schemas",
    notes="`page` is a web visit, `track` and `screen` an activity by the name of the event, `identify` a profile of its traits, "
    "`group` a profile of the company, `alias` a profile without attributes that links `previousId` with `userId`. A batch's `context` "
    "is that of its calls that have none.",
    options=(Option("forms", "map", "Names of `track` events that are form fills, and of which form.", "Signed Up: signup"),),
    open=_open,
    read=_read,
)
