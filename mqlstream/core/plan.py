"""What a definition becomes when it is compiled: the plan that the core executes. Data and closures, no execution.

Points flow from lanes into nodes. A lane is a running sum of awards that age alike; a node is a rule, group, dimension or
the total, clipped and then added to its parent. Nodes stand in order, parents after their children, the total last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mqlstream.core.business import BusinessHours
from mqlstream.core.email_kinds import SHIPPED, EmailLists
from mqlstream.core.event import Event
from mqlstream.core.inactivity import InactivityPlan
from mqlstream.core.state import Track

Values = Sequence[Any]  # of one event, after the layout of its kind
Attributes = Mapping[str, Any]  # of a lead, with the derived ones; ``age`` in milliseconds where a plan reads it
Match = Callable[[Values], bool]
Gate = Callable[[Attributes], bool]


class Node(NamedTuple):
    """A sum that is clipped. ``parent`` is the index of the node it is added to, -1 for the total."""

    name: str
    scope: str  # rule, group, dimension or total
    parent: int
    floor: float | None
    cap: float | None


@dataclass(frozen=True, slots=True)
class Lane:
    """A running sum: awards of the same node, ageing in the same way, under the same gate."""

    node: int
    dimension: int  # index of the dimension's node
    shape: str  # none, half_life, linear or expire_after
    ms: int
    gate: int | None  # index into Plan.gates
    negative: bool = False  # whether its points are below 0, so that they rise with time

    def worth(self, points: float, age_ms: int) -> float:
        """What an award of ``points`` is worth at an age."""
        if self.shape == "half_life":
            return points * math.pow(2.0, -age_ms / self.ms)
        if self.shape == "linear":
            return points * max(0.0, 1.0 - age_ms / self.ms)
        if self.shape == "expire_after":
            return points if age_ms < self.ms else 0.0
        return points


@dataclass(frozen=True, slots=True)
class LimitPlan:
    """At most ``count`` awards within ``per_ms`` (sliding) or within one ``unit`` of the calendar (a key per time)."""

    count: int
    per_ms: int | None
    unit: Callable[[int], Any] | None


@dataclass(frozen=True, slots=True)
class CountPlan:
    """The rule's event is the Nth or later match within ``within_ms``."""

    at_least: int
    within_ms: int


@dataclass(frozen=True, slots=True)
class PointsFrom:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TierPlan:
    points: float
    within_ms: int
    at_least: int | None
    exactly: int | None


@dataclass(frozen=True, slots=True)
class RulePlan:
    """One rule. ``limit_by`` and the like give, per kind index, the place of the field in the values (None: no field)."""

    index: int
    id: str
    label: str
    intent: str | None
    points: float
    lane: int
    dimension: int  # node index
    gate: int | None
    fast: bool  # its awards are remembered for the qualification
    limit: LimitPlan | None = None
    limit_by: Mapping[int, int] | None = None
    count: CountPlan | None = None
    count_by: Mapping[int, int] | None = None
    distinct: Mapping[int, int] | None = None
    points_from: PointsFrom | None = None
    points_field: Mapping[int, int] | None = None
    weight: float = 1.0
    negative_lane: int = 0  # where points below 0 go that an event brings along
    tiers: tuple[TierPlan, ...] = ()
    node: int = 0
    set: Mapping[int, float] | None = None  # dimension node -> the value it starts again from

    @property
    def plain(self) -> bool:
        """Whether each match is an award of fixed points, whatever came before."""
        return not (self.limit or self.count or self.points_from or self.tiers or self.set is not None or self.fast)


class Candidate(NamedTuple):
    """A rule as it is tried on an event of one kind. ``plain``: see `RulePlan.plain`.

    ``match`` is what is left to look at when the tests of single fields hold; None: nothing. ``quick``: plain, and an
    award is simply added to its lane when it happens now.
    """

    match: Match | None
    quick: bool
    lane: int
    points: float
    rule: RulePlan


Find = Callable[[Values], tuple[Candidate, ...]]  # an event's values -> the rules still to be tried


@dataclass(frozen=True, slots=True)
class FitPlan:
    """Points for who the lead is: ``points`` of the attributes, None when nothing holds."""

    id: str
    label: str
    intent: str | None
    node: int
    points: Callable[[Attributes], float | None]


@dataclass(frozen=True, slots=True)
class ConditionPlan:
    id: str
    holds: Gate


@dataclass(frozen=True, slots=True)
class RearmPlan:
    below: float
    cooldown_ms: int


@dataclass(frozen=True, slots=True)
class RecyclePlan:
    """When sales recycles or rejects: dimensions that start again, by name, and for how long the lead rests."""

    values: Mapping[str, float]
    cooldown_ms: int


@dataclass(frozen=True, slots=True)
class SlaPlan:
    accept_within_ms: int
    hours: BusinessHours


