"""What the SCORE stage writes for the ACCOUNTS stage: the changes of an account's leads, keyed by account. Both ends of the topic.

The topic is internal: only `AccountLeads` writes its records, only `decode` reads them.
"""

from __future__ import annotations

import msgspec

from mqlstream import wire
from mqlstream.core.lead import Lead
from mqlstream.core.plan import Program
from mqlstream.core.table import LeadTable
from mqlstream.core.told import Activated, Change, Telling
from mqlstream.engine.interfaces import Output

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Change).decode


def decode(key: bytes | None, value: bytes | None) -> Change:
    """Read a record back. Raises `mqlstream.wire.WireError` on anything that `AccountLeads` did not write."""
    try:
        change = _decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise wire.WireError(f"no change of an account's lead: {error}") from None
    if change.account.encode() != key:
        raise wire.WireError("a change of another account than its key names")
    return change


class AccountLeads:
    """What one score task tells accounts. ``topic`` has so many ``partitions``."""

    def __init__(self, table: LeadTable, topic: str, partitions: int) -> None:
        self._table = table
        self._topic = topic
        self._partitions = partitions
        self._program: Program | None = None
        self._telling: Telling | None = None

    def telling(self) -> Telling | None:
        """Collects what happens to leads under the program as it is now; None when no definition asks for accounts."""
        if self._program is not self._table.program:
            self._program = self._table.program
            self._telling = Telling.of(self._program)
        return self._telling

    def rescored(self, lead: Lead, program: Program, activated: Activated) -> None:
        """A version has taken over the lead, which is under the program with it now."""
        telling = self.telling()
        if telling is not None:
            telling.rescored(lead, activated, telling if program is self._program else Telling(program))

    def forget(self, lead_id: str) -> None:
        """The lead's events of this batch will be applied again."""
        if self._telling is not None:
            self._telling.forget(lead_id)

    def outputs(self) -> list[Output]:
        """The records of all that was collected since the last call; before the program changes, and in the same transaction."""
        if self._telling is None:
            return []
        return [self._output(change) for change in self._telling.take(self._table.peek)]

    def _output(self, change: Change) -> Output:
        key = change.account.encode()
        return Output(self._topic, key, _encode(change), (), wire.partition_of(key, self._partitions))
