"""The fields of the canonical events, their types, and the errors that name them. No reading of records, no identity."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from mqlstream.core.event import EARLIEST_MS, LATEST_MS
from mqlstream.core.outcome import Reason

MAX_ID = 512  # characters of id, source, lead_id and the other ids
MAX_TEXT = 16_384  # characters of any text field of the contract
MAX_ATTRIBUTES = 200  # of one event
MAX_ATTRIBUTES_BYTES = 32_768  # of one event, as JSON

Types = frozenset[type]  # the types a field's value may have
_NONE = type(None)
TEXT: Types = frozenset({str, _NONE})
NUMBER: Types = frozenset({int, float, _NONE})
OBJECT: Types = frozenset({dict, _NONE})
EXPECTED = {TEXT: "text", NUMBER: "a number", OBJECT: "an object"}

_COMMON: dict[str, Types] = {
    **dict.fromkeys(("anonymous_id", "user_id", "phone", "account", "url", "host", "path"), TEXT),
    **dict.fromkeys(("query", "utm"), OBJECT),
}
TYPES: dict[str, dict[str, Types]] = {
    "web_visit": {
        **_COMMON,
        **dict.fromkeys(("title", "referrer", "session_id", "user_agent"), TEXT),
        "duration_seconds": NUMBER,
    },
    "form_fill": {**_COMMON, "form": TEXT, "fields": OBJECT},
    "email_click": {**_COMMON, **dict.fromkeys(("action", "campaign", "message_id"), TEXT)},
    "webinar_attendance": {**_COMMON, "webinar": TEXT, "action": TEXT, "attended_seconds": NUMBER},
    "activity": {**_COMMON, "name": TEXT, "properties": OBJECT},
    "profile": {**_COMMON, "attributes": OBJECT},
    "feedback": {**_COMMON, **dict.fromkeys(("handoff_id", "definition", "decision", "reason", "by"), TEXT)},
    "command": {**_COMMON, **dict.fromkeys(("do", "into", "event_source", "event_id", "reason", "by"), TEXT)},
}

EMAIL_ACTIONS = ("delivered", "open", "click", "reply", "unsubscribe", "bounce", "complaint")
WEBINAR_ACTIONS = ("registered", "attended", "left", "no_show", "watched_on_demand")
DECISIONS = ("accepted", "rejected", "recycled", "qualified", "opportunity", "won", "lost", "disqualified")
COMMANDS = ("erase", "merge", "freeze", "resume", "reset", "retract", "machine_verdict")
NEEDED_BY_COMMAND = {"merge": ("into",), "retract": ("event_source", "event_id"), "machine_verdict": ("event_source", "event_id")}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ending = re.compile(r"(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-5][0-9])").fullmatch  # of RFC 3339, after the seconds
_TIME_EXPECTED = "epoch milliseconds or RFC 3339 with offset, in the years 2000 to 2100"


class Refused(Exception):
    """A record can't be used; carried from where it shows to where the record's kind is known."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def shown(value: Any) -> str:
    """A value as it stands in an error: JSON, at most 80 characters of it, containers by their kind only."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = orjson.dumps(value[:81] if isinstance(value, str) else value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean X?)`` with the nearest of the known words, or nothing."""
    close = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""


def bad_field(name: str, value: Any, expected: str) -> Refused:
    return Refused(Reason.BAD_FIELD, f"{name}: got {shown(value)}, expected {expected}")


def missing(name: str, expected: str) -> Refused:
    return Refused(Reason.MISSING_FIELD, f"{name}: missing, expected {expected}")


def not_json(name: str, value: bytes, error: orjson.JSONDecodeError, expected: str) -> Refused:
    """For what is no JSON: where in it. A line is counted only where there are several, and bytes where there are no characters."""
    try:
        text = value.decode()
    except UnicodeDecodeError as bad:
        detail = f"{name}: got the byte 0x{value[bad.start]:02x} at offset {bad.start}, which is no UTF-8, expected {expected} in UTF-8"
        return Refused(Reason.NOT_JSON, detail)
    line = f"line {error.lineno} " if "\n" in text.strip() else ""
    return Refused(Reason.NOT_JSON, f"{name}: {error.msg}: {line}column {error.colno}, expected {expected}")


def check_word(name: str, value: str | None, known: tuple[str, ...]) -> None:
    """Refuse a word that is none of a closed set; null passes."""
    if value is not None and value not in known:
        raise bad_field(name, value, "one of " + " ".join(known) + nearest(value, known))


def identifier(name: str, value: Any) -> str:
    """A text of 1 to `MAX_ID` characters; the slow way, for the error."""
    if type(value) is not str:
        raise bad_field(name, value, "text")
    if len(value) > MAX_ID:
        raise Refused(Reason.BAD_FIELD, f"{name}: got a text of {len(value)} characters, expected at most {MAX_ID}")
    return value


def lead_id(name: str, value: Any) -> str:
    """An identifier that is a lead's. A NUL character at its beginning is the mark of records that are about no lead."""
    text = identifier(name, value)
    if text[:1] == "\0":
        raise bad_field(name, value, "a text that does not begin with a NUL character")
    return text


def time_ms(value: Any) -> int:
    """Epoch milliseconds of a ``time`` field; refuses what is no time, or a time outside the years 2000 to 2100."""
    if value is None:
        raise missing("time", _TIME_EXPECTED)
    if type(value) is str:
        read = rfc3339_ms(value)
        if read is None:
            raise Refused(Reason.BAD_TIME, f"time: got {shown(value)}, expected {_TIME_EXPECTED}")
    elif type(value) is int:
        read = value
    else:
        raise Refused(Reason.BAD_TIME, f"time: got {shown(value)}, expected {_TIME_EXPECTED}")
    if EARLIEST_MS <= read < LATEST_MS:
        return read
    hint = "; these look like seconds" if type(value) is int and EARLIEST_MS <= read * 1000 < LATEST_MS else ""
    raise Refused(Reason.BAD_TIME, f"time: got {shown(value)}, expected {_TIME_EXPECTED}{hint}")


def text_ms(name: str, text: str) -> int:
    """Epoch milliseconds of a moment that a person or an address gives as text, in digits or as RFC 3339; or refuses it."""
    try:
        return time_ms(int(text) if text.lstrip("-").isdecimal() and len(text) < 20 else text)
    except Refused:
        raise Refused(
            Reason.BAD_TIME, f"{name}: got {text[:80]!r}, expected epoch milliseconds or RFC 3339 with an offset, in the years 2000 to 2100"
        ) from None


def rfc3339_ms(text: str) -> int | None:
    """Milliseconds, finer fractions cut off; a leap second is the last millisecond of its minute. None: no such time.

    `datetime.fromisoformat` takes more than RFC 3339 (week dates, times without colons or offset, almost anything between
    the seconds and the offset), and less: no small ``t`` and ``z``, no leap seconds.
    """
    if not 20 <= len(text) <= 64 or text[4] != "-" or text[7] != "-" or text[13] != ":" or text[16] != ":" or text[10] not in "Tt ":
        return None
    if text[19:] != "Z" and _ending(text, 19) is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        text = text.upper()
        if text[17:19] == "60":
            text = text[:17] + "59.999999" + text[19:].lstrip(".0123456789")
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    if moment.tzinfo is None:
        return None
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
