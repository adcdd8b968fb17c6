"""What became of handoffs, in numbers: sales' answers, acceptance, precision and lift by rule. Pure sums and ratios.

Insights and backtests count by these words and formulas alike; whose handoffs are counted is theirs.

    answer:accepted  answer:rejected      sales' first move; what was withdrawn, has cooled or waits is neither
    rule.mqls:RULE                        handoffs to which the rule contributed
    rule.accepted:RULE  rule.rejected:RULE  rule.customers:RULE       and what became of them
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

FUNNEL = ("mql", "sal", "sql", "opportunity", "customer")
EXITS = ("recycled", "disqualified", "withdrawn", "cooled")
DIGITS = 4  # of a ratio


def accepts(stage: str) -> bool:
    """Whether an answer that moves a lead from ``mql`` to this stage accepts the handoff; else it rejects it."""
    return stage in FUNNEL


def outcome_counts(rules: Iterable[str], accepted: bool | None, customer: bool) -> Counter[str]:
    """What one handoff adds: ``rules`` are those that contributed, each once; ``accepted`` is None while it is not answered."""
    outcomes = ["mqls"]
    counts: Counter[str] = Counter()
    if accepted is not None:
        answer = "accepted" if accepted else "rejected"
        counts[f"answer:{answer}"] = 1
        outcomes.append(answer)
    if customer:
        outcomes.append("customers")
    counts.update(f"rule.{outcome}:{rule}" for rule in rules for outcome in outcomes)
    return counts


def rule_lines(total: Counter[str]) -> list[dict[str, Any]]:
    """One line a rule, those that contributed most often first. Rates are of the handoffs that sales has answered."""
    overall = rate(total["answer:accepted"], total["answer:rejected"])
    lines = []
    for rule, mqls in sorted(named(total, "rule.mqls").items(), key=lambda pair: (-pair[1], pair[0])):
        accepted, rejected, customers = (total[f"rule.{outcome}:{rule}"] for outcome in ("accepted", "rejected", "customers"))
        acceptance = rate(accepted, rejected)
        lift = rounded(acceptance / overall) if acceptance is not None and overall else None
        outcomes = {"mqls": mqls, "accepted": accepted, "rejected": rejected, "customers": customers}
        lines.append({"rule": rule, **outcomes, "acceptance": rounded(acceptance), "lift": lift})
    return lines


def rate(accepted: int, rejected: int) -> float | None:
    """The accepted of those answered; None while none is."""
    return accepted / (accepted + rejected) if accepted + rejected else None


def rounded(ratio: float | None) -> float | None:
    """A ratio as it is told."""
    return None if ratio is None else round(ratio, DIGITS)


def named(counter: Mapping[str, int], prefix: str) -> Counter[str]:
    """The counts under ``prefix:``, by what follows it."""
    return Counter({key[len(prefix) + 1 :]: number for key, number in counter.items() if key.startswith(prefix + ":")})
