"""The canonical event: one touch of one lead, as it stands on the lead-events topic.

What is read from the outside world is turned into this by `mqlstream.ingest`; nothing here parses input.
"""

from __future__ import annotations

from typing import Any

import msgspec

ACTIVITY_KINDS = ("web_visit", "form_fill", "email_click", "webinar_attendance", "activity")
KINDS = (*ACTIVITY_KINDS, "profile", "feedback", "command")
# Actions that are no activity of the lead's own: they end no gap of inactivity.
PASSIVE_ACTIONS = frozenset({"delivered", "bounce", "complaint", "no_show"})

EARLIEST_MS = 946_684_800_000  # 2000-01-01T00:00:00Z
LATEST_MS = 4_133_980_800_000  # 2101-01-01T00:00:00Z, exclusive
DAY_MS = 86_400_000


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One canonical event.

    ``time`` is the event's own time in epoch milliseconds. ``body`` holds every other field of the input as it came
    (``path``, ``form``, ``fields``, ``properties``, unknown ones too), with ``host path query utm`` derived from a url.
    ``attributes`` is what the event says about the lead: a profile's attributes, or form fields that the ingest
    configuration maps. ``email`` is the normalised address the event carried, if any. ``via``: the merged leads that
    passed the event on, first to last; never from outside.
    """

    source: str
    id: str
    kind: str
    time: int
    lead: str
    body: dict[str, Any] = {}
    email: str | None = None
    machine: bool = False
    attributes: dict[str, Any] | None = None
    clock_skew: bool = False
    via: tuple[str, ...] = ()


def order(event: Event) -> tuple[int, str, str]:
    """The key of the one order in which a lead's events count: time, then source and id by code point."""
    return (event.time, event.source, event.id)
