"""Short ways to write definitions, events and times in tests."""

from __future__ import annotations

from itertools import count
from typing import Any

from tests.oracle.conditions import duration_ms
from tests.oracle.events import Json, epoch_ms

START_MS = epoch_ms("2026-11-02T09:00:00Z")  # a Monday
_numbers = count(1)


def defined(**parts: Any) -> Json:
    """A definition with its head and the parts given."""
    return {"definition": "model", "version": 1, **parts}


def after(*durations: str, start: int = START_MS) -> int:
    """The time so many durations after the start, such as `after("1d", "2h")`."""
    return start + sum(duration_ms(duration) for duration in durations)


def event(kind: str, time: int | str = START_MS, **fields: Any) -> Json:
    """An event of the lead `ann` with a fresh id, unless the fields say otherwise."""
    return {"id": f"e{next(_numbers):04}", "source": "s", "kind": kind, "time": epoch_ms(time), "lead_id": "ann"} | fields


def visit(time: int | str = START_MS, **fields: Any) -> Json:
    """A web visit."""
    return event("web_visit", time, **fields)


def form(time: int | str = START_MS, **fields: Any) -> Json:
    """A form fill."""
    return event("form_fill", time, **fields)


def click(time: int | str = START_MS, **fields: Any) -> Json:
    """An email click, opening by default."""
    return event("email_click", time, **({"action": "open"} | fields))


def profile(time: int | str = START_MS, **attributes: Any) -> Json:
    """A profile with these attributes."""
    return event("profile", time, attributes=attributes)
