"""Which events of a lead count, which match a rule, and which of those are awarded (sections 1 and 4).

Points are none of its business: see `scoring`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.conditions import Reader, duration_ms, holds, is_gate, lookup
from tests.oracle.events import SCORED_KINDS, Entry, Json, Key, attributes, canonical_json

DAY_MS = 86_400_000
Met = Mapping[Key, tuple[str, int]]


@dataclass(frozen=True)
class View:
    """All there is to a score: the definition, the lead's accepted events up to `as_of` in order, the stages they met."""

    definition: Json
    entries: Sequence[Entry]
    as_of: int
    met: Met = field(default_factory=dict)

    @property
    def lists(self) -> dict[str, list[Any]]:
        """The named lists."""
        return dict(self.definition.get("lists", {}))

    @cached_property
    def attributes(self) -> Json:
        """The lead's attributes."""
        return attributes(self.entries, self.as_of, self.retracted)

    def in_horizon(self, time: int) -> bool:
        """Whether something that happened at `time` still counts."""
        horizon_days = duration_ms(self.definition.get("horizon", "400d")) // DAY_MS
        return self.as_of // DAY_MS - time // DAY_MS < horizon_days

    @cached_property
    def retracted(self) -> set[Key]:
        """The events that a `retract` names."""
        return self._named_by("retract")

    @cached_property
    def machines(self) -> set[Key]:
        """The events that a `machine_verdict` names."""
        return self._named_by("machine_verdict")

    def _named_by(self, command: str) -> set[Key]:
        commands = [entry.fields for entry in self.entries if entry.kind == "command" and entry.fields["do"] == command]
        return {(fields["event_source"], fields["event_id"]) for fields in commands}

    def is_machine(self, entry: Entry) -> bool:
        """Whether a machine did it, by its flag or by a verdict."""
        return entry.machine or entry.key in self.machines


def counted(view: View) -> list[Entry]:
    """The events that count at all: the flood first, then the horizon, then the ledger. A retracted event keeps its place."""
    bounds = view.definition.get("bounds", {})
    places: Counter[tuple[str, int]] = Counter()
    kept = []
    for entry in view.entries:
        place = (entry.kind, entry.time // DAY_MS)
        places[place] += 1
        if entry.kind in SCORED_KINDS and places[place] <= bounds.get("per_day", 100):
            kept.append(entry)
    kept = [entry for entry in kept if view.in_horizon(entry.time)]
    kept = kept[-bounds.get("ledger", 1000) :]
    return [entry for entry in kept if entry.key not in view.retracted]


def event_reader(view: View, entry: Entry) -> Reader:
    """Reads an event's fields, and under `lead.` the lead's attributes and the stage that the event met."""
    stage, cycle = view.met.get(entry.key, ("lead", 0))
    met = {"lead.stage": stage, "lead.cycle": cycle}
    who = view.attributes

    def read(path: str) -> Any:
        if path in met:
            return met[path]
        return lookup(who, path.removeprefix("lead.")) if path.startswith("lead.") else lookup(entry.fields, path)

    return read


def gates_hold(view: View, where: Json) -> bool:
    """Whether the entries that read only the lead's attributes leave the rule switched on."""
    who = view.attributes
    gates = {key: value for key, value in where.items() if is_gate(key, value)}
    return holds(gates, lambda path: lookup(who, path.removeprefix("lead.")), view.lists)


def matches(view: View, rule: Json, events: Sequence[Entry]) -> list[Entry]:
    """The events, of those given, that match a rule's `on`, `machine` and `where`."""
    kinds = rule["on"] if isinstance(rule["on"], list) else [rule["on"]]
    found = [entry for entry in events if entry.kind in kinds and view.is_machine(entry) == rule.get("machine", False)]
    return [entry for entry in found if holds(rule.get("where", {}), event_reader(view, entry), view.lists)]


def awarded(view: View, rule: Json, matching: Sequence[Entry]) -> list[Entry]:
    """The matching events that are the rule's events (`count`) and within its `limit`, in order."""
    found = [entry for at, entry in enumerate(matching) if "count" not in rule or reaches(rule["count"], matching[: at + 1])]
    if "limit" not in rule:
        return found
    zone = ZoneInfo(view.definition.get("timezone", "UTC"))
    taken: list[Entry] = []
    for entry in found:
        if sum(competes(rule["limit"], zone, other, entry) for other in taken) < rule["limit"]["count"]:
            taken.append(entry)
    return taken


def reaches(count: Json, matching: Sequence[Entry]) -> bool:
    """Whether the last of the matching events is the Nth or a later one within the window."""
    last, window_ms = matching[-1], duration_ms(count["within"])
    near = [entry for entry in matching if last.time - window_ms < entry.time <= last.time]
    near = [entry for entry in near if value_of(entry, count.get("by")) == value_of(last, count.get("by"))]
    if "distinct" not in count:
        return bool(len(near) >= count["at_least"])
    values = {value_of(entry, count["distinct"]) for entry in near}
    return bool(len(values - {None}) >= count["at_least"])


def value_of(entry: Entry, path: str | None) -> str | None:
    """The canonical JSON of a field; None without the field, and without a path."""
    value = lookup(entry.fields, path) if path else None
    return None if value is None else canonical_json(value)


def competes(limit: Json, zone: ZoneInfo, other: Entry, entry: Entry) -> bool:
    """Whether an earlier award takes one of the places that `entry` could have."""
    if value_of(other, limit.get("by")) != value_of(entry, limit.get("by")):
        return False
    per: str = limit["per"]
    if per == "lifetime":
        return True
    if per in ("day", "week", "month", "year"):
        return calendar_unit(per, zone, other.time) == calendar_unit(per, zone, entry.time)
    return entry.time - duration_ms(per) < other.time <= entry.time


def calendar_unit(per: str, zone: ZoneInfo, time: int) -> tuple[int, ...]:
    """The day, ISO week, month or year that a time falls into in a time zone."""
    moment = (datetime.fromtimestamp(time // 1000, ZoneInfo("UTC")) + timedelta(milliseconds=time % 1000)).astimezone(zone)
    week = moment.isocalendar()
    units = {
        "day": (moment.year, moment.month, moment.day),
        "week": (week.year, week.week),
        "month": (moment.year, moment.month),
        "year": (moment.year,),
    }
    return units[per]
