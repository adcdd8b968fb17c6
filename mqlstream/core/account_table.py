"""The table of accounts of one task: packed records, one for each account and one for each of its leads. No Kafka."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

import msgspec

from mqlstream.core.accounts import Account, AccountState, Version
from mqlstream.core.outputs import Output
from mqlstream.core.state import NEVER
from mqlstream.core.told import Change

OPEN_ACCOUNTS = 1_000

_encode = msgspec.json.Encoder().encode
_decode_key = msgspec.json.Decoder(list[str]).decode
_decode_state = msgspec.json.Decoder(AccountState).decode
_decode_versions = msgspec.json.Decoder(list[Version]).decode


class AccountTable:
    """Account -> its state and leads. Keys of records are JSON arrays: ``[account]``, and ``[account, lead]``."""

    def __init__(self) -> None:
        self._states: dict[str, bytes] = {}
        self._leads: dict[str, dict[str, bytes]] = {}
        self._open: dict[str, Account] = {}
        self._changed: dict[str, set[str]] = {}  # account -> the leads whose record is another now
        self._due: list[tuple[int, str]] = []  # heap; what an account no longer says is passed over

    def load(self, key: bytes, record: bytes | None) -> None:
        """Take a record as the changelog has it; None: the account, or the lead in it, is gone."""
        account, *lead = _decode_key(key)
        if lead:
            self._put_lead(account, lead[0], record)
            return
        self._put_state(account, record)
        if record is not None:
            due = Account(account, _decode_state(record), {}).due
            if due != NEVER:
                heappush(self._due, (due, account))

    def take(self, changes: Iterable[Change]) -> list[Output]:
        """Apply what happened to leads, account by account; returns what it set off."""
        of_account: dict[str, list[Change]] = {}
        for change in changes:
            of_account.setdefault(change.account, []).append(change)
        outputs: list[Output] = []
        for name, own in of_account.items():
            account = self._account(name)
            due = account.due
            changed = self._changed.setdefault(name, set())
            changed.update(change.lead for change in own)
            outputs += account.take(own)
            changed.update(account.prune())
            if account.due != due:
                self._wake(account)
        return outputs

    def next_due(self) -> int | None:
        """When something may happen without a change, in epoch milliseconds; None when nothing waits."""
        return self._due[0][0] if self._due else None

    def advance(self, clock_ms: int, most: int | None = None) -> list[Output]:
        """Let happen what is due by the clock: all of it, or in a number of accounts at a time."""
        outputs: list[Output] = []
        left = most if most is not None else len(self._due) + 1
        while left and self._due and self._due[0][0] <= clock_ms:
            left -= most is not None
            due, name = heappop(self._due)
            account = self._account(name)
            if account.due == due:
                outputs += account.pass_time(due)
                self._changed.setdefault(name, set())
                self._wake(account)
        return outputs

    def packed_changes(self) -> list[tuple[bytes, bytes | None]]:
        """The records that have changed since the last call; None: gone."""
        changes: list[tuple[bytes, bytes | None]] = []
        for name, leads in self._changed.items():
            account = self._open[name]
            for lead in sorted(leads):
                versions = account.leads.get(lead)
                record = _encode(versions) if versions else None
                if record is not None or lead in self._leads.get(name, {}):
                    changes.append((_encode([name, lead]), record))
                self._put_lead(name, lead, record)
            record = _encode(account.state) if account.leads or account.state.tracks else None
            if record is not None or name in self._states:
                changes.append((_encode([name]), record))
            self._put_state(name, record)
        self._changed = {}
        if len(self._open) > OPEN_ACCOUNTS:
            self._open = {}
        return changes

    def drop(self) -> None:
        """Take back all that was made of accounts since the last `packed_changes`."""
        for name in self._changed:
            self._open.pop(name, None)
            self._wake(self._account(name))  # it may have been taken off
        self._changed = {}

    def __len__(self) -> int:
        return len(self._states)

    def _wake(self, account: Account) -> None:
        if account.due != NEVER:
            heappush(self._due, (account.due, account.name))

    def _put_state(self, account: str, record: bytes | None) -> None:
        if record is None:
            self._states.pop(account, None)
        else:
            self._states[account] = record

    def _put_lead(self, account: str, lead: str, record: bytes | None) -> None:
        leads = self._leads.setdefault(account, {})
        if record is None:
            leads.pop(lead, None)
            if not leads:
                del self._leads[account]
        else:
            leads[lead] = record

    def _account(self, name: str) -> Account:
        account = self._open.get(name)
        if account is None:
            record = self._states.get(name)
            state = AccountState() if record is None else _decode_state(record)
            leads = {lead: _decode_versions(versions) for lead, versions in self._leads.get(name, {}).items()}
            account = self._open[name] = Account(name, state, leads)
        return account
