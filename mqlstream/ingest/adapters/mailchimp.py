"""Mailchimp's audience webhooks, as the HTML forms that they are, or as the same names in JSON.

Field names from https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/ (`type fired_at data[email] data[list_id]
data[merges] data[reason]`). Times are in UTC and don't say so.
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, an_object, parts_of
from mqlstream.ingest.adapters.forms import form_or_json
from mqlstream.ingest.adapters.values import beside, composed, inner, of_types, split_name, text, told, utc

EVENT_TYPES = {"subscribe": "activity", "unsubscribe": "email_click", "profile": "profile", "cleaned": "email_click"}
PASSED_OVER = {
    "upemail": "an address was changed; the new one is in the next event",
    "campaign": "about a campaign, not a person",
}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = form_or_json(value)
    return parts_of(found, "") if type(found) is list else Parts((an_object(found),))


def _read(item: Any, shared: Any, options: Any) -> Found | list[Found]:
    hook = an_object(item)
    kind = of_types("type", hook.get("type"), EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    data, event_type = inner(hook, "data"), hook["type"]
    merges = inner(data, "merges")
    email = data.get("email") or merges.get("EMAIL")
    time = utc("fired_at", hook.get("fired_at"))
    event_id = composed(event_type, data.get("list_id"), text(data.get("id")) or email, hook["fired_at"])
    found: dict[str, Any] = told(kind=kind, id=event_id, time=time, email=email, list_id=text(data.get("list_id")))
    if event_type == "cleaned":
        return found | {"action": "complaint" if data.get("reason") == "abuse" else "bounce"}
    if event_type == "unsubscribe":
        return found | told(action="unsubscribe", campaign=text(data.get("campaign_id")), reason=text(data.get("reason")))
    profile = {**found, "kind": "profile", "attributes": _attributes(merges)}
    if event_type == "profile":
        return profile
    profile["id"] = beside(event_id, "profile")
    return [found | {"name": "subscription", "properties": merges}, profile]


def _attributes(merges: dict[str, Any]) -> dict[str, Any]:
    known = split_name(merges.get("FNAME"), merges.get("LNAME"), phone=merges.get("PHONE"))
    return known | {
        name.lower(): value for name, value in merges.items() if name not in ("EMAIL", "FNAME", "LNAME", "PHONE") and value != ""
    }


MAILCHIMP = Adapter(
    name="mailchimp",
    title="Mailchimp",
    pages=("https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/",),
    takes="one audience webhook: an HTML form, or the same names in JSON",
    kinds=("activity", "email_click", "profile"),
    identity="`data[email]`, `data[merges][EMAIL]`",
    event_id="none of its own: composed of type, list, `data[id]` or email, and `fired_at`",
    time="`fired_at`: UTC that doesn't say so, whole seconds",
    machine="none",
    ignored="`upemail campaign`; `ip_opt`, `ip_signup`",
    notes="`subscribe` gives an activity `subscription` and a profile of the merge fields, in small letters; `cleaned` is a bounce, "
    "or a complaint when its reason is `abuse`. Opens and clicks of Mailchimp campaigns have no webhook.",
    open=_open,
    read=_read,
)
