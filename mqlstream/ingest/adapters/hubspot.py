"""HubSpot: changes of contacts' properties (webhooks) and form submissions (forms API).

Field names from https://developers.hubspot.com/docs/api/webhooks (`subscriptionType objectId propertyName propertyValue occurredAt
eventId`) and https://developers.hubspot.com/docs/api/marketing/forms (submissions: `submittedAt values pageUrl`; of the v3 submission
`fields context.hutk context.pageUri`). HubSpot promises no unique id: ``eventId`` "is not guaranteed to be unique".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, json_value, parts_of
from mqlstream.ingest.adapters.values import at, composed, listed, needed, of_types, shared_text, text, told
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
OTHER_OBJECTS = frozenset({"company", "deal", "ticket", "product", "line_item", "conversation"})
_CONTACT = "0-1"  # objectTypeId of contacts


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
    subscription = payload.get("subscriptionType")
    if type(subscription) is str and subscription.partition(".")[0] in OTHER_OBJECTS:
        return Skip(f"{shown(subscription)}: not about a contact")
    kind = of_types("subscriptionType", subscription, EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    if subscription == "object.propertyChange" and payload.get("objectTypeId") != _CONTACT:
        return Skip("object.propertyChange: not about a contact (objectTypeId 0-1)")
    contact = needed("objectId", payload.get("objectId"), "the contact's id")
    name = needed("propertyName", payload.get("propertyName"), "the property's name")
    value = payload.get("propertyValue")
    return told(
        kind=kind,
        id=composed(payload.get("portalId"), contact, name, payload.get("occurredAt"), payload.get("eventId")),
        time=payload.get("occurredAt"),
        user_id=contact,
        email=value if name == "email" else None,
        attributes={name: None if value == "" else value},
    )


def _submission(payload: dict[str, Any], form: str | None, options: Mapping[str, Any]) -> Found:
    fields = {}
    for field in listed(payload.get("values")) or listed(payload.get("fields")):
        name = text(at(field, "name"))
        if name is not None:
            fields[name] = at(field, "value")
    form = text(payload.get("formId")) or form or options.get("form")
    if form is None:
        raise missing("formId", "the form's id beside the submission, or the option `form`")
    email = fields.get("email")
    return told(
        kind="form_fill",
        id=composed(form, text(payload.get("conversionId")) or email, payload.get("submittedAt")),
        time=payload.get("submittedAt"),
        email=email,
        anonymous_id=text(at(payload, "context", "hutk")),
        form=form,
        fields=fields,
        url=payload.get("pageUrl") or at(payload, "context", "pageUri"),
    )


HUBSPOT = Adapter(
    name="hubspot",
    title="HubSpot",
    pages=("https://developers.hubspot.com/docs/api/webhooks", "https://developers.hubspot.com/docs/api/marketing/forms"),
    takes="a webhook's list of changes, a page of form submissions (`results`), or one of either",
    kinds=("profile", "form_fill"),
    identity="a submission's field `email`; of a change the value of the property `email`, otherwise only `objectId` as the user id: "
    "such a change waits for a link from that id to a lead. `context.hutk` is the visitor",
    event_id="none of its own: a change's is composed of `portalId objectId propertyName occurredAt eventId`, a submission's of the "
    "form, `conversionId` or email, and `submittedAt`",
    time="`occurredAt`, `submittedAt`: epoch milliseconds",
    machine="none",
    ignored="creations, deletions, merges, associations, and all that is not about contacts",
    notes="A page of submissions does not say which form it is of: put `formId` beside `results`, or set the option `form`.",
    options=(Option("form", "text", "The form of submissions that name none.", "demo"),),
    open=_open,
    read=_read,
)
