"""The ACCOUNTS stage: changes of leads in, keyed by account; became-MQA events out, one table of accounts per task.

What a change does is `mqlstream.core.accounts`'. The changes bring along what their definition asks for, so the stage needs no
definitions, and workers need not agree on any. Without ``accounts`` in a definition nothing is ever written to its input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mqlstream import metrics, wire
from mqlstream.core.account_table import AccountTable
from mqlstream.core.outcome import Reason
from mqlstream.core.told import Change
from mqlstream.engine.interfaces import Effects, Output, Record
from mqlstream.handoff import cloudevents
from mqlstream.stages.account_leads import decode
from mqlstream.stages.dead_letter import dead_letter
from mqlstream.topics import Topics

_DUE_AT_ONCE = 500  # accounts: the worker has other tasks too


class AccountsStage:
    """Qualifies accounts. ``source`` names this installation in handoffs; ``structured``: their CloudEvents mode."""

    name = "accounts"
    phase = 0.9  # of a commit interval; see `mqlstream.engine.pace`
    digest = ""

    def __init__(self, topics: Topics, source: str = "/mqlstream", *, structured: bool = False) -> None:
        self.topics = topics
        self.source = source
        self.structured = structured
        self.inputs: Sequence[str] = (topics.account_leads,)
        self.changelog = topics.account_state

    def processor(self, task: int) -> AccountsProcessor:
        return AccountsProcessor(self)


@dataclass(slots=True)
class _Note:
    """What to count once the batch is committed: types of handoffs, reasons of dead letters."""

    handoffs: list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)


class AccountsProcessor:
    """One task of the stage: the accounts of one partition."""

    def __init__(self, stage: AccountsStage) -> None:
        self._stage = stage
        self._table = AccountTable()

    def restore(self, key: bytes, value: bytes | None) -> None:
        self._table.load(key, value)

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        effects = Effects(note=_Note())
        changes = [(record, change) for record in records if (change := self._read(record, effects)) is not None]
        try:
            outputs = self._table.take(change for _, change in changes)
        except Exception:
            # One change is more than the program can take, and its account may be half changed: all again, one by one.
            self._table.drop()
            outputs = self._carefully(changes, effects)
        if wall_ms is not None:
            outputs += self._table.advance(wall_ms, _DUE_AT_ONCE)
        effects.changelog += self._table.packed_changes()
        for output in outputs:
            key, value, headers = cloudevents.encode(output, self._stage.source, structured=self._stage.structured)
            effects.outputs.append(Output(self._stage.topics.handoff, key, value, headers))
            effects.note.handoffs.append(output["type"])
        return effects

    def due_ms(self) -> int | None:
        return self._table.next_due()

    def committed(self, effects: Effects) -> None:
        for handoff in effects.note.handoffs:
            metrics.HANDOFFS.labels(handoff).inc()
        for reason in effects.note.letters:
            metrics.DEAD_LETTERS.labels(reason).inc()

    def _carefully(self, changes: Sequence[tuple[Record, Change]], effects: Effects) -> list[dict[str, Any]]:
        """Keep a way back from each change: one that fails becomes a dead letter, and was never applied."""
        outputs: list[dict[str, Any]] = []
        for record, change in changes:
            try:
                outputs += self._table.take([change])
            except Exception as error:
                self._table.drop()
                self._reject(record, Reason.FAILED, f"{type(error).__name__} in an account; the change was not applied", effects)
            else:
                effects.changelog += self._table.packed_changes()
        return outputs

    def _read(self, record: Record, effects: Effects) -> Change | None:
        try:
            return decode(record.key, record.value)
        except wire.WireError as error:
            self._reject(record, Reason.BAD_RECORD, str(error), effects)
            return None

    def _reject(self, record: Record, reason: Reason, detail: str, effects: Effects) -> None:
        effects.outputs.append(dead_letter(self._stage.topics.dead_letters, self._stage.name, record, reason, detail))
        effects.note.letters.append(reason.value)
