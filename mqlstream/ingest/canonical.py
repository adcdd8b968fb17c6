"""Canonical JSON to `Event`: the one door through which every event comes in. Pure: no clock, no Kafka, no state.

What the contract leaves open is decided like this:

- A ``kind`` in the record wins over the kind of its topic. Null and, in identifying fields, the empty text are missing.
- Unknown fields stay in the event's body. ``id source kind time machine lead_id email`` and a profile's ``attributes``
  leave it: the event has places of its own for them.
- An email that is no address is dropped when something else says who it was (``lead_id``, ``user_id``,
  ``anonymous_id``), and refused as `bad_field` otherwise. A value that is not text is always refused.
- A ``user_id`` or ``anonymous_id`` that is none (beyond 512 characters) is passed over when something else says who it was, and
  refused as `bad_field` otherwise.
- ``lead_id`` is taken letter by letter. Feedback and commands need it or an email: without, they are refused.
- An attribute ``email``, of a profile or of a form, is spelt like the event's email, and dropped when it is no address. It says nothing
  of whose the event is.
- Form fields that were left empty (null or an empty text) map to no attribute; a null in a profile clears one.
- A visit, a click or an activity that does not say whether a machine made it is a machine's when its user agent is a crawler's.
- A record timestamp outside the years 2000 to 2100 is none, and clamps nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from mqlstream.core.event import EARLIEST_MS, KINDS, LATEST_MS, Event
from mqlstream.core.outcome import Reason
from mqlstream.ingest import urls
from mqlstream.ingest.fields import (
    COMMANDS,
    DECISIONS,
    EMAIL_ACTIONS,
    EXPECTED,
    MAX_ATTRIBUTES,
    MAX_ATTRIBUTES_BYTES,
    MAX_ID,
    MAX_TEXT,
    NEEDED_BY_COMMAND,
    TYPES,
    WEBINAR_ACTIONS,
    Refused,
    Types,
    bad_field,
    check_word,
    identifier,
    lead_id,
    missing,
    nearest,
    not_json,
    shown,
    time_ms,
)
from mqlstream.ingest.identity import mailbox, normalise_email, visitors_of
from mqlstream.ingest.machines import is_crawler
from mqlstream.ingest.results import DEFAULT_OPTIONS, UNKNOWN_KIND, Anonymous, Ignored, IngestOptions, Rejected

MAX_BYTES = 1_000_000  # of a record's value
MAX_EVENT_BYTES = 2_000_000  # of an event as it is written again, with what was derived from it
MAX_DEPTH = 64  # of objects and lists within each other
MAX_FIELDS = 1_000  # at the top of a record
AHEAD_MS = 300_000  # a time further ahead of its record's timestamp than this is taken at that timestamp
DEFAULT_SOURCE = "default"

_KINDS = frozenset(KINDS)
_BROWSING = frozenset({"web_visit", "email_click", "activity"})  # where a user agent tells a machine: no form is ever held back
_AGENT = 512  # characters of a user agent that are looked at
_SMALL = 16_384  # bytes: in a smaller record no field can pass the limits on texts and attributes
_MAY_GROW_TOO_LARGE = MAX_EVENT_BYTES // 16  # bytes: a record below can't pass MAX_EVENT_BYTES when it is written again
_DICT_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


def canonical(
    data: bytes | dict[str, Any] | None,
    *,
    kind: str | None = None,
    source: str | None = None,
    record_ms: int | None = None,
    options: IngestOptions = DEFAULT_OPTIONS,
) -> Event | Anonymous | Ignored | Rejected:
    """Read one canonical input event; never raises, whatever the data.

    ``data`` is a record's value, or the object that it would hold. ``kind`` and ``source`` stand in where the record
    names none: the kind of its topic and the topic's name, offline None and None (the source is `default` then).
    ``record_ms`` is the record's timestamp, offline None: then nothing is clamped.
    """
    fallback = kind or UNKNOWN_KIND
    if isinstance(data, dict):
        try:
            data = orjson.dumps(data, option=_DICT_OPTIONS)
        except (orjson.JSONEncodeError, RecursionError) as error:
            return Rejected(fallback, Reason.NOT_JSON, f"value: {error}, expected what JSON can hold")
    if not data:
        return Rejected(fallback, Reason.EMPTY, "value: empty, expected a JSON object")
    size = len(data)
    if size > MAX_BYTES:
        return Rejected(fallback, Reason.TOO_LARGE, f"value: got {size} bytes, expected at most {MAX_BYTES}")
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return _unreadable(data, error, fallback)
    if type(fields) is not dict:
        return Rejected(fallback, Reason.NOT_AN_OBJECT, f"value: got {shown(fields)}, expected a JSON object")
    # Most events are flat: looking for a second bracket first is cheaper than counting them.
    if (data.rfind(b"{") > 0 or b"[" in data) and too_deep(data, fields):
        return Rejected(fallback, Reason.TOO_DEEP, _TOO_DEEP)
    return event_of(fields, size, kind, source, record_ms, options)


def too_deep(data: bytes, value: Any) -> bool:
    """Whether a JSON text holds a value that is nested beyond `MAX_DEPTH`."""
    return data.count(b"{") + data.count(b"[") > MAX_DEPTH and _deeper(value, MAX_DEPTH)


_TOO_DEEP = f"value: nested too deep, expected at most {MAX_DEPTH} levels"


def event_of(
    fields: dict[str, Any], size: int, kind: str | None, source: str | None, record_ms: int | None, options: IngestOptions
) -> Event | Anonymous | Ignored | Rejected:
    """The event of an object that was parsed from JSON; takes the object over and changes it.

    ``size`` is the length of that JSON in bytes: limits that a record of this size can't break are not looked at.
    """
    told = fields.pop("kind", None)
    if told is None:
        if kind is None:
            return Rejected(UNKNOWN_KIND, Reason.MISSING_FIELD, "kind: missing, expected one of " + " ".join(KINDS))
    elif type(told) is str and told in _KINDS:
        kind = told
    else:
        hint = nearest(told, KINDS) if type(told) is str else ""
        detail = f"kind: got {shown(told)}, expected one of {' '.join(KINDS)}{hint}"
        return Rejected(UNKNOWN_KIND, Reason.UNKNOWN_KIND, detail)
    assert kind is not None
    try:
        return _read(fields, size, kind, source, record_ms, options)
    except Refused as refused:
        return Rejected(kind, refused.reason, refused.detail)


def _read(
    fields: dict[str, Any], size: int, kind: str, source: str | None, record_ms: int | None, options: IngestOptions
) -> Event | Anonymous | Ignored | Rejected:
    take = fields.pop
    event_id = take("id", None)
    if type(event_id) is not str or not event_id or len(event_id) > MAX_ID:
        if event_id is None or event_id == "":
            raise missing("id", "a text that is unique within the source")
        identifier("id", event_id)
    told = take("source", None)
    if told is not None and told != "":
        source = identifier("source", told)
    time = take("time", None)
    if type(time) is not int or not EARLIEST_MS <= time < LATEST_MS:
        time = time_ms(time)
    skewed = False
    if record_ms is not None and time - record_ms > AHEAD_MS and EARLIEST_MS <= record_ms < LATEST_MS:
        time, skewed = record_ms, True
    machine = take("machine", None)
    if machine is not None and machine is not True and machine is not False:
        raise bad_field("machine", machine, "true or false")
    if machine is None and kind in _BROWSING and options.crawlers and type(agent := fields.get("user_agent")) is str:
        machine = is_crawler(agent[:_AGENT])
    lead, email = _who(fields, options)
    types = TYPES[kind]
    for name, value in fields.items():
        allowed = types.get(name)
        if allowed is not None and type(value) not in allowed:
            raise bad_field(name, value, EXPECTED[allowed])
    finish = _OWN_FIELDS.get(kind)
    attributes = finish(fields, lead, options) if finish is not None else None
    if attributes and attributes.get("email") is not None:
        attributes = _with_address(attributes)
    if lead is None and not any(visitors_of(fields)):
        _check_visitor(fields)
        return Ignored(kind, Reason.NO_LEAD, "names no lead: none of lead_id, email, user_id and anonymous_id")
    if size > _SMALL:
        _check_large(fields, attributes, types)
    url = fields.get("url")
    if url is not None:
        urls.derive(fields, url)
    event = Event(source or DEFAULT_SOURCE, event_id, kind, time, lead or "", fields, email, machine is True, attributes, skewed)
    if size > _MAY_GROW_TOO_LARGE:
        _check_written(event)
    return Anonymous(event) if lead is None else event


def _who(fields: dict[str, Any], options: IngestOptions) -> tuple[str | None, str | None]:
    """The lead id and the normalised email; takes both fields out of the body."""
    lead = fields.pop("lead_id", None)
    if lead is not None:
        lead = lead_id("lead_id", lead) or None
    email = fields.pop("email", None)
    if email is None or email == "":
        return lead, None
    if type(email) is not str:
        raise bad_field("email", email, "text")
    address = normalise_email(email)
    if address is None and lead is None and not fields.get("user_id") and not fields.get("anonymous_id"):
        raise bad_field("email", email, "an email address, for nothing else says who this was")
    if lead is None and address is not None and options.mailbox_rules:
        return mailbox(address, options.mailbox_rules), address
    return lead or address, address


def _check_visitor(fields: dict[str, Any]) -> None:
    """Refuse the id of a visitor that no visitor can have, where nothing else says who it was."""
    for name in ("user_id", "anonymous_id"):
        if fields.get(name):
            lead_id(name, fields[name])


def _form_fill(fields: dict[str, Any], lead: str | None, options: IngestOptions) -> dict[str, Any] | None:
    filled = fields.get("fields")
    if not filled or not options.form_attributes:
        return None
    found = {
        attribute: value for name, attribute in options.form_attributes.items() if (value := filled.get(name)) is not None and value != ""
    }
    return found or None


def _with_address(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes whose ``email`` has the one spelling of an address; without it where it is no address. Says nothing of whose they are."""
    email = attributes["email"]
    address = normalise_email(email) if type(email) is str else None
    if address is not None:
        return {**attributes, "email": address}
    return {name: value for name, value in attributes.items() if name != "email"}


