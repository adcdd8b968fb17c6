"""The ledger of one lead: the events that can still count, in order, each once, within bounds. No points here.

A lead's events count in the order (time, source, id), whatever their order of arrival. Per kind and UTC day only the first
``per_day`` stay. Of those only the newest ``ledger`` count, but the rest of the UTC day in which that boundary falls stays
too: so a late event on that day is still told from a flood, and what counts remains a function of the set of events.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING

from mqlstream.core.event import DAY_MS
from mqlstream.core.outcome import NO_REASON, Reason
from mqlstream.core.packing import Packer
from mqlstream.core.state import Entry, LeadState

if TYPE_CHECKING:
    from mqlstream.core.plan import Plan

Key = tuple[int, str, str]
_SOURCES = 64  # names of sources kept before those out of use are forgotten


class Ledger:
    """The entries of a `LeadState`, with what is needed to place the next one quickly.

    Entries are found by the id of their event; only where two sources use one id, by (id, index of the source) too.
    """

    __slots__ = ("_counts", "_day", "_known", "_sources_most", "packer", "per_day", "state")

    def __init__(self, state: LeadState, per_day: int) -> None:
        self.state = state
        self.per_day = per_day
        self._sources_most = max(_SOURCES, 2 * len(state.sources))
        self.packer = Packer()  # here, because the ledger knows when entries only grow at their end
        self._known: dict[str | tuple[str, int], Entry] = {}
        for entry in state.entries:
            self._remember(entry)
        self._day = -1  # the day that _counts counts: the newest one, once it has entries enough for a flood
        self._counts: dict[int, int] = {}

    def source(self, name: str) -> int:
        """The index of a source's name, which entries carry instead of it."""
        sources = self.state.sources
        try:
            return sources.index(name)
        except ValueError:
            if len(sources) >= self._sources_most:
                self._renumber()
                sources = self.state.sources
                self._sources_most = max(_SOURCES, 2 * len(sources))
            sources.append(name)
            return len(sources) - 1

    def _renumber(self) -> None:
        """Forget the sources that no entry and no fact names any more."""
        state = self.state
        used = sorted({entry.source for entry in state.entries} | {fact.source for fact in state.facts})
        number = {old: new for new, old in enumerate(used)}
        for entry in state.entries:
            entry.source = number[entry.source]
        for fact in state.facts:
            fact.source = number[fact.source]
        state.sources = [state.sources[old] for old in used]
        self._known = {}
        for entry in state.entries:
            self._remember(entry)
        self.packer.forget()

    def key(self, entry: Entry) -> Key:
        return (entry.time, self.state.sources[entry.source], entry.id)

    def find(self, event_id: str, source: int) -> Entry | None:
        """The entry of an event that is in the ledger."""
        found = self._known.get(event_id)
        if found is None or found.source == source:
            return found
        return self._known.get((event_id, source))

    def add(self, entry: Entry) -> tuple[Reason, bool]:
        """Place an entry. Returns (reason it is not in, whether it is the newest of all).

        A late entry may push the last of a full day out; that one is then gone, as if it had come after.
        """
        entries = self.state.entries
        time = entry.time
        day = time // DAY_MS
        if not entries or time > entries[-1].time or (time == entries[-1].time and self.key(entry) > self.key(entries[-1])):
            if len(entries) >= self.per_day and entries[-self.per_day].time // DAY_MS == day:
                if day != self._day:
                    self._recount(day)
                count = self._counts.get(entry.kind, 0)
                if count >= self.per_day:
                    return Reason.FLOOD, False
                self._counts[entry.kind] = count + 1
            entries.append(entry)
            self._remember(entry)
            return NO_REASON, True
        return self._insert(entry, day), False

    def _insert(self, entry: Entry, day: int) -> Reason:
        entries = self.state.entries
        same = [e for e in self.between(day * DAY_MS, (day + 1) * DAY_MS) if e.kind == entry.kind]
        if len(same) >= self.per_day:
            last = same[-1]
            if self.key(entry) > self.key(last):
                return Reason.FLOOD
            entries.remove(last)
            self._forget(last)
        self.packer.forget()
        insort(entries, entry, key=self.key)
        self._remember(entry)
        self._day = -1
        return NO_REASON

    def between(self, from_ms: int, until_ms: int) -> list[Entry]:
        """The entries with ``from_ms <= time < until_ms``, in order."""
        entries = self.state.entries
        low = bisect_left(entries, from_ms, key=_time)
        return entries[low : bisect_left(entries, until_ms, lo=low, key=_time)]

    def drop_before(self, time_ms: int) -> None:
        """Forget the entries before a time: nothing can make them count again."""
        entries = self.state.entries
        low = bisect_left(entries, time_ms, key=_time)
        for entry in entries[:low]:
            self._forget(entry)
        del entries[:low]
        self._day = -1
        self.packer.forget()

    def _remember(self, entry: Entry) -> None:
        if self._known.setdefault(entry.id, entry) is not entry:
            self._known[entry.id, entry.source] = entry

    def _forget(self, entry: Entry) -> None:
        if self._known.get(entry.id) is not entry:
            del self._known[entry.id, entry.source]
            return
        del self._known[entry.id]
        for source in range(len(self.state.sources)):  # another source's entry of this id takes the short key
            other = self._known.pop((entry.id, source), None)
            if other is not None:
                self._known[entry.id] = other
                break

    def _recount(self, day: int) -> None:
        self._day = day
        self._counts = {}
        for entry in reversed(self.state.entries):
            if entry.time // DAY_MS != day:
                break
            self._counts[entry.kind] = self._counts.get(entry.kind, 0) + 1


def countable(plan: Plan, ledger: Ledger, as_of: int) -> list[Entry]:
    """The entries that count at ``as_of``: past the plan's flood limit, within its horizon, the newest of its ledger."""
    entries = ledger.state.entries
    if plan.per_day < ledger.per_day:
        counts: dict[tuple[int, int], int] = {}
        kept = []
        for entry in entries:
            slot = (entry.time // DAY_MS, entry.kind)
            counts[slot] = counts.get(slot, 0) + 1
            if counts[slot] <= plan.per_day:
                kept.append(entry)
        entries = kept
    first_ms = (as_of // DAY_MS - plan.horizon_days + 1) * DAY_MS
    low = bisect_right(entries, first_ms - 1, key=_time) if entries and entries[0].time < first_ms else 0
    high = bisect_right(entries, as_of, key=_time) if entries and entries[-1].time > as_of else len(entries)
    return entries[max(low, high - plan.ledger) : high]


def _time(entry: Entry) -> int:
    return entry.time
