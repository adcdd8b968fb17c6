"""Clicks within the score stage: which are a machine's, and what that says of earlier ones. Keeps what is remembered of each lead.

What gives a machine away is decided in `mqlstream.ingest.machines`. It is asked here, because only here all clicks of a lead meet
in one order. What is remembered stands in the stage's changelog beside the leads, for a day after a lead's last email event.

Whether a visit followed a click is looked at when the time for it is over, in what the lead's ledger knows by then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from mqlstream import wire
from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.engine.interfaces import Effects, Output, Record
from mqlstream.ingest.machines import JUDGED_ACTIONS, KEPT_MS, Rules, Watched, look
from mqlstream.ingest.unvisited import Waiting, due_ms, look_for_visits, visits_of

CHANGELOG_KEY = b"\x00clicks/"  # + lead id
WATCHED_KINDS = frozenset({"email_click", "command"})
_GONE_AT_ONCE = 100
_LOOKED_AT_ONCE = 500  # leads whose visits are looked for, when no record waits behind them
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
        self._waiting = Waiting()
        self._restored: dict[str, None] = {}  # leads of which it is not known yet whether a click of theirs waits

    def restore(self, key: bytes, value: bytes | None) -> None:
        lead_id = key.removeprefix(CHANGELOG_KEY).decode()
        self._packed.pop(lead_id, None)
        if value is not None:
            self._packed[lead_id] = (value, 0)
            if self._rules.wait_for_visits:
                self._restored[lead_id] = None

    def look(self, event: Event, record: Record, effects: Effects) -> Event:
        """The event, marked if it is a machine's click. Verdicts on earlier clicks go to the lead's events."""
        if event.kind == "command":
            if event.body["do"] == "erase":
                self._touched[event.lead] = None
            return event
        if event.body.get("action") not in JUDGED_ACTIONS:
            return event
        event, commands = look(self._open(event.lead), event, self._rules)
        self._tell(commands, record.timestamp, effects)
        return event

    def due_ms(self) -> int | None:
        """When visits are to be looked for, in epoch milliseconds; None: no click waits."""
        for lead_id in self._restored:
            packed = self._packed.get(lead_id)
            self._waiting.note(lead_id, due_ms(_unpack(packed[0]), self._rules) if packed is not None else None)
        self._restored.clear()
        return self._waiting.next_ms()

    def look_for_visits(self, until_ms: int, lead: Callable[[str], Lead | None], wall_ms: int, effects: Effects) -> None:
        """For clicks whose time is over by then, some leads at a time. Verdicts go to the leads' events, as all late ones."""
        if self.due_ms() is None:
            return
        for _ in range(_LOOKED_AT_ONCE):
            lead_id = self._waiting.pop(until_ms)
            if lead_id is None:
                return
            commands = look_for_visits(self._open(lead_id), lead_id, until_ms, visits_of(lead(lead_id)), self._rules)
            self._tell(commands, wall_ms, effects)

    def _open(self, lead_id: str) -> Watched:
        watched = self._touched.get(lead_id)
        if watched is None:
            packed = self._packed.get(lead_id) if lead_id not in self._touched else None
            watched = self._touched[lead_id] = Watched() if packed is None else _unpack(packed[0])
        return watched

    def _tell(self, commands: Sequence[Event], timestamp: int, effects: Effects) -> None:
        for command in commands:
            key = wire.key_of(command.lead)
            partition = wire.partition_of(key, self._partitions)
            effects.outputs.append(Output(self._topic, key, wire.encode(command), (), partition, timestamp))

    def reopen(self, lead_id: str) -> None:
        """The lead's events of the batch are looked at again."""
        self._touched.pop(lead_id, None)

    def changes(self, clock_ms: int) -> list[tuple[bytes, bytes | None]]:
        """The changelog's records of what was looked at since the last call, and of what need not be remembered any longer."""
        changes: list[tuple[bytes, bytes | None]] = []
        for lead_id, watched in self._touched.items():
            if self._rules.wait_for_visits:
                self._waiting.note(lead_id, None if watched is None else due_ms(watched, self._rules))
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
            self._waiting.note(lead_id, None)
            changes.append((CHANGELOG_KEY + lead_id.encode(), None))
        return changes
