"""What the demo says at its end: what became of every event, as the worker's own metrics tell, and how fast it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families


class Counts:
    """The worker's counters, read from the text of its /metrics."""

    def __init__(self, exposition: str) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()  # (kind, outcome)
        self.reasons: Counter[tuple[str, str]] = Counter()  # (outcome, reason)
        self.handoffs: Counter[str] = Counter()
        self.waiting = 0  # events of visitors who are no leads yet
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                labels, count = sample.labels, int(sample.value)
                if sample.name == "mqlstream_events_total":
                    self.outcomes[labels["kind"], labels["outcome"]] += count
                    self.reasons[labels["outcome"], labels["reason"]] += count
                elif sample.name == "mqlstream_waiting_events_total":
                    self.waiting += count if labels["change"] == "came" else -count
                elif sample.name == "mqlstream_handoffs_total":
                    self.handoffs[labels["type"]] += count

    @property
    def ended(self) -> int:
        """Events that have come to their one outcome."""
        return self.outcomes.total()


def describe(counts: Counts, leads: int, mqls: int, latencies_ms: Sequence[float], first_s: float | None) -> Iterator[str]:
    """The lines of the summary."""
    yield f"Summary: {counts.ended + counts.waiting} events of {leads} people, {mqls} MQLs"
    yield f"  {'events by kind':<20} {'scored':>7} {'ignored':>8} {'rejected':>9}"
    for kind in sorted({kind for kind, _ in counts.outcomes}):
        scored, ignored, rejected = (counts.outcomes[kind, outcome] for outcome in ("scored", "ignored", "rejected"))
        yield f"  {kind:<20} {scored:>7} {ignored:>8} {rejected:>9}"
    for outcome, text in (("ignored", "ignored"), ("rejected", "dead letters")):
        reasons = ", ".join(f"{reason} {count}" for (of, reason), count in counts.reasons.most_common() if of == outcome and count)
        yield f"  {text}: {reasons or 'none'}"
    if counts.waiting:
        yield f"  waiting: {counts.waiting} events of visitors who have not said who they are"
    if latencies_ms and first_s is not None:
        p50, p99 = percentile(latencies_ms, 50), percentile(latencies_ms, 99)
        yield f"  from event appended to MQL received: p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        yield f"  first MQL {first_s:.1f} s after the start of the program"


def describe_insights(report: Mapping[str, Any]) -> Iterator[str]:
    """One line for each definition: how far its handoffs came, and what contributed most often."""
    for each in report["definitions"]:
        funnel = ", ".join(f"{stage} {number}" for stage, number in each["funnel"].items() if number)
        rules = ", ".join(f"{line['rule']} {line['mqls']}" for line in each["rules"][:3])
        yield f"  insights of {each['definition']}: {funnel}; contributed most often: {rules}"


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
