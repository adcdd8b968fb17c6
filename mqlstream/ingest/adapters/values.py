"""Taking values out of payloads whose types nobody vouches for: never raises but `Refused`. No vendor's names."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from mqlstream.core.event import EARLIEST_MS, LATEST_MS
from mqlstream.core.outcome import Reason
from mqlstream.ingest.adapters.base import Skip
from mqlstream.ingest.fields import MAX_ID, Refused, bad_field, identifier, missing, nearest, rfc3339_ms, shown

_LONGEST_TIME = 64  # characters
_MAX_SECONDS = 100_000_000_000  # beyond it no number is a time in seconds


def at(value: Any, *path: str) -> Any:
    """What stands under these keys within each other, or None."""
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def inner(value: Any, key: str) -> dict[str, Any]:
    """The object under this key; an empty one when there is none."""
    found = value.get(key) if type(value) is dict else None
    return found if type(found) is dict else {}


def text(value: Any) -> str | None:
    """A text, or a whole number as one (vendors write ids both ways); None for anything else and for the empty text."""
    if type(value) is str:
        return value or None
    if type(value) is int:
        return str(value)
    return None


def shared_text(name: str, *values: Any) -> str | None:
    """The first text of several places in a record, for all of its parts: an id at most `MAX_ID` long, as each part gets its copy."""
    for value in values:
        found = text(value)
        if found is not None:
            return identifier(name, found)
    return None


def needed(name: str, value: Any, expected: str = "a text") -> str:
    """A text that must be there; ``name`` is the vendor's name of it."""
    found = text(value)
    if found is None:
        raise missing(name, expected) if value is None or value == "" else bad_field(name, value, expected)
    return found


def listed(value: Any) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if type(value) is list else []


def seconds_ms(name: str, value: Any) -> int:
    """Epoch milliseconds of epoch seconds, whole or with a fraction, as a number or as digits."""
    number = value
    if type(value) is str and len(value) <= 20 and value.replace(".", "", 1).isascii() and value.replace(".", "", 1).isdigit():
        number = float(value)
    if type(number) is int and -_MAX_SECONDS < number < _MAX_SECONDS:
        return number * 1000
    if type(number) is float and -_MAX_SECONDS < number < _MAX_SECONDS:
        return round(number * 1000)
    raise (
        missing(name, "epoch seconds") if value is None else Refused(Reason.BAD_TIME, f"{name}: got {shown(value)}, expected epoch seconds")
    )


def utc_ms(name: str, value: Any) -> int:
    """Epoch milliseconds of a time that its vendor writes in UTC, with or without saying so."""
    read = rfc3339_ms(utc(name, value))
    if read is None or not EARLIEST_MS <= read < LATEST_MS:
        raise _no_time(name, value, "RFC 3339, in UTC where it has no offset, in the years 2000 to 2100")
    return read


def utc(name: str, value: Any) -> str:
    """A text that is a time in UTC, with or without saying so, as RFC 3339; any other text is no time then either."""
    if type(value) is not str or not 0 < len(value) <= _LONGEST_TIME:
        raise _no_time(name, value, "a time")
    moment: str = value
    if moment.endswith(" UTC"):
        moment = moment[:-4]
    if moment[-1] in "Zz" or (len(moment) > 19 and moment[-6] in "+-" and moment[-3] == ":"):
        return moment
    return moment + "Z"


def _no_time(name: str, value: Any, expected: str) -> Refused:
    if value is None or value == "":
        return missing(name, expected)
    return Refused(Reason.BAD_TIME, f"{name}: got {shown(value)}, expected {expected}")


def composed(*parts: Any) -> str:
    """An id made of several values, unambiguous, the same each time, at most `MAX_ID` long. None is an empty part."""
    words = ["" if part is None else part if type(part) is str else str(part) for part in parts]
    joined = "|".join(words)
    if "\\" in joined or joined.count("|") >= len(words):
        joined = "|".join([word.replace("\\", "\\\\").replace("|", "\\|") for word in words])
    return _bounded(joined)


def beside(event_id: str, word: str) -> str:
    """The id of another event that comes of the same part as the event with this id."""
    return _bounded(f"{event_id}|{word}")


def _bounded(joined: str) -> str:
    if len(joined) <= MAX_ID:
        return joined
    return "digest|" + blake2b(joined.encode(errors="surrogatepass"), digest_size=20).hexdigest()


def told(**fields: Any) -> dict[str, Any]:
    """A canonical input object without the fields that are None.

    Where nearly all fields are always there a literal is faster: ``id time email machine`` may be None in it, the rest not.
    """
    return {name: value for name, value in fields.items() if value is not None}


def of_types(name: str, value: Any, table: Mapping[str, Any], passed_over: Mapping[str, str]) -> Any:
    """The entry of an event type in its adapter's table, or a `Skip` for one that is passed over on purpose.

    A type in neither is refused, so that it is found in the dead letters when the vendor adds one.
    """
    if type(value) is str:
        found = table.get(value)
        if found is not None:
            return found
        why = passed_over.get(value)
        if why is not None:
            return Skip(f"{value}: {why}")
        known = (*table, *passed_over)
        raise Refused(Reason.UNKNOWN_KIND, f"{name}: got {shown(value)}, expected one of {' '.join(known)}{nearest(value, known)}")
    raise missing(name, "a type of event") if value is None else bad_field(name, value, "a text")


def email_in(value: Any) -> str | None:
    """The value if it may be an email address: some write one where a user's id belongs."""
    return value if type(value) is str and "@" in value else None


def split_name(first: Any, last: Any, **attributes: Any) -> dict[str, Any]:
    """Attributes of a lead without those that are None or empty."""
    found = {"first_name": first, "last_name": last, **attributes}
    return {name: value for name, value in found.items() if value is not None and value != ""}
