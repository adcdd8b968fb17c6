"""What rules have awarded for a lead's events."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from mqlstream.core.plan import RulePlan
from mqlstream.core.state import Entry


class Award(NamedTuple):
    entry: Entry
    rule: RulePlan
    points: float


class Awards:
    """Awards in order: ``ever`` has all of them, ``counting`` those that no `set` took away again."""

    __slots__ = ("counting", "ever")

    def __init__(self) -> None:
        self.counting: list[Award] = []
        self.ever: list[Award] = []

    def add(self, award: Award) -> None:
        self.counting.append(award)
        self.ever.append(award)

    def take_away(self, dimensions: Container[int]) -> None:
        """These dimensions start again: what their rules awarded counts no more."""
        self.counting = [award for award in self.counting if award.rule.dimension not in dimensions]
