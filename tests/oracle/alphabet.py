"""The small alphabets that generated rules and generated events share, so that rules and events meet.

Values come with a few of the wrong type; durations and gaps come from one ladder, so that windows end exactly on events.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.oracle.conditions import duration_ms
from tests.oracle.events import Json

Values = st.SearchStrategy[Any]

PATHS = ["/pricing", "/Pricing/plans", "/careers", "/straße", "/"]
URLS = [
    "https://acme.example/pricing",
    "https://Acme.example?utm_source=Ad&a=1&a=2",
    "https://rival.example/careers?utm_campaign=spring#top",
]
TITLES = ["VP Marketing", "Vice President, Sales", "Head of IT", "student", "VICE-PRESIDENT"]
EMAILS = ["Ann@acme.example", " ann@rival.example ", "ann@gmail.com", "info@acme.example", "ann@mailinator.com"]
LISTS: Json = {
    "competitors": ["rival.example", "Rival2.example"],
    "seniors": ["vp", "vice president", "head of"],
    "pages": ["/pricing", "/careers"],
}

TEXTS: dict[str, list[Any]] = {
    "path": PATHS,
    "session_id": ["s1", "s2"],
    "form": ["demo", "Contact us"],
    "campaign": ["spring", "Fall"],
    "action": ["open", "click", "unsubscribe", "bounce", "registered", "attended"],
    "name": ["content_download", "chat"],
    "utm.source": ["ad"],
    "host": ["acme.example", "rival.example"],
    "fields.plan": ["pro", "Free plan"],
    "lead.title": TITLES,
    "lead.country": ["NO", "de"],
    "lead.email_domain": ["acme.example", "rival.example"],
    "lead.email_kind": ["business", "free", "role", "disposable"],
}
NUMBERS: dict[str, list[float]] = {
    "duration_seconds": [0, 10, 40],
    "fields.company_size": [50, 800],
    "properties.points": [-20, 0, 7.5, 30],
    "attended_seconds": [0, 600],
    "properties.plan.size": [3, 4],
    "lead.company_size": [50, 800],
}
TAGS = ["Alpha", "beta"]
MEMBERS: dict[str, list[Any]] = {"properties.tags": TAGS, "lead.tags": TAGS}
BOOLEANS = ["fields.consent", "lead.customer"]

# What else a field may hold where its usual values are given in TEXTS and NUMBERS.
ODD: list[Any] = [None, "40", "", True, 1, [], ["/pricing", 40], {"a": 1}]

DURATIONS = st.sampled_from(["1d", "2d", "1h", "7d", "30d"])
SOON = ["1h", "1d", "1h", "1d", "2d", "23h"]
LATE = ["7d", "30d", "365d"]
GAPS_MS = [0, *map(duration_ms, SOON * 4 + LATE), 0, 0, 1, duration_ms("1d") - 1]

# Shortly before: plain days, both ends of daylight saving in Europe and in America, the turn of an ISO year, a leap day.
STARTS = [
    "2026-11-02T09:00:00Z",
    "2026-03-28T12:00:00Z",
    "2026-10-24T21:30:00Z",
    "2026-03-08T04:59:59Z",
    "2026-11-01T03:30:00Z",
    "2026-12-31T10:59:59Z",
    "2028-02-28T23:59:59Z",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "Asia/Kolkata"]
