"""HubSpot: changes of contacts' properties (webhooks) and form submissions (forms API).

Field names from https://developers.hubspot.com/docs/apps/legacy-apps/public-apps/create-generic-webhook-subscriptions (`subscriptionType
objectId objectTypeId propertyName propertyValue occurredAt eventId`), https://developers.hubspot.com/docs/methods/forms/get-submissions-for-a-form
(`results submittedAt values pageUrl`) and https://developers.hubspot.com/docs/methods/forms/submit_form_v3 (`fields context.hutk
context.pageUri`; there `submittedAt` is a text). HubSpot promises no unique id: ``eventId`` "is not guaranteed to be unique".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, inner, listed, needed, of_types, shared_text, text, told
from mqlstream.ingest.fields import missing, shown

EVENT_TYPES = {"contact.propertyChange": "profile", "object.propertyChange": "profile"}
PASSED_OVER = {
    "contact.creation": "says nothing but an id",
    "contact.deletion": "deletes nothing here: erase the lead by a command",
    "contact.privacyDeletion": "deletes nothing here: erase the lead by a command",
    "contact.merge": "merges nothing here: merge the leads by a command",
    "contact.restore": "says nothing but an id",
    "contact.associationChange": "about a relation",
    "object.creation": "says nothing but an id",
    "object.deletion": "deletes nothing here: erase the lead by a command",
    "object.merge": "merges nothing here: merge the leads by a command",
    "object.restore": "says nothing but an id",
    "object.associationChange": "about a relation",
}
OTHER_OBJECTS = frozenset({"company", "deal", "ticket", "product", "line_item", "conversation", "event"})
_CONTACT = "0-1"  # objectTypeId of contacts
_digits = re.compile(r"[0-9]{12,14}").fullmatch


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = json_value(value)
    if type(found) is list:
        return parts_of(found, "")
    if "results" in an_object(found):
        return parts_of(found["results"], "results", shared_text("formId", found.get("formId")))
    return Parts((found,))


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found:
    payload = an_object(item)
    if "submittedAt" in payload:
        return _submission(payload, shared, options)
    get = payload.get
    subscription = get("subscriptionType")
    if type(subscription) is str and subscription.partition(".")[0] in OTHER_OBJECTS:
        return Skip(f"{shown(subscription)}: not about a contact")
    kind = of_types("subscriptionType", subscription, EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    if subscription == "object.propertyChange" and get("objectTypeId") != _CONTACT:
        return Skip("object.propertyChange: not about a contact (objectTypeId 0-1)")
    contact = needed("objectId", get("objectId"), "the contact's id")
    name = needed("propertyName", get("propertyName"), "the property's name")
    value, occurred_at = get("propertyValue"), get("occurredAt")
    return {
        "kind": "profile",
        "id": composed(get("portalId"), contact, name, occurred_at, get("eventId")),
        "time": occurred_at,
        "user_id": contact,
        "email": value if name == "email" else None,
        "attributes": {name: None if value == "" else value},
    }


def _submission(payload: dict[str, Any], form: str | None, options: Mapping[str, Any]) -> Found:
    get, fields = payload.get, _fields(payload)
    form = text(get("formId")) or form or options.get("form")
    if form is None:
        raise missing("formId", "the form's id beside the submission, or the option `form`")
    email, submitted_at, context = fields.get("email"), get("submittedAt"), inner(payload, "context")
    if type(email) is list:
        email = email[0]
    return told(
        kind="form_fill",
        id=composed(form, text(get("conversionId")) or email, submitted_at),
        time=int(submitted_at) if type(submitted_at) is str and _digits(submitted_at) else submitted_at,
        email=email,
        anonymous_id=text(context.get("hutk")),
        form=form,
        fields=fields,
        url=get("pageUrl") or context.get("pageUri"),
    )


def _fields(payload: dict[str, Any]) -> dict[str, Any]:
    """The fields of contacts by their names, those of other objects with the object's type before it.

    A field with several values is told once for each: they become a list.
    """
    fields: dict[str, Any] = {}
    for field in listed(payload.get("values")) or listed(payload.get("fields")):
        name = text(at(field, "name"))
        if name is None:
            continue
        owner, value = field.get("objectTypeId"), field.get("value")
        if type(owner) is str and owner not in ("", _CONTACT):
            name = f"{owner}/{name}"
        if name in fields:
            earlier = fields[name]
            value = [*earlier, value] if type(earlier) is list else [earlier, value]
        fields[name] = value
    return fields


HUBSPOT = Adapter(
    name="hubspot",
    title="HubSpot",
    pages=(
        "https://developers.hubspot.com/docs/apps/legacy-apps/public-apps/create-generic-webhook-subscriptions",
        "https://developers.hubspot.com/docs/methods/forms/get-submissions-for-a-form",
        "https://developers.hubspot.com/docs/methods/forms/submit_form_v3",
    ),
    takes="a webhook's list of changes, a page of form submissions (`results`), or one of either",
    kinds=("profile", "form_fill"),
    identity="a submission's field `email`; of a change the value of the property `email`, otherwise only `objectId` as the user id: "
    "such a change waits for a link from that id to a lead. `context.hutk` is the visitor",
    event_id="none of its own: a change's is composed of `portalId objectId propertyName occurredAt eventId`, a submission's of the "
    "form, `conversionId` or email, and `submittedAt`",
    time="`occurredAt`, `submittedAt`: epoch milliseconds, as a number or (a submission sent to the API) as digits",
    machine="none",
    ignored="creations, deletions, merges, associations, and all that is not about contacts",
    checked="the types of subscriptions against HubSpot's OpenAPI files, changes against the first page and an example elsewhere, what is "
    "sent to a form against the third page, pages of submissions and `conversionId` against an open integration, that several values "
    "of a field come one by one against what a user of HubSpot's own client saw",
    notes="`fields` has a contact's fields by their names, those of a company or deal with the object's type before it (`0-2/name`), "
    "several values of one as a list. A page of submissions does not say which form it is of: put `formId` beside `results`, or set the "
    "option `form`.",
    options=(Option("form", "text", "The form of submissions that name none.", "demo"),),
    open=_open,
    read=_read,
)
