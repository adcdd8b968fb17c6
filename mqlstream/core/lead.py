"""One lead opened for work: its state, and what is derived from it. No scoring here."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from mqlstream.core.email_kinds import SHIPPED, EmailLists, email_kind
from mqlstream.core.state import EMAIL, FACTS_COLLAPSE, FACTS_KEPT, FACTS_MAX, NEVER, Fact, LeadState, Track

if TYPE_CHECKING:
    from mqlstream.core.ledger import Ledger
    from mqlstream.core.tally import Tally


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

    def see(self, time: int) -> bool:
        """Note when the lead was first heard of; whether that was not known."""
        if self.state.first_seen != NEVER and time >= self.state.first_seen:
            return False
        self.state.first_seen = time
        self.forget_view()
        return True

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