@dataclass(frozen=True, slots=True)
class AccountsPlan:
    """What makes an account an MQA, None where it is not asked for; and how a lead's score is told to its account.

    ``clips`` are the plan's nodes that clip, the engagement and the total: (place of the parent, floor, cap), the total last.
    ``place_of`` tells by node index where its points go among them; ``engagement_at`` is the place of that dimension.
    """

    at_least: int | None
    engagement: float | None
    sum: float | None
    best: float | None
    rearm: RearmPlan | None
    clips: tuple[tuple[int, float | None, float | None], ...]
    place_of: tuple[int, ...]
    engagement_at: int


class Moment(NamedTuple):
    """What a condition of qualification looks at: node sums, attributes and the fast rules awarded in this cycle."""

    scores: Sequence[float]
    attributes: Attributes
    awarded: Callable[[int], bool]  # by rule index


class Part(NamedTuple):
    """A condition of qualification, or a part of one. ``form`` is one of all any not score cell rule where.

    ``needs`` is what it asks for, in the language's words, and ``now`` what a moment has of that, both ready for JSON; both
    are None where ``parts`` say it all.
    """

    form: str
    holds: Callable[[Moment], bool]
    needs: Any = None
    now: Callable[[Moment], Any] | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled definition."""

    id: str
    version: int
    digest: str
    horizon_days: int
    per_day: int
    ledger: int
    live: bool
    active_from: int | None
    active_until: int | None
    nodes: tuple[Node, ...]
    dimensions: Mapping[str, int]  # name -> node index, in the file's order
    lanes: tuple[Lane, ...]
    rules: tuple[RulePlan, ...]
    tiered: tuple[RulePlan, ...]  # those with tiers
    candidates: tuple[Find, ...]  # by kind index, of people's events
    machine_candidates: tuple[Find, ...]  # by kind index, of machines' events
    gates: tuple[Gate, ...]
    fit: tuple[FitPlan, ...]
    inactivity: tuple[InactivityPlan, ...]
    disqualify: tuple[ConditionPlan, ...]
    freeze: tuple[ConditionPlan, ...]
    qualifies: Callable[[Moment], bool] | None
    threshold: Mapping[str, float]
    fast_track: tuple[int, ...]
    rearm: RearmPlan | None
    recycle: RecyclePlan | None
    sla: SlaPlan | None
    reads_age: bool  # fit, gates or conditions change with time alone
    plain: bool  # every rule is, awards only halve or stay, and there is no inactivity
    ages: tuple[int, ...]  # those at which conditions may change, whole milliseconds, ascending
    rises: bool  # a score may rise with time alone
    tiers_span: float  # by how much tiers can lift the total: from all that they can take to all that they can give
    needs_total: float  # the total below which no lead qualifies but by a fast track; minus infinity when not known
    gated_sets: bool  # some rule with `set` is switched by the lead's attributes
    needs: float  # nothing to review while the tally's potential is below this and no attribute has changed
    halving: tuple[tuple[int, int], ...]  # (lane, half-life in ms) of the half_life lanes
    fading: tuple[int, ...]  # lanes of points below 0 that rise with time
    grades: Mapping[str, tuple[tuple[str, float | None], ...]] = field(default_factory=dict)
    condition: Part | None = None  # what `qualifies` looks at, part by part
    accounts: AccountsPlan | None = None

    @property
    def total(self) -> int:
        """Index of the total's node."""
        return len(self.nodes) - 1


class Layout(NamedTuple):
    """Which fields of each kind are kept in the ledger: by kind index, the paths in the order of an entry's values."""

    paths: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class HandoffShape:
    """What a handoff tells of a lead besides its score: attribute names, and the address of its timeline."""

    identity: tuple[str, ...] = ("first_name", "last_name", "name")
    attributes: tuple[str, ...] = ("title", "department", "company", "company_size", "industry", "revenue", "country")
    timeline_url: str | None = None  # with ``{lead_id}`` in it


Extract = Callable[[Event, Mapping[str, Track]], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Program:
    """All definitions in force, compiled together: they share one ledger per lead."""

    plans: tuple[Plan, ...]
    layout: Layout
    extract: tuple[Extract, ...]  # by kind index
    event_fields: tuple[int, ...]  # by kind index: how many of the values are the event's own; the rest is what it met
    per_day: int
    horizon_days: int
    own_flood: tuple[bool, ...]  # by plan: whether its flood limit is below the ledger's
    has_timers: bool = False  # something may happen to a lead without an event
    watches_gaps: bool = False  # some plan has `inactivity`
    shape: HandoffShape = HandoffShape()
    email_lists: EmailLists = SHIPPED
    prepared: tuple[Any, ...] = ()  # definitions not in force, whose fields ledgers keep already
    definitions: tuple[Any, ...] = ()  # what the plans were compiled from, for whoever compiles again; the core does not look at it
