"""What is known of the fields that conditions read: names and values per kind of event and of the lead.

Fields are open: all of this serves warnings only, never an error.
"""

from __future__ import annotations

from collections.abc import Iterable

STAGES = ("lead", "mql", "sal", "sql", "opportunity", "customer", "recycled", "disqualified", "erased")
EMAIL_KINDS = ("disposable", "role", "free", "business")

COMMON = frozenset({"id", "source", "kind", "time", "lead_id", "email", "anonymous_id", "user_id", "phone", "account", "machine", "trace"})
_URL = frozenset({"url", "host", "path", "query", "utm"})
FIELDS = {
    "web_visit": _URL | {"title", "referrer", "duration_seconds", "session_id", "user_agent"},
    "form_fill": _URL | {"form", "fields"},
    "email_click": _URL | {"action", "campaign", "message_id"},
    "webinar_attendance": frozenset({"webinar", "action", "attended_seconds"}),
    "activity": frozenset({"name", "properties"}),
}
# Below these anything goes.
OBJECTS = frozenset({"fields", "properties", "query", "utm"})
ATTRIBUTES = frozenset(
    {
        "title", "department", "company", "company_size", "industry", "revenue", "country", "customer", "consent",
        "email", "email_domain", "email_kind", "first_seen", "age", "account", "phone",
    }
)  # fmt: skip
ACTIONS = {
    "email_click": ("delivered", "open", "click", "reply", "unsubscribe", "bounce", "complaint"),
    "webinar_attendance": ("registered", "attended", "left", "no_show", "watched_on_demand"),
}


def event_fields(kinds: Iterable[str]) -> frozenset[str]:
    """The first parts of all paths that an event of one of the kinds is known to have."""
    return COMMON.union(*(FIELDS[kind] for kind in kinds))


def is_known(path: str, names: frozenset[str]) -> bool:
    """Whether the path is one of the names, or lies in an open object among them."""
    head = path.split(".", 1)[0]
    return path in names or (head in OBJECTS and head in names)


def known_values(path: str, kinds: Iterable[str]) -> tuple[str, ...]:
    """All values that an event's field can have, or nothing when it is open."""
    if path != "action":
        return ()
    lists = [ACTIONS[kind] for kind in kinds if kind in ACTIONS]
    return tuple(value for values in lists for value in values)


def known_attribute_values(name: str) -> tuple[str, ...]:
    """All values that an attribute of the lead can have, or nothing when it is open."""
    return {"email_kind": EMAIL_KINDS, "stage": STAGES}.get(name, ())
