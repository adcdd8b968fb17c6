"""Gravity Forms: an entry, as its webhooks add-on and its REST API write one. The fields' ids are the keys (``"1"``, ``"1.3"``).

Names from https://docs.gravityforms.com/entry-object/ (`id form_id date_created source_url user_agent status`) and
https://docs.gravityforms.com/triggering-webhooks-form-submissions/: the webhook's body is an entry, as JSON or as an HTML form,
with the keys that https://docs.gravityforms.com/gform_webhooks_request_data/ shows.
``date_created`` is in UTC and doesn't say so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Option, Parts, Skip, an_object, parts_of
from mqlstream.ingest.adapters.forms import form_or_json
from mqlstream.ingest.adapters.values import composed, needed, utc_ms

_field = re.compile(r"[0-9]+(?:\.[0-9]+)?").fullmatch  # the key of a field, or of one input of several
PASSED_OVER = {"spam": "marked as spam by Gravity Forms", "trash": "deleted"}


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    found = form_or_json(value)
    if type(found) is list:
        return parts_of(found, "")
    if "entries" in an_object(found):
        return parts_of(found["entries"], "entries")
    return Parts((found,))


def _read(item: Any, shared: Any, options: Mapping[str, Any]) -> Found:
    entry = an_object(item)
    status = entry.get("status")
    if type(status) is str and status in PASSED_OVER:
        return Skip(f"{status}: {PASSED_OVER[status]}", "form_fill")
    names = options.get("names") or {}
    fields = {
        names.get(key, key): value
        for key, value in entry.items()
        if key[:1].isdecimal() and value is not None and value != "" and (key.isdecimal() or _field(key))
    }
    get, asked = entry.get, options.get("email")
    email = get(asked) if asked else next(filter(_address, fields.values()), None)
    form = needed("form_id", get("form_id"), "the form's id")
    found = {
        "kind": "form_fill",
        "id": composed(form, needed("id", get("id"), "the entry's id")),
        "time": utc_ms("date_created", get("date_created")),
        "email": email,
        "form": (options.get("forms") or {}).get(form, form),
        "fields": fields,
    }
    page, agent = get("source_url"), get("user_agent")
    if page:
        found["url"] = page
    if agent:
        found["user_agent"] = agent
    return found


def _address(value: Any) -> bool:
    return type(value) is str and "@" in value and " " not in value


GRAVITY_FORMS = Adapter(
    name="gravity_forms",
    title="Gravity Forms",
    pages=(
        "https://docs.gravityforms.com/entry-object/",
        "https://docs.gravityforms.com/triggering-webhooks-form-submissions/",
        "https://docs.gravityforms.com/gform_webhooks_request_data/",
    ),
    takes="one entry as JSON or as an HTML form, a list of entries, or a page of the REST API (`entries`)",
    kinds=("form_fill",),
    identity="the field that the option `email` names, else the first field that looks like an address",
    event_id="composed of `form_id` and `id`",
    time="`date_created`: UTC that doesn't say so, whole seconds",
    machine="none; entries that Gravity Forms marks as `spam` are ignored",
    ignored="entries with the status `spam` or `trash`; what an entry says of payments and its reading",
    checked="the entry's own names and that its times are UTC against the first page, that the request's format can be chosen against the "
    "second, the keys of its body against the third, how an HTML form spells them against the source of WordPress's HTTP client",
    notes="The webhook must send all fields: with selected ones the entry's own names are missing.",
    options=(
        Option("email", "text", "Id of the field that holds the email address.", "3"),
        Option("names", "map", "Id of a field -> its name in `fields`.", '{"1.3": first_name, "5": company}'),
        Option("forms", "map", "Id of a form -> its name in `form`.", '{"7": demo}'),
    ),
    open=_open,
    read=_read,
)
