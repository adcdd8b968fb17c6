"""What reading a record can give besides an event, and the options that steer the reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mqlstream.core.event import Event
from mqlstream.core.outcome import Outcome, Reason, ignored, rejected

if TYPE_CHECKING:
    from mqlstream.ingest.adapters.base import Source

UNKNOWN_KIND = "unknown"  # the kind under which a record is counted whose kind can't be told


class Ignored(NamedTuple):
    """Understood, and of no use: counted under its kind and reason, nothing else happens."""

    kind: str
    reason: Reason
    detail: str

    @property
    def outcome(self) -> Outcome:
        return ignored(self.reason)


class Anonymous(NamedTuple):
    """An event that names a visitor and no lead: ``event.lead`` is empty. Where nobody links visitors to leads it is ignored."""

    event: Event
    detail: str = "names a visitor and no lead"

    @property
    def kind(self) -> str:
        return self.event.kind

    @property
    def reason(self) -> Reason:
        return Reason.NO_LEAD

    @property
    def outcome(self) -> Outcome:
        return ignored(Reason.NO_LEAD)


class Rejected(NamedTuple):
    """Unusable: goes to the dead letters. ``detail`` names the field, what was got and what was expected."""

    kind: str
    reason: Reason
    detail: str

    @property
    def outcome(self) -> Outcome:
        return rejected(self.reason)


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """``form_attributes`` maps the name of a form's field to the lead attribute it fills; there is no default map.

    ``sources`` maps a topic to the adapter that reads its records (`mqlstream.ingest.adapters.base.Source`); records of
    any other topic are canonical. ``crawlers``: events with a crawler's user agent are a machine's.
    ``mailbox_rules``: see `mqlstream.ingest.identity.mailbox`.
    """

    form_attributes: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    crawlers: bool = True
    mailbox_rules: Mapping[str, str] = field(default_factory=dict)


DEFAULT_OPTIONS = IngestOptions()