def _email_click(fields: dict[str, Any], lead: str | None, options: IngestOptions) -> None:
    check_word("action", fields.get("action"), EMAIL_ACTIONS)


def _webinar_attendance(fields: dict[str, Any], lead: str | None, options: IngestOptions) -> None:
    check_word("action", fields.get("action"), WEBINAR_ACTIONS)


def _profile(fields: dict[str, Any], lead: str | None, options: IngestOptions) -> dict[str, Any]:
    attributes: dict[str, Any] | None = fields.pop("attributes", None)
    if attributes is None:
        raise missing("attributes", "an object")
    if len(attributes) > MAX_ATTRIBUTES:
        raise Refused(Reason.BAD_FIELD, f"attributes: got {len(attributes)} of them, expected at most {MAX_ATTRIBUTES}")
    return attributes


def _feedback(fields: dict[str, Any], lead: str | None, options: IngestOptions) -> None:
    if lead is None:
        raise missing("lead_id", "the lead that the feedback is about")
    if fields.get("decision") is None:
        raise missing("decision", "one of " + " ".join(DECISIONS))
    check_word("decision", fields["decision"], DECISIONS)


def _command(fields: dict[str, Any], lead: str | None, options: IngestOptions) -> None:
    if lead is None:
        raise missing("lead_id", "the lead that the command is about")
    if fields.get("do") is None:
        raise missing("do", "one of " + " ".join(COMMANDS))
    check_word("do", fields["do"], COMMANDS)
    for name in NEEDED_BY_COMMAND.get(fields["do"], ()):
        if not fields.get(name):
            raise missing(name, f"what the command {fields['do']} is about")
        (lead_id if name == "into" else identifier)(name, fields[name])
    if fields["do"] == "merge" and fields["into"] == lead:
        raise bad_field("into", lead, "another lead than the one that is merged")


