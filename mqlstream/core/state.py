"""What is remembered of one lead, `LeadState`, and its parts: all that survives a restart, packed by `mqlstream.core.packing`."""

from __future__ import annotations

from typing import Any

import msgspec

MACHINE = 1  # flags of an entry
RETRACTED = 2  # it keeps its place, and is nothing else
EMAIL = "@email"  # the pseudo attribute that carries the address of the newest event with one; '@' starts no attribute
FACTS_COLLAPSE = 8  # events with news of the lead, above which old news is thinned out
FACTS_KEPT = 64  # of these, while the rest holds no newest value of any attribute
FACTS_MAX = 256  # in any case: beyond, the attributes that were told longest ago are forgotten
NEVER = -1
HEARD_MAX = 16  # events of feedback by which a repeated one is known


class Entry(msgspec.Struct, gc=False):
    """One event in the ledger. ``source`` indexes `LeadState.sources`; ``values`` follow the program's layout of the kind.

    ``seq`` counts the lead's events in order of arrival: what was known when.
    """

    time: int
    source: int
    id: str
    kind: int
    seq: int
    flags: int
    values: tuple[Any, ...]


class Fact(msgspec.Struct, array_like=True):
    """What one event said about the lead: attribute values, null where it cleared one."""

    time: int
    source: int
    id: str
    values: dict[str, Any]


class Track(msgspec.Struct, array_like=True):
    """A lead's life under one definition. Times are epoch milliseconds, `NEVER` where there is none yet.

    ``entered`` is the as_of at which the stage was entered, ``opened`` the one at which the newest handoff was opened;
    ``since`` is the `Entry.seq` after which a fast track counts. ``marks`` tells per dimension where it last started again
    because sales recycled the lead: (time, source, id, value).
    """

    stage: str = "lead"
    cycle: int = 0
    entered: int = NEVER
    since: int = 0
    opened: int = NEVER
    qualified_at: int = NEVER
    first_mql_at: int = NEVER
    cooldown_until: int = NEVER
    respond_by: int = NEVER  # sales' deadline for the open handoff
    breached: bool = False  # it has passed
    peaked: bool = False  # the total was at or above `rearm.below` in this cycle
    by_sales: bool = False  # disqualified by sales, not by a rule
    marks: dict[str, tuple[int, str, str, float]] = {}
    ground: int = 0  # `since` as it was when the newest handoff was opened
    quiet: int = 0  # `LeadState.seq` for as long as which time alone hands nobody off; see `mqlstream.core.takeover`

    def enter(self, stage: str, state: LeadState) -> None:
        """Be in a stage from now on."""
        self.stage = stage
        self.entered = state.as_of
        self.since = state.seq
        self.respond_by = NEVER
        self.breached = self.peaked = self.by_sales = False


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """One answer of sales' that moved the lead. ``definition`` is the one under which it did."""

    time: int
    source: str
    id: str
    decision: str
    definition: str
    by: str | None
    reason: str | None


class Commands(msgspec.Struct, array_like=True):
    """What operators have asked for: there only for a lead that had a command. See `mqlstream.core.commands`.

    ``corrected`` tells by source and id of an event what was said of it ("retract" or "machine_verdict") and when;
    ``reset`` is the place in the order where all scores start again from 0; ``switch`` the newest freeze or resume with its
    place; ``audit`` has the newest commands: time, what, source, id, by whom, why, and what they are about (see `_about` there);
    ``adopted`` the leads that were merged into this one, and are to go with it.
    """

    corrected: dict[str, tuple[str, int]] = {}
    reset: tuple[int, str, str] | None = None
    switch: tuple[int, str, str, bool] | None = None
    merged_into: str = ""
    audit: list[tuple[int, str, str, str, str | None, str | None, str]] = []
    adopted: list[str] = []

    @property
    def frozen(self) -> bool:
        """Whether handoffs are held back."""
        return self.switch is not None and self.switch[3]


class LeadState(msgspec.Struct):
    """The record of the table, one per lead. Its size is bounded by the definitions' flood limit, horizon and ledger."""

    layout: int = 0
    as_of: int = NEVER
    first_seen: int = NEVER
    seq: int = 0
    sources: list[str] = []
    entries: list[Entry] = []
    facts: list[Fact] = []
    tracks: dict[str, Track] = {}
    newest: dict[str, int] = {}  # inactivity entry -> time of the newest activity it looks at, which never ages out
    due: int = NEVER  # when a timer of the lead fires next
    heard: list[Answer] = []  # the newest ones
    commands: Commands | None = None
    unreviewed: int = NEVER  # the earliest moment not looked at, while older events may still come
