"""The running sums of one lead under one plan: which matches are awarded, and what all awards are worth together.

A tally is derived: it can always be made again from the ledger (`Tally.over`), and is whenever an event arrives in a place
where adding it alone would not give the same. Standing points (fit, tiers) and clipping are `mqlstream.core.scoring`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any, NamedTuple

from mqlstream.core.awards import Award, Awards
from mqlstream.core.event import DAY_MS
from mqlstream.core.inactivity import Gaps, ends_gap
from mqlstream.core.ledger import Key, Ledger, countable
from mqlstream.core.limits import Chain
from mqlstream.core.plan import Candidate, LimitPlan, Plan, RulePlan
from mqlstream.core.state import RETRACTED, Entry, LeadState
from mqlstream.core.values import identity


class Reset(NamedTuple):
    """A dimension that a `set` rule made start again: from ``value``, up to and including ``entry``."""

    value: float
    entry: Entry
    rule: RulePlan | None  # None: sales recycled the lead


class Mark(NamedTuple):
    """Where in the order a dimension starts again because sales recycled the lead."""

    key: Key
    dimension: int
    value: float


_NO_SLOPES: list[float] = []
_NO_MARKS: list[Mark] = []
_NO_GAPS: list[Gaps] = []
_NO_RESETS: dict[int, Reset] = {}
_NO_TIERS: dict[int, list[int]] = {}
_NO_AWARDS: dict[int, int] = {}
_NO_WINDOWS: dict[Any, Any] = {}
_NOTHING_EXPIRES: list[tuple[int, int, float, int]] = []


class Tally:
    """``at`` is the time the sums stand at; it only rises. ``potential`` is a bound no sum of points can exceed.

    ``awards``, when given, receives every award in order. ``closed`` are the rules with `set` that the lead's attributes
    switch off.
    """

    __slots__ = (
        "_expiring",
        "_ledger",
        "_marks",
        "_windows",
        "at",
        "awarded",
        "awards",
        "closed",
        "counted",
        "gaps",
        "good_until",
        "look",
        "plan",
        "potential",
        "resets",
        "slopes",
        "sums",
        "tiers",
    )

    def __init__(self, plan: Plan, ledger: Ledger, awards: Awards | None = None, closed: frozenset[int] = frozenset()) -> None:
        self.plan = plan
        self._ledger = ledger  # not the lead, which has this tally: without cycles a lead is gone as soon as it is dropped
        self._marks = _marks(plan, ledger.state) if plan.recycle or ledger.state.commands else _NO_MARKS
        self.closed = closed
        self.awards = awards
        self.at = 0
        self.good_until = 2**63  # when the oldest entry leaves the horizon
        self.counted: list[Entry] = []
        self.potential = 0.0
        self.look: tuple[int, Any] | None = None  # kept for `mqlstream.core.timers`; None once the score may fall sooner
        self.sums = [0.0] * len(plan.lanes)
        own = not plan.plain or bool(self._marks)  # else most leads of most installations share what they never change
        self.slopes = [0.0] * len(plan.lanes) if own else _NO_SLOPES  # of linear lanes: points times event time
        self.gaps = [Gaps(entry) for entry in plan.inactivity] if own else _NO_GAPS
        self.resets: dict[int, Reset] = {} if own else _NO_RESETS  # by dimension node
        self.tiers: dict[int, list[int]] = {} if own else _NO_TIERS  # rule index -> times of its matches
        self.awarded: dict[int, int] = {} if own else _NO_AWARDS  # fast rule -> the highest arrival number of an awarded event
        self._windows: dict[Any, Any] = {} if own else _NO_WINDOWS
        self._expiring: list[tuple[int, int, float, int]] = [] if own else _NOTHING_EXPIRES  # heap: expiry, lane, points, time

    @classmethod
    def over(cls, plan: Plan, ledger: Ledger, as_of: int, awards: Awards | None = None, closed: frozenset[int] = frozenset()) -> Tally:
        """The tally of what counts at ``as_of``, from scratch."""
        tally = cls(plan, ledger, awards, closed)
        for entry in countable(plan, ledger, as_of):
            tally.feed(entry)
        tally.settle(as_of)
        return tally

    def make_room(self, as_of: int) -> bool:
        """Let the oldest entry of a full ledger go; False when too much hangs on it, and the tally is to be made again."""
        if as_of >= self.good_until:
            return False
        oldest = self.counted[0]
        matched = [candidate.rule for candidate in self._matched(oldest)]
        if any(rule.count or rule.set is not None or rule.fast for rule in matched):
            return False
        if any(reset.entry is oldest for reset in self.resets.values()):
            return False
        del self.counted[0]
        for gaps in self.gaps:
            if ends_gap(gaps.plan, oldest):
                gaps.drop_first()
                self.look = None
        if self.counted:
            self.good_until = (self.counted[0].time // DAY_MS + self.plan.horizon_days) * DAY_MS
        for rule in matched:
            self._let_go(rule, oldest)
        return True

    def _let_go(self, rule: RulePlan, oldest: Entry) -> None:
        """Take what the oldest entry was awarded by a rule out of the sums; its limit may now award another instead."""
        gone: list[Entry] = [oldest]
        come: list[Entry] = []
        reset = self.resets.get(rule.dimension)
        if rule.tiers:
            if reset is None:  # else it was forgotten with all that came before the reset
                del self.tiers[rule.index][0]
            return
        if rule.limit:
            key = (rule.index, _value(rule.limit_by, oldest))
            chain: Chain = self._windows[key]
            gone, come = chain.drop_first()
            if not chain:
                del self._windows[key]
        for entries, sign in ((gone, -1.0), (come, 1.0)):
            for entry in entries:
                if reset is None or self._is_after(entry, reset):
                    points = _points(rule, entry)
                    self._add(rule.lane if points >= 0 else rule.negative_lane, sign * points, entry, rule)

    def _is_after(self, entry: Entry, reset: Reset) -> bool:
        if entry.time != reset.entry.time:
            return entry.time > reset.entry.time
        return entry in self.counted and self.counted.index(entry) > self.counted.index(reset.entry)

    def feed(self, entry: Entry) -> None:
        """Count the entry that comes next in order."""
        time = entry.time
        if self._marks and self._marks[0].key < self._ledger.key(entry):
            self._start_again(self._ledger.key(entry))
        if time > self.at:
            self.advance(time)
        now = time == self.at
        counted = self.counted
        if not counted:
            self.good_until = (time // DAY_MS + self.plan.horizon_days) * DAY_MS
        counted.append(entry)
        plan = self.plan
        values = entry.values
        sets: list[RulePlan] | None = None
        for match, quick, lane, points, rule in candidates(plan, entry):
            if match is not None and not match(values):
                continue
            if quick and now:
                self.sums[lane] += points
                if points > 0:
                    self.potential += points
                else:
                    self.look = None
                if self.awards is not None:
                    self.awards.add(Award(entry, rule, points))
            elif rule.plain:
                self._add(lane, points, entry, rule)
            elif rule.set is None:
                self._award(rule, entry)
            elif rule.index not in self.closed:
                sets = [*sets, rule] if sets else [rule]
        if sets:
            self._reset(sets, entry)
        for gaps in self.gaps:
            if ends_gap(gaps.plan, entry):
                gaps.add(time)

    def started_again_after(self, entry: Entry) -> bool:
        """Whether a dimension has started again where the entry may stand before that, though it comes after all other entries."""
        return any(reset.rule is None and entry.time <= reset.entry.time for reset in self.resets.values())

    def slip_in(self, entry: Entry) -> bool:
        """Count an entry that comes before others, when the order makes no difference; False when it may."""
        if self.resets or len(self.counted) >= self.plan.ledger or any(ends_gap(gaps.plan, entry) for gaps in self.gaps):
            return False
        matched = self._matched(entry)
        if not all(candidate.rule.plain for candidate in matched):
            return False
        place = bisect_right(self.counted, entry.time, key=_time)
        self.counted.insert(place, entry)
        if place == 0:
            self.good_until = (entry.time // DAY_MS + self.plan.horizon_days) * DAY_MS
        for _, _, lane, points, rule in matched:
            self._add(lane, points, entry, rule)
        return True

    def _matched(self, entry: Entry) -> list[Candidate]:
        found = candidates(self.plan, entry)
        return [candidate for candidate in found if candidate.match is None or candidate.match(entry.values)]

    def advance(self, as_of: int) -> None:
        """Let the sums age up to ``as_of``."""
        passed = as_of - self.at
        if passed <= 0:
            return
        sums = self.sums
        for lane, ms in self.plan.halving:
            if sums[lane]:
                sums[lane] *= 2.0 ** (-passed / ms)
        expiring = self._expiring
        while expiring and expiring[0][0] <= as_of:
            _, lane, points, time = heappop(expiring)
            sums[lane] -= points
            self.slopes[lane] -= points * time
        self.at = as_of

    def settle(self, as_of: int) -> None:
        """All that is known up to ``as_of`` is fed: let it age, and dimensions start again where sales recycled the lead."""
        if self._marks:
            self._start_again((as_of + 1, "", ""))
        self.advance(as_of)

    def _start_again(self, before: Key) -> None:
        """Apply the marks that stand before a place in the order."""
        while self._marks and self._marks[0].key < before:
            mark = self._marks.pop(0)
            self.advance(mark.key[0])
            self._set({mark.dimension: Reset(mark.value, Entry(mark.key[0], 0, mark.key[2], 0, 0, 0, ()), None)})

    def worth_at(self, lane: int, at: int) -> float:
        """What the lane's awards are worth together at a moment from `at` on before the next of them expires."""
        plan_lane = self.plan.lanes[lane]
        worth = self.sums[lane]
        if plan_lane.shape == "linear":
            return worth - (at * worth - self.slopes[lane]) / plan_lane.ms
        if plan_lane.shape == "half_life" and at != self.at:
            return float(worth * 2.0 ** (-(at - self.at) / plan_lane.ms))
        return worth

    def next_expiry(self) -> list[int]:
        """When the next award expires; empty when none does."""
        return [self._expiring[0][0]] if self._expiring else []

    def glance(self, as_of: int) -> Tally:
        """A tally as this one will stand at a later moment if nothing happens; it takes no further events."""
        if as_of >= self.good_until:
            return Tally.over(self.plan, self._ledger, as_of, closed=self.closed)
        glance = Tally(self.plan, self._ledger, self.awards, self.closed)
        glance.at, glance.good_until, glance.potential, glance.look = self.at, self.good_until, self.potential, self.look
        glance.counted, glance.gaps, glance.awarded, glance._windows = self.counted, self.gaps, self.awarded, self._windows
        glance.sums, glance.slopes, glance._expiring = list(self.sums), list(self.slopes), list(self._expiring)
        glance._marks, glance.resets, glance.tiers = list(self._marks), dict(self.resets), dict(self.tiers)
        glance.settle(as_of)
        return glance

    def _add(self, lane: int, points: float, entry: Entry, rule: RulePlan) -> None:
        shape = self.plan.lanes[lane].shape
        age = self.at - entry.time
        if shape == "half_life":
            self.sums[lane] += points * 2.0 ** (-age / self.plan.lanes[lane].ms) if age else points
        elif shape == "none":
            self.sums[lane] += points
        elif age < self.plan.lanes[lane].ms:
            self.sums[lane] += points
            self.slopes[lane] += points * entry.time
            heappush(self._expiring, (entry.time + self.plan.lanes[lane].ms, lane, points, entry.time))
        if points > 0:
            self.potential += points
        else:
            self.look = None
        if self.awards is not None:
            self.awards.add(Award(entry, rule, points))

    def _award(self, rule: RulePlan, entry: Entry) -> None:
        if rule.tiers:
            self.tiers.setdefault(rule.index, []).append(entry.time)
            return
        if rule.count and not self._reached(rule, entry):
            return
        if rule.limit and not self._chain(rule, rule.limit, entry).add(entry):
            return
        if rule.fast:
            self.awarded[rule.index] = max(entry.seq, self.awarded.get(rule.index, 0))
            self.potential = inf
        points = _points(rule, entry)
        self._add(rule.lane if points >= 0 else rule.negative_lane, points, entry, rule)

    def _reached(self, rule: RulePlan, entry: Entry) -> bool:
        """`count`: whether this match is the Nth or later within the window that ends with it."""
        assert rule.count is not None
        times: deque[tuple[int, str | None]] = self._windows.setdefault((rule.index, "count", _value(rule.count_by, entry)), deque())
        times.append((entry.time, _value(rule.distinct, entry) if rule.distinct is not None else ""))
        while times[0][0] <= entry.time - rule.count.within_ms:
            times.popleft()
        if rule.distinct is None:
            return len(times) >= rule.count.at_least
        return len({value for _, value in times if value is not None}) >= rule.count.at_least

    def _chain(self, rule: RulePlan, limit: LimitPlan, entry: Entry) -> Chain:
        key = (rule.index, _value(rule.limit_by, entry))
        chain: Chain | None = self._windows.get(key)
        if chain is None:
            chain = self._windows[key] = Chain(limit)
        return chain

    def _reset(self, rules: list[RulePlan], entry: Entry) -> None:
        """`set`: of several rules that match one event the first listed sets a dimension."""
        resets: dict[int, Reset] = {}
        for rule in rules:
            for dimension, value in (rule.set or {}).items():
                resets.setdefault(dimension, Reset(value, entry, rule))
        self._set(resets)

    def _set(self, resets: dict[int, Reset]) -> None:
        """Dimensions start again from a value; what their rules were awarded so far counts no more."""
        self.look = None
        self.resets.update(resets)
        self.potential += sum(max(reset.value, 0.0) for reset in resets.values())
        for index, lane in enumerate(self.plan.lanes):
            if lane.dimension in resets:
                self.sums[index] = self.slopes[index] = 0.0
        self._expiring = [item for item in self._expiring if self.plan.lanes[item[1]].dimension not in resets]
        heapify(self._expiring)
        for rule_index in list(self.tiers):
            if self.plan.rules[rule_index].dimension in resets:
                del self.tiers[rule_index]
        if self.awards is not None:
            self.awards.take_away(resets)


