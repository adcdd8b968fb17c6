"""The full names of all topics under one prefix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mqlstream.topics.declared import declared


@dataclass(frozen=True)
class Topics:
    """``Topics("mql.").handoff`` is `mql.handoff.v1`; every topic of the declaration is an attribute."""

    prefix: str = "mql."
    web_visits: str = field(init=False)
    form_fills: str = field(init=False)
    email_clicks: str = field(init=False)
    webinar_attendance: str = field(init=False)
    activities: str = field(init=False)
    profiles: str = field(init=False)
    feedback: str = field(init=False)
    commands: str = field(init=False)
    definitions: str = field(init=False)
    lead_events: str = field(init=False)
    visitor_events: str = field(init=False)
    ingest_positions: str = field(init=False)
    lead_state: str = field(init=False)
    account_leads: str = field(init=False)
    account_state: str = field(init=False)
    identity: str = field(init=False)
    insights_facts: str = field(init=False)
    handoff: str = field(init=False)
    scores: str = field(init=False)
    shadow: str = field(init=False)
    dead_letters: str = field(init=False)
    kinds: Mapping[str, str] = field(init=False, compare=False)
    """Full name of each input topic -> the kind of an event there that names none; in the declaration's order."""

    def __post_init__(self) -> None:
        for topic in declared():
            object.__setattr__(self, topic.key, self.prefix + topic.name)
        kinds = {self.prefix + topic.name: topic.kind for topic in declared() if topic.kind}
        object.__setattr__(self, "kinds", kinds)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The topics that ingest reads."""
        return tuple(self.kinds)

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(self.prefix + topic.name for topic in declared())


def largest_message_bytes() -> int:
    """The highest ``max.message.bytes`` of all topics: what a producer of them must be ready to send."""
    return max(int(topic.config["max.message.bytes"]) for topic in declared())
