"""What a lead's score will be from a moment on if nothing happens to it: told to the lead's account, which has no ledger.

Between two breaks (see `mqlstream.core.fall`) a score changes by decay alone, so a few numbers give it at every moment. An
outlook carries how its sums are clipped along and needs no definition to be read.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mqlstream.core.event import DAY_MS
from mqlstream.core.fall import next_break
from mqlstream.core.lead import Lead
from mqlstream.core.plan import AccountsPlan, Attributes, Plan
from mqlstream.core.scoring import attributes_at, settled, standings
from mqlstream.core.tally import Tally

FOREVER = 2**62  # after any event
EXACT = 8  # stretches, each up to the next break; those after them are at least `STEP_MS` long, and each twice the one before
STRETCHES = 12
STEP_MS = 30 * DAY_MS
_NOTHING = 1e-12  # what rounding leaves of sums that have come to 0
_FADED = 1e-7  # points; scores are told to six digits


class Flow(msgspec.Struct, array_like=True, gc=False):
    """Points that flow into one place: ``points`` at the stretch's beginning, plus ``slope`` for each millisecond until its next
    break, plus the ``halves``: (half-life in ms, worth at the beginning)."""

    place: int
    points: float
    slope: float
    halves: list[tuple[int, float]]


class Stretch(msgspec.Struct, array_like=True):
    """From ``from_ms`` to ``break_ms`` nothing but decay changes the score; the next stretch may begin later than that."""

    from_ms: int
    break_ms: int
    flows: list[Flow]


class Outlook(msgspec.Struct, array_like=True):
    """One lead's score under one definition, from the first stretch on. ``clips`` and ``engagement_at``: see `AccountsPlan`."""

    clips: list[tuple[int, float | None, float | None]]
    engagement_at: int
    stretches: list[Stretch]

    def score_at(self, at: int) -> tuple[float, float]:
        """The total and the engagement at a moment, not before the first stretch."""
        stretches = self.stretches
        index = len(stretches) - 1
        while index and stretches[index].from_ms > at:
            index -= 1
        stretch = stretches[index]
        passed = at - stretch.from_ms
        steady = min(at, stretch.break_ms) - stretch.from_ms
        sums = [0.0] * len(self.clips)
        for flow in stretch.flows:
            worth = flow.points + flow.slope * steady
            for half_life_ms, points in flow.halves:
                worth += points * 2.0 ** (-passed / half_life_ms)
            sums[flow.place] += worth
        for place, (parent, floor, cap) in enumerate(self.clips):
            if cap is not None and sums[place] > cap:
                sums[place] = cap
            elif floor is not None and sums[place] < floor:
                sums[place] = floor
            if parent >= 0:
                sums[parent] += sums[place]
        return sums[-1], sums[self.engagement_at]

    def until(self, before_ms: int) -> Outlook:
        """The same without the stretches that begin at a moment or later; the first stays."""
        kept = [stretch for stretch in self.stretches[1:] if stretch.from_ms < before_ms]
        return Outlook(self.clips, self.engagement_at, [self.stretches[0], *kept])


def outlook(
    plan: Plan, accounts: AccountsPlan, lead: Lead, tally: Tally, until_ms: int = FOREVER, known: Sequence[Stretch] = ()
) -> Outlook:
    """The lead's score from its as_of on, and up to ``until_ms`` at least, if nothing happens until then.

    Exact until the `EXACT`-th break; from there on breaks are heeded after 30 days, 60, 120 and so on, and the last stretch goes on
    for good. The horizon lies within them for all but leads whose score has many breaks. ``known``: its first stretches, if made.
    """
    stretches = list(known)
    start = max(stretches[-1].break_ms, tally.at) if stretches else lead.state.as_of
    step_ms = STEP_MS
    while start < until_ms and len(stretches) < STRETCHES:
        glance = tally.glance(start)
        attributes = attributes_at(plan, lead, start)
        glance = settled(plan, lead, glance, attributes)
        following = next_break(plan, lead, glance, start)
        stretches.append(Stretch(start, min(following, FOREVER), _flows(plan, accounts, lead, glance, attributes)))
        if _only_fades(plan) and _faded(glance, following):
            break
        if len(stretches) >= EXACT:
            following = max(following, start + step_ms)
            step_ms *= 2
        start = following
    return Outlook(list(accounts.clips), accounts.engagement_at, stretches)


def _only_fades(plan: Plan) -> bool:
    """Whether nothing but the horizon breaks in on the decay, and what leaves it makes no room for what is much younger."""
    lasting = any(rule.limit is not None and rule.limit.per_ms is None for rule in plan.rules)
    return not (lasting or plan.tiered or plan.inactivity or plan.reads_age)


def _faded(tally: Tally, at: int) -> bool:
    """Whether no award is worth anything by then."""
    return all(not worth or abs(tally.worth_at(lane, at)) < _FADED for lane, worth in enumerate(tally.sums))


def _flows(plan: Plan, accounts: AccountsPlan, lead: Lead, tally: Tally, attributes: Attributes) -> list[Flow]:
    """What flows into each place at the tally's time, before any clipping."""
    place_of = accounts.place_of
    points = [0.0] * len(accounts.clips)
    slopes = [0.0] * len(accounts.clips)
    halves: dict[int, dict[int, float]] = {}
    open_gates = [gate(attributes) for gate in plan.gates]
    for index, lane in enumerate(plan.lanes):
        if lane.gate is not None and not open_gates[lane.gate]:
            continue
        place = place_of[lane.node]
        worth = tally.worth_at(index, tally.at)
        if lane.shape == "half_life":
            if abs(worth) > _NOTHING:
                of_place = halves.setdefault(place, {})
                of_place[lane.ms] = of_place.get(lane.ms, 0.0) + worth
            continue
        points[place] += worth
        if lane.shape == "linear":
            slopes[place] -= tally.sums[index] / lane.ms
    for standing in standings(plan, lead, tally, attributes, open_gates):
        points[place_of[standing.node]] += standing.points
    return [
        Flow(place, points[place], slopes[place], list(halves.get(place, {}).items()))
        for place in range(len(accounts.clips))
        if abs(points[place]) > _NOTHING or place in halves
    ]
