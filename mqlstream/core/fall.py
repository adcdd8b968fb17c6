"""When a score falls below a value, or may rise to one, by time alone: found without looking at every minute.

Between two breakpoints (an award expires, a tier's window or the horizon moves on, a gap grows long enough) positive lanes
only fall and negative ones only rise, so that a bound of the total over a whole span is cheap: positive lanes as at its
end, negative ones as at its beginning. Spans that may hold a fall are halved down to one minute.
"""

from __future__ import annotations

from mqlstream.core.event import DAY_MS
from mqlstream.core.lead import Lead
from mqlstream.core.plan import Plan
from mqlstream.core.scoring import EPSILON, attributes_at, clip, node_sums, raw_sums, settled
from mqlstream.core.tally import Tally

MINUTE_MS = 60_000
_FADED = 1e-12  # far below what scores are compared to: points below 0 that are no more than this change nothing
_FARTHEST_MS = 30 * DAY_MS  # a look at least that often


def whole_minute(time: int) -> int:
    """The first whole UTC minute at or after a time."""
    return -(-time // MINUTE_MS) * MINUTE_MS


def total_at(plan: Plan, lead: Lead, tally: Tally, at: int) -> float:
    """The total at a moment that the tally has not reached yet, if nothing happens until then."""
    glance = tally.glance(at)
    return node_sums(plan, lead, glance, attributes_at(plan, lead, at))[plan.total]


def next_look(plan: Plan, lead: Lead, tally: Tally, below: float, from_ms: int) -> int:
    """The first whole minute from ``from_ms`` on at which the total is below a value; or an earlier one to look again at."""
    start = whole_minute(from_ms)
    glance = tally.glance(start)
    attributes = attributes_at(plan, lead, start)
    glance = settled(plan, lead, glance, attributes)
    if node_sums(plan, lead, glance, attributes)[plan.total] < below - EPSILON:
        return start
    end = whole_minute(min(next_break(plan, lead, glance, start), start + _FARTHEST_MS))
    span = Span(plan, lead, glance, below)
    return span.first_below(start, end) or max(end, start + MINUTE_MS)


def may_rise(plan: Plan, lead: Lead, tally: Tally, at: int) -> bool:
    """Whether a lead may come to qualify by time alone: points below 0 fade, a tier gives more later, an age is reached."""
    if plan.ages and lead.state.first_seen + plan.ages[-1] + 1 >= at:
        return True
    if any(gaps.plan.points > 0 for gaps in tally.gaps):
        return True
    if any(expiry <= at for expiry in tally.next_expiry()):
        tally = tally.glance(at)
    if plan.gated_sets:  # one that the lead's attributes switch off has taken no tier away
        tally = settled(plan, lead, tally, attributes_at(plan, lead, at))
    fading = [index for index in plan.fading if tally.worth_at(index, at) < -_FADED]
    if not fading and not any(tally.tiers.values()):
        return False
    at_best = [0.0 if index in fading else tally.worth_at(index, at) for index in range(len(plan.lanes))]
    sums = raw_sums(plan, lead, tally, attributes_at(plan, lead, at), at_best)
    return clip(plan, sums)[plan.total] + plan.tiers_span >= plan.needs_total


class Span:
    """A stretch of time within which nothing but the lanes changes."""

    def __init__(self, plan: Plan, lead: Lead, tally: Tally, below: float) -> None:
        self._plan = plan
        self._lead = lead
        self._tally = tally
        self._below = below - EPSILON
        self._attributes = attributes_at(plan, lead, tally.at)

    def first_below(self, start: int, end: int) -> int | None:
        """The first minute in ``start < minute < end`` with a total below, None when there is none."""
        if end - start <= MINUTE_MS or self._total(start, end - MINUTE_MS) >= self._below:
            return None
        if end - start <= 2 * MINUTE_MS:
            minute = start + MINUTE_MS
            return minute if self._total(minute, minute) < self._below else None
        middle = start + (end - start) // (2 * MINUTE_MS) * MINUTE_MS
        found = self.first_below(start, middle)
        if found is None and self._total(middle, middle) < self._below:
            found = middle
        return found if found is not None else self.first_below(middle, end)

    def _total(self, negative_at: int, positive_at: int) -> float:
        """The total with negative lanes as at one moment and positive ones as at another."""
        lanes = self._plan.lanes
        worths = [self._tally.worth_at(index, negative_at if lane.negative else positive_at) for index, lane in enumerate(lanes)]
        return clip(self._plan, raw_sums(self._plan, self._lead, self._tally, self._attributes, worths))[self._plan.total]


def next_break(plan: Plan, lead: Lead, tally: Tally, start: int) -> int:
    """The next moment after ``start`` at which something but the lanes' worth may change."""
    breaks = [tally.good_until, *tally.next_expiry()]
    for rule in plan.tiered:
        for time in tally.tiers.get(rule.index, ()):
            breaks += [time + tier.within_ms for tier in rule.tiers]
    for gaps in tally.gaps:
        breaks.append(gaps.next_due(lead.state.first_seen, lead.newest_activity(gaps.plan.key, start), start))
    for age in plan.ages:
        breaks += [lead.state.first_seen + age, lead.state.first_seen + age + 1]  # "at least" holds from the one on, "above" from the other
    return min((moment for moment in breaks if moment > start), default=start + _FARTHEST_MS)
