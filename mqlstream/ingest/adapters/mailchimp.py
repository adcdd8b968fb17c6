"""Mailchimp's audience webhooks, as the HTML forms that they are, or as the objects that these make (`{"data": {"email": ...}}`) in JSON.

Field names from https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/ (`type fired_at data[email] data[list_id]
data[merges] data[action] data[reason]`). Times are in UTC and don't say so.
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, Skip, an_object, needed_object, parts_of
from mqlstream.ingest.adapters.forms import form_or_json
from mqlstream.ingest.adapters.values import beside, composed, inner, of_types, text, told, utc_ms

EVENT_TYPES = {"subscribe": "activity", "unsubscribe": "email_click", "profile": "profile", "cleaned": "email_click"}
PASSED_OVER = {
    "upemail": "an address was changed; the new one is in the profile that comes with it",
    "campaign": "about a campaign, not a person",
}
ATTRIBUTES = {"FNAME": "first_name", "LNAME": "last_name"}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = form_or_json(value)
    return parts_of(found, "") if type(found) is list else Parts((an_object(found),))


def _read(item: Any, shared: Any, options: Any) -> Found | list[Found]:
    hook = an_object(item)
    event_type, fired_at = hook.get("type"), hook.get("fired_at")
    kind = of_types("type", event_type, EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    data = needed_object("data", hook.get("data"))
    get, merges, reason = data.get, inner(data, "merges"), data.get("reason")
    if event_type == "unsubscribe" and get("action") == "delete":
        return Skip("unsubscribe, delete: taken off the list by its owner", "email_click")
    email, list_id = get("email") or merges.get("EMAIL"), text(get("list_id"))
    event_id = composed(event_type, list_id, text(get("id")) or email, fired_at)
    found = told(kind=kind, id=event_id, time=utc_ms("fired_at", fired_at), email=email, list_id=list_id)
    if kind == "email_click":
        found["action"] = "complaint" if reason == "abuse" else "bounce" if event_type == "cleaned" else "unsubscribe"
        return found | told(campaign=text(get("campaign_id")), reason=text(reason))
    attributes = {ATTRIBUTES.get(name) or name.lower(): value for name, value in merges.items() if value != "" and name != "EMAIL"}
    if event_type == "profile":
        found["attributes"] = attributes
        return found
    profile = {**found, "kind": "profile", "id": beside(event_id, "profile"), "attributes": attributes}
    found["name"], found["properties"] = "subscription", merges
    return [found, profile]


MAILCHIMP = Adapter(
    name="mailchimp",
    title="Mailchimp",
    pages=("https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/",),
    takes="one audience webhook: an HTML form, or JSON with an object `data` in it, and in that an object `merges`",
    kinds=("activity", "email_click", "profile"),
    identity="`data[email]`, `data[merges][EMAIL]`",
    event_id="none of its own: composed of type, list, `data[id]` or email, and `fired_at`",
    time="`fired_at`: UTC that doesn't say so, whole seconds",
    machine="none",
    ignored="`upemail campaign`; `unsubscribe` with the action `delete`, by which the owner of a list takes somebody off; `ip_opt`, "
    "`ip_signup`, `web_id`",
    checked="`subscribe` and `unsubscribe` against the guide and against calls recorded by others (`data[web_id]`, `data[action]` `unsub` "
    "or `delete`), `profile` and `campaign` against such calls, `cleaned`, its reasons and `upemail` against the examples of "
    "Mailchimp's that an open integration quotes",
    notes="`subscribe` gives an activity `subscription` and a profile of the merge fields, in small letters; `cleaned` is a bounce, "
    "and it or an `unsubscribe` a complaint when the reason is `abuse`. Opens and clicks of Mailchimp campaigns have no webhook.",
    open=_open,
    read=_read,
)
