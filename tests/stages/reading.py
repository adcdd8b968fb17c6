"""A record as a task reads it, for tests that hand records to processors themselves."""

from __future__ import annotations

from dataclasses import dataclass

from mqlstream.engine.interfaces import Headers
from mqlstream.topics import Topics

TOPICS = Topics("mql.")


@dataclass
class Read:
    """A record of lead-events, unless something else is said."""

    key: bytes | None
    value: bytes | None
    offset: int = 0
    timestamp: int = 1_793_610_000_000
    topic: str = TOPICS.lead_events
    partition: int = 0
    headers: Headers = ()
