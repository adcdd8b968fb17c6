"""Time zones by name: whether there is such a zone, and when its days begin. No clock."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from zoneinfo import ZoneInfo, available_timezones

from mqlstream.definition.findings import nearest

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}\Z")


def zone_hint(name: str) -> str | None:
    """None when there is such a zone, else a hint (which may be empty)."""
    if _NAME.match(name):
        try:
            ZoneInfo(name)
            return None
        except (KeyError, ValueError, OSError):
            pass
    near = nearest(name, available_timezones())
    return f"did you mean {near}?" if near else ""


def midnight_ms(day: str, zone: str) -> int:
    """The first moment of a day (``2026-11-01``) in a zone, epoch milliseconds."""
    return round(datetime.combine(date.fromisoformat(day), time(), ZoneInfo(zone)).timestamp() * 1000)