_OWN_FIELDS = {
    "form_fill": _form_fill,
    "email_click": _email_click,
    "webinar_attendance": _webinar_attendance,
    "profile": _profile,
    "feedback": _feedback,
    "command": _command,
}


def _check_large(fields: dict[str, Any], attributes: dict[str, Any] | None, types: dict[str, Types]) -> None:
    """The limits that only a large record can break."""
    if len(fields) > MAX_FIELDS:
        raise Refused(Reason.BAD_FIELD, f"value: got {len(fields)} fields, expected at most {MAX_FIELDS}")
    for name, value in fields.items():
        if type(value) is str and len(value) > MAX_TEXT and name in types:
            raise Refused(Reason.BAD_FIELD, f"{name}: got a text of {len(value)} characters, expected at most {MAX_TEXT}")
    if attributes:
        written = len(msgspec.json.encode(attributes))
        if written > MAX_ATTRIBUTES_BYTES:
            raise Refused(Reason.BAD_FIELD, f"attributes: got {written} bytes of JSON, expected at most {MAX_ATTRIBUTES_BYTES}")


def _check_written(event: Event) -> None:
    """Short numbers become long ones when they are written again: what went in may be too large to come out."""
    written = len(msgspec.json.encode(event))
    if written > MAX_EVENT_BYTES:
        raise Refused(Reason.TOO_LARGE, f"value: becomes an event of {written} bytes, expected at most {MAX_EVENT_BYTES}")


def _unreadable(data: bytes, error: orjson.JSONDecodeError, kind: str) -> Rejected:
    if "depth limit" in error.msg:
        return Rejected(kind, Reason.TOO_DEEP, _TOO_DEEP)
    refused = not_json("value", data, error, "a JSON object")
    return Rejected(kind, refused.reason, refused.detail)


def _deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists stand within each other more than so many levels deep; walks level by level."""
    level = [value]
    for _ in range(levels):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True
