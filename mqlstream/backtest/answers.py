"""Sales' answers in a backtest: what sales said of each lead, and how well each definition agrees with it.

Sales answered the handoffs of the definition that was in force. So an answer is taken as one about the lead, whichever handoff
it named: it answers the handoff that each of the two definitions would have had. What counts as accepted, and the formulas, are
those of insights (`mqlstream.handoff.outcomes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mqlstream.backtest.side import Mql
from mqlstream.core.event import Event
from mqlstream.core.feedback import MOVES
from mqlstream.handoff.outcomes import accepts, outcome_counts, rate, rounded, rule_lines

_WON = "won"


@dataclass(slots=True)
class Round:
    """One handoff's way through sales: its first answer at ``time`` (epoch milliseconds) decides; ``customer`` if it was won later."""

    time: int
    accepted: bool
    customer: bool
    handoff: str | None
    open: bool


class Answers:
    """Sales' answers by lead, heard in order. ``definitions``: the ids whose handoffs are meant; None: those of all."""

    def __init__(self, definitions: Collection[str] | None) -> None:
        self._definitions = definitions
        self._rounds: dict[str, list[Round]] = {}
        self._heard: set[tuple[str, str]] = set()
        self.left_out = 0  # answers about other definitions' handoffs

    def hear(self, event: Event) -> Event:
        """Note an answer. Returns it as it is to be replayed: about whichever handoff is open."""
        named = event.body.get("definition")
        if named is not None and self._definitions is not None and named not in self._definitions:
            self.left_out += 1
            return event
        body = {name: value for name, value in event.body.items() if name not in ("handoff_id", "definition")}
        if (event.source, event.id) not in self._heard:
            self._heard.add((event.source, event.id))
            self._note(event)
        return msgspec.structs.replace(event, body=body)

    def forget(self, lead_id: str) -> None:
        """The lead was erased."""
        self._rounds.pop(lead_id, None)

    def __bool__(self) -> bool:
        return bool(self._rounds)

    def _note(self, event: Event) -> None:
        rounds = self._rounds.setdefault(event.lead, [])
        decision, handoff = event.body["decision"], event.body.get("handoff_id")
        accepted = accepts(MOVES[decision].stage)
        last = rounds[-1] if rounds else None
        if last is None or not last.open or (handoff is not None and last.handoff is not None and handoff != last.handoff):
            rounds.append(Round(event.time, accepted, decision == _WON, handoff, open=accepted))
            return
        last.customer |= decision == _WON
        last.open = accepted

    def figures(self, mqls: Mapping[str, Sequence[Mql]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """How a definition's MQLs fared: precision and recall with what they are made of, and a line for each rule."""
        total: Counter[str] = Counter()
        for lead_id, handoffs in mqls.items():
            for mql, answer in zip(handoffs, self._answers(lead_id, handoffs)):
                total += outcome_counts(mql.rules, None if answer is None else answer.accepted, answer is not None and answer.customer)
        accepted, rejected = total["answer:accepted"], total["answer:rejected"]
        liked = {lead_id for lead_id, rounds in self._rounds.items() if any(each.accepted for each in rounds)}
        found = sum(lead_id in mqls for lead_id in liked)
        count = sum(map(len, mqls.values()))
        figures = {
            "mqls": count,
            "accepted": accepted,
            "rejected": rejected,
            "unanswered": count - accepted - rejected,
            "precision": rounded(rate(accepted, rejected)),
            "accepted_leads": len(liked),
            "accepted_leads_found": found,
            "recall": rounded(rate(found, len(liked) - found)),
        }
        return figures, rule_lines(total)

    def _answers(self, lead_id: str, handoffs: Sequence[Mql]) -> list[Round | None]:
        """The answer to each handoff of a lead: the first one from its opening until it ended or the next was opened.

        The first handoff takes the last one before it otherwise: sales knew the lead already.
        """
        rounds = self._rounds.get(lead_id, [])
        found: list[Round | None] = []
        for number, mql in enumerate(handoffs):
            until = handoffs[number + 1].opened_at if number + 1 < len(handoffs) else None
            if mql.ended_at is not None:
                until = mql.ended_at
            found.append(next((each for each in rounds if mql.opened_at <= each.time and (until is None or each.time < until)), None))
        if found and found[0] is None:
            found[0] = next((each for each in reversed(rounds) if each.time < handoffs[0].opened_at), None)
        return found
