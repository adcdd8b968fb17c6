"""A definition as data: what a file says once it is read and found sound. No reading, no scoring.

Frozen records, one per construct of the language. Times are milliseconds, list references are resolved to their
members, defaults are filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Test:
    """One test of one field: ``path`` as written (``path``, ``fields.company_size``, ``lead.title``).

    ``op`` is one of eq ne in not_in gt gte lt lte prefix suffix contains contains_any words_any glob exists.
    ``value`` is a scalar, a tuple of scalars (in, not_in, contains_any, words_any, prefix, suffix) or a bool (exists);
    durations compared with ``age`` are milliseconds.
    """

    path: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class All:
    items: tuple[Where, ...]  # empty: always true


@dataclass(frozen=True, slots=True)
class Any_:
    items: tuple[Where, ...]


@dataclass(frozen=True, slots=True)
class Not:
    item: Where


Where = Test | All | Any_ | Not
ALWAYS = All(())


@dataclass(frozen=True, slots=True)
class Bounds:
    floor: float | None = None
    cap: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    dimension: str
    bounds: Bounds = Bounds()


@dataclass(frozen=True, slots=True)
class Limit:
    count: int
    per_ms: int | None = None  # a sliding window, or
    calendar: str | None = None  # day week month year lifetime
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Decay:
    shape: str  # half_life linear expire_after
    ms: int


@dataclass(frozen=True, slots=True)
class Count:
    at_least: int
    within_ms: int
    by: str | None = None
    distinct: str | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    points: float
    within_ms: int
    at_least: int | None = None
    exactly: int | None = None


@dataclass(frozen=True, slots=True)
class PointsFrom:
    field: str
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    on: tuple[str, ...]
    label: str
    dimension: str
    where: Where = ALWAYS  # every top-level entry of `where` is one item of an All
    points: float | None = None
    points_from: PointsFrom | None = None
    tiers: tuple[Tier, ...] = ()
    weight: float = 1.0
    set: Mapping[str, float] | None = None
    group: str | None = None
    limit: Limit | None = None
    decay: Decay | None = None
    count: Count | None = None
    bounds: Bounds = Bounds()
    intent: str | None = None
    machine: bool = False


@dataclass(frozen=True, slots=True)
class FitCase:
    where: Where
    points: float


@dataclass(frozen=True, slots=True)
class Fit:
    """A fit entry: its cases in order (a plain entry has one), the first that holds gives its points."""

    id: str
    label: str
    cases: tuple[FitCase, ...]
    dimension: str = "fit"
    group: str | None = None
    weight: float = 1.0
    points_from: PointsFrom | None = None
    where: Where = ALWAYS  # beside points_from
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class Inactivity:
    id: str
    label: str
    after_ms: int
    points: float
    every_ms: int | None = None
    dimension: str = "engagement"
    group: str | None = None
    on: tuple[str, ...] = ()
    where: Where = ALWAYS
    unless: Where | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A named condition on the lead's attributes: an entry of ``disqualify`` or ``freeze``."""

    id: str
    where: Where


@dataclass(frozen=True, slots=True)
class ScoreIs:
    """``{score: total, gte: 100}``; ``op`` is gt gte lt lte eq or ne."""

    score: str
    op: str
    value: float


@dataclass(frozen=True, slots=True)
class CellIn:
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleAwarded:
    rule: str


@dataclass(frozen=True, slots=True)
class LeadIs:
    where: Where


@dataclass(frozen=True, slots=True)
class WhenAll:
    items: tuple[When, ...]


@dataclass(frozen=True, slots=True)
class WhenAny:
    items: tuple[When, ...]


@dataclass(frozen=True, slots=True)
class WhenNot:
    item: When


When = ScoreIs | CellIn | RuleAwarded | LeadIs | WhenAll | WhenAny | WhenNot


@dataclass(frozen=True, slots=True)
class Rearm:
    below: float
    cooldown_ms: int = 0


@dataclass(frozen=True, slots=True)
class Recycle:
    set: Mapping[str, float] = field(default_factory=dict)
    cooldown_ms: int = 0


@dataclass(frozen=True, slots=True)
class Qualify:
    """``threshold`` is kept as written, for the handoff; ``when`` is the whole condition, threshold included."""

    threshold: Mapping[str, float] = field(default_factory=dict)
    when: When | None = None
    fast_track: tuple[str, ...] = ()
    rearm: Rearm | None = None
    recycle: Recycle | None = None


@dataclass(frozen=True, slots=True)
class Hours:
    """Business hours of one weekday (0 is Monday), minutes since midnight, half open."""

    weekday: int
    from_minute: int
    until_minute: int


@dataclass(frozen=True, slots=True)
class Sla:
    accept_within_ms: int
    hours: tuple[Hours, ...] = ()  # empty: always
    holidays: tuple[str, ...] = ()  # ISO dates


@dataclass(frozen=True, slots=True)
class Accounts:
    people_at_least: int | None = None
    people_engagement: float | None = None
    threshold_sum: float | None = None
    threshold_best: float | None = None
    rearm: Rearm | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of ``tests``: ``events`` are (time in ms, canonical input object), ``expect`` (time in ms, expectations)."""

    name: str
    start_ms: int
    lead: Mapping[str, Any]
    events: tuple[tuple[int, Mapping[str, Any]], ...]
    expect: tuple[tuple[int, Mapping[str, Any]], ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Definition:
    id: str
    version: int
    digest: str  # hex SHA-256 of the canonical JSON of the file's content with its lists resolved; comments do not count
    description: str = ""
    owners: tuple[str, ...] = ()
    review_by: str | None = None  # ISO date
    timezone: str = "UTC"
    horizon_days: int = 400
    per_day: int = 100
    ledger: int = 1000
    mode: str = "live"
    active_from_ms: int | None = None
    active_until_ms: int | None = None
    dimensions: Mapping[str, Bounds] = field(default_factory=dict)  # in order; engagement and fit are always there
    total: Bounds = Bounds()
    groups: Mapping[str, Group] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    fit: tuple[Fit, ...] = ()
    inactivity: tuple[Inactivity, ...] = ()
    grades: Mapping[str, tuple[tuple[str, float | None], ...]] = field(default_factory=dict)
    disqualify: tuple[Condition, ...] = ()
    freeze: tuple[Condition, ...] = ()
    qualify: Qualify = Qualify()
    sla: Sla | None = None
    on_activate: str = "none"
    accounts: Accounts | None = None
    tests: tuple[Case, ...] = ()
