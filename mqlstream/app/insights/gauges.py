"""Counts as Prometheus gauges: this worker's part, so that the sum over workers is the whole. Their list is `mqlstream.metrics`."""

from __future__ import annotations

from collections.abc import Mapping

from mqlstream import metrics
from mqlstream.app.insights.counting import Book
from mqlstream.app.insights.report import speed

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
_OF_PREFIX = {
    "entered": metrics.INSIGHTS_ENTERED,
    "reached": metrics.INSIGHTS_REACHED,
    "answer": metrics.INSIGHTS_ANSWERS,
    "sla": metrics.INSIGHTS_SLA,
}


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
    for key, number in total.items():
        prefix, _, name = key.partition(":")
        if gauge := _OF_PREFIX.get(prefix):
            gauge.labels(definition, name).set(number)
        elif prefix.startswith("rule."):
            metrics.INSIGHTS_RULE.labels(definition, name, prefix.removeprefix("rule.")).set(number)
    waited = speed(total)
    for step in waited["histogram"]:
        metrics.INSIGHTS_SPEED_BUCKET.labels(definition, str(step["le_seconds"])).set(step["count"])
    metrics.INSIGHTS_SPEED_BUCKET.labels(definition, "+Inf").set(waited["count"])
    metrics.INSIGHTS_SPEED_SUM.labels(definition).set(waited["sum_seconds"])
    metrics.INSIGHTS_SPEED_COUNT.labels(definition).set(waited["count"])
