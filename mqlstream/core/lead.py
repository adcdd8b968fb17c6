"""What is remembered of one lead (`LeadState`), and the same lead opened for work (`Lead`).

The state is all that survives a restart, packed by `mqlstream.core.packing`; everything else is derived from it. No
scoring here.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import msgspec

from mqlstream.core.email_kinds import SHIPPED, EmailLists, email_kind

if TYPE_CHECKING:
    from mqlstream.core.ledger import Ledger
    from mqlstream.core.tally import Tally

MACHINE = 1
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


class Lead:
    """One lead, opened: its state and what is derived from it. ``tallies`` has a place per plan of the program.

    ``timer`` is the table's: the moment at which the lead stands among its timers; ``state.due`` is where it belongs.
    """

    __slots__ = ("_attributes", "email_lists", "id", "ledger", "state", "tallies", "timer")

    def __init__(self, lead_id: str, state: LeadState, ledger: Ledger, plans: int, email_lists: EmailLists = SHIPPED) -> None:
        self.email_lists = email_lists
        self.id = lead_id
        self.state = state
        self.ledger = ledger
        self.tallies: list[Tally | None] = [None] * plans
        self.timer = NEVER
        self._attributes: dict[str, Any] | None = None

    def track(self, definition: str) -> Track:
        """The lead's life under a definition, begun when first asked for."""
        tracks = self.state.tracks
        if definition not in tracks:
            tracks[definition] = Track()
        return tracks[definition]

    def newest_activity(self, key: str, as_of: int) -> int:
        """The newest activity an inactivity entry looks at; `NEVER` when none, or when it came after ``as_of``."""
        newest = self.state.newest.get(key, NEVER)
        return newest if newest <= as_of else NEVER

    def attributes(self, as_of: int | None = None) -> dict[str, Any]:
        """The lead's attributes with the derived ones (but ``age``): now, or as they stood at ``as_of``."""
        if as_of is not None and self.state.facts and self.state.facts[-1].time > as_of:
            return self._view(as_of)
        if self._attributes is None:
            self._attributes = self._view(None)
        return self._attributes

    def start_anew(self, state: LeadState) -> None:
        """The lead is another now: all that was derived from its state before is dropped."""
        self.state = state
        self.ledger = type(self.ledger)(state, self.ledger.per_day)
        self.recount()
        self.forget_view()

    def recount(self) -> None:
        """The ledger has changed other than by one more event: tallies are made again when they are needed."""
        self.tallies = [None] * len(self.tallies)

    def forget_view(self) -> None:
        """The attributes have to be looked at afresh: something they derive from has changed."""
        self._attributes = None

    def learn(self, time: int, source: int, event_id: str, values: dict[str, Any]) -> bool:
        """Take what an event says of the lead. Per attribute the value last in order counts. True when any has changed."""
        state = self.state
        facts = state.facts
        key = (time, state.sources[source], event_id)
        place = bisect_right(facts, key, key=lambda f: (f.time, state.sources[f.source], f.id))
        newest = place == len(facts)
        if newest and place >= 2 and facts[-1].values == values == facts[-2].values:
            facts[-1] = Fact(time, source, event_id, values)  # the end of a run of equal news moves on
            return False
        before = self.attributes()
        facts.insert(place, Fact(time, source, event_id, values))
        if len(facts) > FACTS_COLLAPSE:
            state.facts = _collapse(facts)
        self._attributes = None
        return before != self.attributes()

    def _view(self, as_of: int | None) -> dict[str, Any]:
        view: dict[str, Any] = {}
        for fact in self.state.facts:
            if as_of is not None and fact.time > as_of:
                break
            view.update(fact.values)
        email = view.pop(EMAIL, None)
        view = {name: value for name, value in view.items() if value is not None}
        if email:
            view["email_domain"] = email.rpartition("@")[2]
            view["email_kind"] = email_kind(email, self.email_lists)
            view[EMAIL] = email
        if self.state.first_seen != NEVER:
            view["first_seen"] = self.state.first_seen
        return view


def _collapse(facts: list[Fact]) -> list[Fact]:
    """Drop what no longer tells anything: the middle of a run of equal values, and the oldest beyond `FACTS_KEPT`.

    The newest value of every attribute always stays; older ones serve the look back at the time of a late event.
    """
    newer: dict[str, list[Any]] = {}  # attribute -> the values of the next two kept versions, newest last
    for fact in reversed(facts):
        for name, value in list(fact.values.items()):
            seen = newer.setdefault(name, [])
            if len(seen) >= 2 and seen[-1] == value == seen[-2]:
                seen.pop()  # the version between two equal ones: the older end of the run moves here
                _forget(facts, name, fact)
            seen.append(value)
    kept = [fact for fact in facts if fact.values]
    while len(kept) > FACTS_KEPT:
        last = {name: fact for fact in kept for name in fact.values}
        oldest = next((fact for fact in kept if any(last[name] is not fact for name in fact.values)), None)
        if oldest is None:
            return kept[-FACTS_MAX:]
        oldest.values = {name: value for name, value in oldest.values.items() if last[name] is oldest}
        kept = [fact for fact in kept if fact.values]
    return kept


def _forget(facts: list[Fact], name: str, older_end: Fact) -> None:
    """Drop the attribute from the nearest newer fact that has it: it stands between two of the same value."""
    after = facts.index(older_end) + 1
    for fact in facts[after:]:
        if name in fact.values:
            del fact.values[name]
            return
