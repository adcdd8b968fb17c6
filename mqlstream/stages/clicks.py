"""Clicks within the score stage: which are a machine's, and what that says of earlier ones. Keeps what is remembered of each lead.

What gives a machine away is decided in `mqlstream.ingest.machines`. It is asked here, because only here all clicks of a lead meet
in one order. What is remembered stands in the stage's changelog beside the leads, for a day after a lead's last email event.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from mqlstream import wire
from mqlstream.core.event import Event
from mqlstream.engine.interfaces import Effects, Output, Record
from mqlstream.ingest.machines import JUDGED_ACTIONS, KEPT_MS, Rules, Watched, look

CHANGELOG_KEY = b"\x00clicks/"  # + lead id
WATCHED_KINDS = frozenset({"email_click", "command"})
_GONE_AT_ONCE = 100
_pack = msgspec.msgpack.Encoder().encode
_unpack: Callable[[bytes], Watched] = msgspec.msgpack.Decoder(Watched).decode


class Clicks:
    """The table of one task: lead -> `Watched`, packed, those touched last at the end, with the clock then."""

    def __init__(self, rules: Rules, topic: str, partitions: int) -> None:
        self._rules = rules
        self._topic = topic
        self._partitions = partitions
        self._packed: dict[str, tuple[bytes, int]] = {}
        self._touched: dict[str, Watched | None] = {}  # in the batch; None: gone

    def restore(self, key: bytes, value: bytes | None) -> None:
        lead_id = key.removeprefix(CHANGELOG_KEY).decode()
        self._packed.pop(lead_id, None)
        if value is not None:
            self._packed[lead_id] = (value, 0)

    def look(self, event: Event, record: Record, effects: Effects) -> Event:
        """The event, marked if it is a machine's click. Verdicts on earlier clicks go to the lead's events."""
        if event.kind == "command":
            if event.body["do"] == "erase":
                self._touched[event.lead] = None
            return event
        if event.body.get("action") not in JUDGED_ACTIONS:
            return event
        watched = self._touched.get(event.lead)
        if watched is None:
            packed = self._packed.get(event.lead) if event.lead not in self._touched else None
            watched = self._touched[event.lead] = Watched() if packed is None else _unpack(packed[0])
        event, commands = look(watched, event, self._rules)
        for command in commands:
            key = wire.key_of(event.lead)
            partition = wire.partition_of(key, self._partitions)
            effects.outputs.append(Output(self._topic, key, wire.encode(command), (), partition, record.timestamp))
        return event

    def reopen(self, lead_id: str) -> None:
        """The lead's events of the batch are looked at again."""
        self._touched.pop(lead_id, None)

    def changes(self, clock_ms: int) -> list[tuple[bytes, bytes | None]]:
        """The changelog's records of what was looked at since the last call, and of what need not be remembered any longer."""
        changes: list[tuple[bytes, bytes | None]] = []
        for lead_id, watched in self._touched.items():
            there = self._packed.pop(lead_id, None) is not None
            if watched is not None and (watched.clicks or watched.deliveries):
                packed = _pack(watched)
                self._packed[lead_id] = (packed, clock_ms)
                changes.append((CHANGELOG_KEY + lead_id.encode(), packed))
            elif there:
                changes.append((CHANGELOG_KEY + lead_id.encode(), None))
        self._touched.clear()
        for _ in range(_GONE_AT_ONCE):
            lead_id, (packed, touched_ms) = next(iter(self._packed.items()), ("", (b"", clock_ms)))
            if touched_ms == 0:  # from before a restart: a day counts from now
                self._packed = {lead: (value, touched or clock_ms) for lead, (value, touched) in self._packed.items()}
            if not lead_id or (touched_ms or clock_ms) >= clock_ms - KEPT_MS:
                break
            del self._packed[lead_id]
            changes.append((CHANGELOG_KEY + lead_id.encode(), None))
        return changes