def candidates(plan: Plan, entry: Entry) -> Sequence[Candidate]:
    """The rules that an event may match: other ones where it is a machine's, none where it was retracted."""
    if entry.flags == 0:
        return plan.candidates[entry.kind](entry.values)
    return () if entry.flags & RETRACTED else plan.machine_candidates[entry.kind](entry.values)


def _marks(plan: Plan, state: LeadState) -> list[Mark]:
    """Where dimensions start again: those that sales recycled, and all of them where an operator reset the lead."""
    track = state.tracks.get(plan.id)
    marks = [
        Mark((time, source, name), plan.dimensions[dimension], value)
        for dimension, (time, source, name, value) in (track.marks.items() if track and plan.recycle else ())
        if dimension in plan.dimensions
    ]
    reset = state.commands.reset if state.commands else None
    if reset is not None:
        marks += [Mark(reset, node, 0.0) for node in plan.dimensions.values()]
    return sorted(marks)


def _points(rule: RulePlan, entry: Entry) -> float:
    """What an event is awarded by a rule: its points, or those it brings along."""
    if rule.points_from is None or rule.points_field is None:
        return rule.points
    value = entry.values[rule.points_field[entry.kind]]
    given = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(float(value), rule.points_from.low), rule.points_from.high) * rule.weight if given else 0.0


def _value(places: Any, entry: Entry) -> str | None:
    """Canonical JSON of a field that a rule is kept apart by; None when the rule or the event has none."""
    if places is None:
        return None
    value = entry.values[places[entry.kind]]
    return None if value is None else identity(value)


def _time(entry: Entry) -> int:
    return entry.time
