"""What a lead's account is told of the lead, move by move: the moves of a batch are collected and leave as one change a lead.

An account needs the lead's scores from each of its events on (`mqlstream.core.outlook`), and to know when the lead leaves it.
Only definitions in force that have ``accounts`` take part; a shadow's leads are told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from mqlstream.core.lead import Lead
from mqlstream.core.outcome import Outcome, Reason
from mqlstream.core.outlook import FOREVER, Outlook, Stretch, outlook
from mqlstream.core.outputs import account_of
from mqlstream.core.plan import AccountsPlan, Plan, Program
from mqlstream.core.tally import Tally

STAYED = ""
LEFT = "left"  # it is of another account now, or was merged into another lead
ERASED = "erased"
MOVES = 200  # of one change: it has to fit a record

_UNCHANGED = frozenset({Reason.DUPLICATE, Reason.CONFLICTING_DUPLICATE, Reason.OUT_OF_TURN, Reason.MERGED, Reason.UNKNOWN_LEAD})


class Asked(msgspec.Struct, array_like=True, frozen=True):
    """What one definition asks of an account; None where it does not. Times are epoch milliseconds."""

    definition: str
    version: int
    digest: str
    at_least: int | None
    engagement: float | None
    sum: float | None
    best: float | None
    below: float | None
    cooldown_ms: int
    active_from: int | None
    active_until: int | None


class Move(msgspec.Struct, array_like=True):
    """The lead from ``as_of`` on: an outlook for each definition that asks, in their order."""

    as_of: int
    outlooks: list[Outlook]


class Activated(msgspec.Struct, array_like=True, frozen=True):
    """A version has come into force: of which definition, when (epoch milliseconds), and who is handed off by that alone."""

    definition: str
    at_ms: int
    handoff: str


class Change(msgspec.Struct, array_like=True):
    """What happened to one lead of an account. ``gone`` says how it left after the last move, at ``until_ms``; or `STAYED`.

    With ``activated`` nothing has happened to the lead: it is scored otherwise from there on, and there is one move.
    """

    account: str
    lead: str
    asked: tuple[Asked, ...]
    moves: list[Move]
    gone: str = STAYED
    until_ms: int = 0
    activated: Activated | None = None


def asked_of(plan: Plan, accounts: AccountsPlan) -> Asked:
    """What a compiled definition asks of accounts."""
    below, cooldown_ms = (accounts.rearm.below, accounts.rearm.cooldown_ms) if accounts.rearm else (None, 0)
    wanted = (accounts.at_least, accounts.engagement, accounts.sum, accounts.best)
    return Asked(plan.id, plan.version, plan.digest, *wanted, below, cooldown_ms, plan.active_from, plan.active_until)


@dataclass(slots=True)
class _Told:
    """The lead in this batch: its account at first and so far, and its changes so far."""

    first: str | None
    before: str | None
    changes: list[Change] = field(default_factory=list)


class Telling:
    """Collects what happens to leads between two calls of `take`. For each event: `before`, `step`, `after`; and `rescored`."""

    def __init__(self, program: Program) -> None:
        self._plans = [(index, plan, plan.accounts) for index, plan in enumerate(program.plans) if plan.accounts and plan.live]
        self._asked = tuple(asked_of(plan, accounts) for _, plan, accounts in self._plans)
        self._told: dict[str, _Told] = {}

    @classmethod
    def of(cls, program: Program) -> Telling | None:
        """None when no definition asks of accounts: nothing is to be told, and nothing costs."""
        telling = cls(program)
        return telling if telling._plans else None

    def before(self, lead: Lead, time: int) -> None:
        """An event at a time is about to be applied to the lead."""
        told = self._told.get(lead.id)
        if told is None:
            account = self._account(lead)
            self._told[lead.id] = _Told(account, account)
        elif told.changes and not told.changes[-1].gone:
            last = told.changes[-1].moves[-1]
            if any(time >= each.stretches[-1].break_ms for each in last.outlooks):
                self._go_on(told.changes[-1], lead, time + 1)

    def after(self, lead: Lead, outcome: Outcome) -> None:
        """The event has been applied."""
        if outcome.reason in _UNCHANGED:
            return
        told = self._told[lead.id]
        account = self._account(lead)
        move = None if account is None else self._move(lead, lead.state.as_of + 1)
        changes = told.changes
        if told.before is not None and account != told.before:
            if not changes or changes[-1].gone:
                changes.append(Change(told.before, lead.id, self._asked, []))
            changes[-1].gone = LEFT if lead.state.seq else ERASED
            changes[-1].until_ms = lead.state.as_of
        told.before = account
        if account is None or move is None:
            return
        if not changes or changes[-1].gone or changes[-1].activated or len(changes[-1].moves) >= MOVES:
            changes.append(Change(account, lead.id, self._asked, []))
        changes[-1].moves.append(move)

    def rescored(self, lead: Lead, activated: Activated, by: Telling) -> None:
        """A version has taken over the lead, before anything else that happens to it here. ``by`` is of the program with it."""
        account = self._account(lead)
        if account is not None and by._plans:
            move = by._move(lead, max(lead.state.as_of, activated.at_ms) + 1)
            change = Change(account, lead.id, by._asked, [move], activated=activated)
            self._told.setdefault(lead.id, _Told(account, account)).changes.append(change)

    def forget(self, lead_id: str) -> None:
        """What was collected of a lead's events is void: they will be applied again."""
        told = self._told.pop(lead_id, None)
        kept = [change for change in told.changes if change.activated] if told is not None else []
        if told is not None and kept:
            for change in kept:
                change.gone = STAYED
            self._told[lead_id] = _Told(told.first, told.first, kept)

    def take(self, lead_of: Callable[[str], Lead | None]) -> Iterator[Change]:
        """All changes since the last call, each lead's in order; ``lead_of`` gives the leads as they are now."""
        collected, self._told = self._told, {}
        for lead_id, told in collected.items():
            if told.changes and not told.changes[-1].gone:
                lead = lead_of(lead_id)
                assert lead is not None
                self._go_on(told.changes[-1], lead, FOREVER)
            yield from told.changes

    def _account(self, lead: Lead) -> str | None:
        return account_of(lead, lead.attributes()) if lead.state.seq else None

    def _go_on(self, change: Change, lead: Lead, until_ms: int) -> None:
        """Nothing has happened to the lead since its last move but time, and timers: tell it up to a later moment."""
        last = change.moves[-1]
        change.moves[-1] = Move(last.as_of, self._outlooks(lead, until_ms, [each.stretches for each in last.outlooks]))

    def _move(self, lead: Lead, until_ms: int) -> Move:
        return Move(lead.state.as_of, self._outlooks(lead, until_ms, [[] for _ in self._plans]))

    def _outlooks(self, lead: Lead, until_ms: int, known: Sequence[list[Stretch]]) -> list[Outlook]:
        found = []
        for (index, plan, accounts), stretches in zip(self._plans, known, strict=True):
            tally = lead.tallies[index] or Tally.over(plan, lead.ledger, lead.state.as_of)
            found.append(outlook(plan, accounts, lead, tally, until_ms, stretches))
        return found
