"""The sales team of the demo: hears of each MQL as any sales tool would, and reads it out with its reasons."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from mqlstream.handoff.contract import BECAME_MQL, HandoffEvent


class SalesTeam:
    """Prints MQLs with ``say`` and keeps what the summary needs: counts by type, and how long each MQL took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.types: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.first_at: float | None = None  # time.monotonic() of the first MQL

    async def hear(self, event: HandoffEvent) -> None:
        """The handler of the subscriber."""
        self.types[event.type] += 1
        if event.type != BECAME_MQL:
            return
        # Every event of the demo is written at the moment that it names as its time, and `as_of` is the time of the
        # event that made the MQL.
        self.latencies_ms.append(time.time() * 1000 - event.time_ms)
        self.first_at = self.first_at or time.monotonic()
        for line in describe(event.data):
            self._say(line)


def describe(data: Mapping[str, Any]) -> list[str]:
    """An MQL in words: one line who and how much, then one line for each reason: points, label, when."""
    identity, score = data["identity"], data["score"]
    name = " ".join(identity[part] for part in ("first_name", "last_name") if identity.get(part))
    attributes = data["attributes"]
    who = ", ".join(part for part in (name, attributes.get("title"), attributes.get("company")) if part)
    parts = ", ".join(f"{dimension} {value:.0f}" for dimension, value in score.items() if dimension != "total")
    cell = f"  {data['grade']}" if data["grade"] else ""
    lines = [f"MQL {data['lead_id']}  score {score['total']:.0f} ({parts}){cell}  {who}".rstrip()]
    for contribution in data["contributions"]:
        when = datetime.fromtimestamp(contribution["time"] / 1000, UTC)
        lines.append(f"    {contribution['points']:+6.1f}  {contribution['label']}  {when:%H:%M:%S}Z")
    return lines
