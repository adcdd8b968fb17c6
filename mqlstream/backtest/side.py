"""One of the two definitions of a backtest: its replay, and the MQLs that come out of it. What sets two apart is `comparison`'s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mqlstream.config import Settings
from mqlstream.core.outputs import BECAME_MQL, COOLED, ERASED, MQL_WITHDRAWN, Output
from mqlstream.definition.model import Definition
from mqlstream.offline import Replay
from mqlstream.program import machine_rules, program_of

_ENDS = (MQL_WITHDRAWN, COOLED)


@dataclass(slots=True)
class Mql:
    """One handoff. Times are epoch milliseconds: it ``opened_at`` its `as_of`, and ``ended_at`` when it was withdrawn or had cooled.

    ``rules``: those that contributed, each once.
    """

    opened_at: int
    qualified_at: int
    score: Mapping[str, float]
    grade: str | None
    threshold: Mapping[str, float]
    rules: tuple[str, ...]
    ended_at: int | None = None


class Side:
    """A definition as if it had been live and in force all the time: ``mode`` and ``active`` are left out of account."""

    def __init__(self, definition: Definition, settings: Settings) -> None:
        self.definition = definition
        live = replace(definition, mode="live", active_from_ms=None, active_until_ms=None)
        self.replay = Replay(program_of([live], settings), machine_rules(settings))
        self.mqls: dict[str, list[Mql]] = {}  # by lead, in order
        self._rules: dict[tuple[str, ...], tuple[str, ...]] = {}  # the same few sets of rules over and over

    def note(self, outputs: Iterable[Output]) -> tuple[list[Output], list[str]]:
        """Take what the replay set off. Returns the handoffs that were a lead's first, and the leads that were erased."""
        first, erased = [], []
        for output in outputs:
            kind, lead_id = output["type"], output["lead_id"]
            mqls = self.mqls.get(lead_id)
            if kind == BECAME_MQL:
                if mqls is None:
                    mqls = self.mqls[lead_id] = []
                    first.append(output)
                mqls.append(self._mql(output["data"]))
            elif kind in _ENDS and mqls:
                mqls[-1].ended_at = output["time"]
            elif kind == ERASED:
                self.mqls.pop(lead_id, None)
                erased.append(lead_id)
        return first, erased

    def standing(self, lead_id: str, as_of: int) -> Mapping[str, Any]:
        """The lead's score, stage and contributions under this definition; an empty one when it was never heard of."""
        found = self.replay.standing(lead_id, as_of)
        return found[0] if found else {"stage": "lead", "contributions": []}

    def _mql(self, data: Mapping[str, Any]) -> Mql:
        rules = tuple(sorted({str(line["rule"]) for line in data["contributions"]}))
        rules = self._rules.setdefault(rules, rules)
        return Mql(data["as_of"], data["qualified_at"], data["score"], data["grade"], data["threshold"], rules)
