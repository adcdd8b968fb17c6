"""Counts as Prometheus gauges: this worker's part, so that the sum over workers is the whole. Their list is `mqlstream.metrics`."""

from __future__ import annotations

from collections.abc import Mapping

from mqlstream import metrics
from mqlstream.app.insights.counting import Book
from mqlstream.app.insights.report import speed
from mqlstream.handoff.outcomes import EXITS, FUNNEL

_ALL = (
    metrics.INSIGHTS_ENTERED,
    metrics.INSIGHTS_REACHED,
    metrics.INSIGHTS_ANSWERS,
    metrics.INSIGHTS_RULE,
    metrics.INSIGHTS_SPEED_BUCKET,
    metrics.INSIGHTS_SPEED_SUM,
    metrics.INSIGHTS_SPEED_COUNT,
    metrics.INSIGHTS_SLA,
)


class Gauges:
    """Shows a book's totals, anew when it has changed."""

    def __init__(self) -> None:
        self._shown: tuple[Book, int] | None = None

    def show(self, book: Book) -> None:
        """Make the gauges say what the book says."""
        if self._shown == (book, book.changes):
            return
        self.clear()
        for definition, total in book.totals.items():
            _show(definition, total)
        self._shown = (book, book.changes)

    def clear(self) -> None:
        """Show nothing: what this worker has counted is not, or no longer, its part."""
        if self._shown is not None:
            for gauge in _ALL:
                gauge.clear()
            self._shown = None


def _show(definition: str, total: Mapping[str, int]) -> None:
    """Every series that can be, also at 0: a rule that sales never accepts must show as such."""
    for stage in (*FUNNEL, *EXITS):
        metrics.INSIGHTS_REACHED.labels(definition, stage).set(total.get(f"reached:{stage}", 0))
    for key, number in total.items():
        if key.startswith("entered:"):
            metrics.INSIGHTS_ENTERED.labels(definition, key.removeprefix("entered:")).set(number)
        elif key.startswith("rule.mqls:"):
            rule = key.removeprefix("rule.mqls:")
            for outcome in ("mqls", "accepted", "rejected", "customers"):
                metrics.INSIGHTS_RULE.labels(definition, rule, outcome).set(total.get(f"rule.{outcome}:{rule}", 0))
    for answer in ("accepted", "rejected"):
        metrics.INSIGHTS_ANSWERS.labels(definition, answer).set(total.get(f"answer:{answer}", 0))
    for result in ("kept", "breached"):
        metrics.INSIGHTS_SLA.labels(definition, result).set(total.get(f"sla:{result}", 0))
    waited = speed(total)
    for step in waited["histogram"]:
        metrics.INSIGHTS_SPEED_BUCKET.labels(definition, str(step["le_seconds"])).set(step["count"])
    metrics.INSIGHTS_SPEED_BUCKET.labels(definition, "+Inf").set(waited["count"])
    metrics.INSIGHTS_SPEED_SUM.labels(definition).set(waited["sum_seconds"])
    metrics.INSIGHTS_SPEED_COUNT.labels(definition).set(waited["count"])
