"""Accounts: which of them become MQAs when the sorted history of all leads is read once (section 10).

Everything is recomputed at every moment: an account's leads are those that were its by then, each with its score at that
moment. Where `rearm` is given, the sum is looked at in every single minute.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.oracle.conditions import duration_ms
from tests.oracle.events import Entry, Json, attributes, histories
from tests.oracle.lifecycle import compare_score, is_active
from tests.oracle.oracle import score_of

MINUTE_MS = 60_000


class Mqa(NamedTuple):
    """An account that qualified, and what it came to then."""

    account: str
    cycle: int
    as_of: int
    sum: float
    best: float
    engaged: int
    leads: int


@dataclass
class Life:
    """One account on its way."""

    mqa: bool = False
    cycle: int = 0
    looked: int = 0
    peaked: bool = False
    cooldown_until: int = 0
    found: list[Mqa] = field(default_factory=list)


@dataclass
class World:
    """All leads and accounts, as far as the history has been read."""

    definition: Json
    leads: dict[str, list[Entry]] = field(default_factory=dict)
    lives: dict[str, Life] = field(default_factory=dict)

    def read(self, entry: Entry) -> None:
        """The next event in order."""
        self.leads.setdefault(entry.lead, [])
        for account in self.lives:
            self.pass_time(account, entry.time)
        self.leads[entry.lead].append(entry)
        own = account_of(self.leads[entry.lead], entry.time)
        if own is not None:
            life = self.lives.setdefault(own, Life())
            life.looked = max(life.looked, entry.time)
            self.look(own, entry.time)

    def pass_time(self, account: str, until: int) -> None:
        """Every minute up to a moment at which something happens, that moment included."""
        life, rearm = self.lives[account], self.definition["accounts"].get("rearm")
        if rearm is None:
            return
        cooldown = duration_ms(rearm["cooldown"]) if "cooldown" in rearm else 0
        for minute in range(-(-life.looked // MINUTE_MS) * MINUTE_MS, until + 1, MINUTE_MS):
            if life.mqa and life.peaked and compare_score(self.sum(account, minute), "lt", rearm["below"]):
                life.mqa, life.cooldown_until = False, minute + cooldown
            if not life.mqa and life.cooldown_until == minute:
                self.look(account, minute)
        life.looked = until

    def look(self, account: str, at: int) -> None:
        """The condition, at a moment."""
        life, scores = self.lives[account], self.scores(account, at)
        if not life.mqa and at >= life.cooldown_until and is_active(self.definition, at) and qualifies(self.definition, scores):
            life.mqa, life.peaked = True, False
            life.cycle += 1
            totals = [score["total"] for score in scores]
            engaged = len(engaged_of(self.definition, scores))
            life.found.append(Mqa(account, life.cycle, at, sum(totals), max(totals), engaged, len(scores)))
        below = self.definition["accounts"].get("rearm", {}).get("below")
        if life.mqa and below is not None and compare_score(self.sum(account, at), "gte", below):
            life.peaked = True

    def sum(self, account: str, at: int) -> float:
        """What the account's leads are worth together."""
        return sum((score["total"] for score in self.scores(account, at)), 0.0)

    def scores(self, account: str, at: int) -> list[Json]:
        """The scores of the account's leads at a moment not before anything that was read."""
        known = [entries for entries in self.leads.values() if entries and account_of(entries, at) == account]
        return [score_of(self.definition, entries, at)["score"] for entries in known]


def account_of(entries: list[Entry], at: int) -> str | None:
    """The attribute, else the domain of an address that is no free one's."""
    known = attributes(entries, at)
    named = known.get("account")
    if isinstance(named, str) and named:
        return named
    return known["email_domain"] if known.get("email_kind") in ("business", "role") else None


def engaged_of(definition: Json, scores: list[Json]) -> list[Json]:
    """The leads at or above the engagement asked of people."""
    least = definition["accounts"].get("people", {}).get("engagement")
    return [score for score in scores if least is None or compare_score(score["engagement"], "gte", least)]


def qualifies(definition: Json, scores: list[Json]) -> bool:
    """All that is given must hold."""
    asked, threshold = definition["accounts"], definition["accounts"].get("threshold", {})
    if not scores or ("people" in asked and len(engaged_of(definition, scores)) < asked["people"]["at_least"]):
        return False
    totals = [score["total"] for score in scores]
    enough = "sum" not in threshold or compare_score(sum(totals), "gte", threshold["sum"])
    return enough and ("best" not in threshold or compare_score(max(totals), "gte", threshold["best"]))


def mqas(definition: Json, events: Iterable[Json]) -> list[Mqa]:
    """All accounts that qualified, in order of time."""
    world = World(definition)
    for entry in sorted((each for entries in histories(events).values() for each in entries), key=lambda each: each.order):
        world.read(entry)
    return sorted((each for life in world.lives.values() for each in life.found), key=lambda each: (each.as_of, each.account))
