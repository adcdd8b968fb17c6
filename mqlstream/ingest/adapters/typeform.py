"""Typeform's webhook: one response to one form.

Field names from https://www.typeform.com/developers/webhooks/example-payload/ (`event_type form_response.form_id .token .submitted_at
.answers .hidden`, an answer's `type`, and `field.ref`).
"""

from __future__ import annotations

from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Skip, an_object, needed_object, open_object
from mqlstream.ingest.adapters.values import at, inner, listed, needed, of_types, text

EVENT_TYPES = {"form_response": "form_fill"}
PASSED_OVER = {"form_response_partial": "not sent yet"}


def _read(item: Any, shared: Any, options: Any) -> Found:
    hook = an_object(item)
    kind = of_types("event_type", hook.get("event_type"), EVENT_TYPES, PASSED_OVER)
    if type(kind) is Skip:
        return kind
    response = needed_object("form_response", hook.get("form_response"))
    hidden = inner(response, "hidden")
    fields: dict[str, Any] = {}
    email = hidden.get("email")
    for answer in listed(response.get("answers")):
        answer_type = at(answer, "type")
        if type(answer_type) is not str:
            continue
        value = answer.get(answer_type)
        if type(value) is dict:
            value = _choices(value) if answer_type == "choices" else value.get("label") or value.get("other") or value.get("success")
        field = inner(answer, "field")
        name = text(field.get("ref") or field.get("id"))
        if name is not None:
            fields[name] = value
        if answer_type == "email" and type(value) is str:
            email = value
    found = {
        "kind": "form_fill",
        "id": needed("form_response.token", response.get("token"), "the response's id"),
        "time": response.get("submitted_at"),
        "email": email,
        "form": needed("form_response.form_id", response.get("form_id"), "the form's id"),
        "fields": fields,
    }
    title, user = text(inner(response, "definition").get("title")), text(hidden.get("user_id"))
    if title is not None:
        found["title"] = title
    if user is not None:
        found["user_id"] = user
    if hidden:
        found["hidden"] = hidden
    return found


def _choices(choices: dict[str, Any]) -> list[Any]:
    """All that was chosen, what was written under "other" last."""
    other = choices.get("other")
    return [*listed(choices.get("labels")), *([] if other is None or other == "" else [other])]


TYPEFORM = Adapter(
    name="typeform",
    title="Typeform",
    pages=("https://www.typeform.com/developers/webhooks/example-payload/",),
    takes="one webhook (`form_response`), or a list of them",
    kinds=("form_fill",),
    identity="the last answer of type `email`, else `hidden.email`; `hidden.user_id` is the user id",
    event_id="`form_response.token` (the same for a delivery that is repeated; `event_id` is not)",
    time="`form_response.submitted_at`: RFC 3339",
    machine="none",
    ignored="`form_response_partial`; `calculated`, `variables`, `outcome`",
    checked="`event_type`, `token`, `form_id`, `submitted_at`, `hidden` and the definition against the page, answers and their types "
    "against open typings and a recorded call, `form_response_partial` against the API's `event_types`",
    notes="`form` is the form's id; `fields` maps each field's `ref` (its `id`, where it has none) to the answer: the label of a "
    'choice, a list of labels of several with what was written under "other".',
    open=open_object,
    read=_read,
)
