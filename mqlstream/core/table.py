"""The table of leads of one task: packed records, of which a bounded number is open for work. No Kafka, no changelog format.

A lead that was worked on is packed at the end of the batch (`packed_changes`); until then it stays open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mqlstream.core.keys import Same
from mqlstream.core.lead import Lead
from mqlstream.core.packing import due_of, lay_out, layout_of, unpack
from mqlstream.core.plan import Layout, Program
from mqlstream.core.state import NEVER, LeadState
from mqlstream.core.step import open_lead
from mqlstream.core.timer_queue import TimerQueue

RECORD_BYTES = 4_000_000  # of one lead; ordinary ones have some hundred bytes, brokers take 8 MiB on this topic
OPEN_LEADS = 50_000  # some 3 KB each with an ordinary ledger; up to twice as many for a while
_OPEN_IN_ALL = 200_000  # by all tables of a stage together
_OPEN_AT_LEAST = 5_000


class LeadTable:
    """Lead id -> lead. ``layouts`` names every layout that records of the table may have been written with."""

    def __init__(self, program: Program, open_leads: int = OPEN_LEADS) -> None:
        self.program = program
        self.layouts: dict[int, Layout] = {}
        self._packed: dict[str, bytes] = {}
        self._open_leads = open_leads
        self._young: dict[str, Lead] = {}
        self._old: dict[str, Lead] = {}  # opened before the last turnover, and not used since
        self._changed: dict[str, Lead] = {}
        self._layout = -1
        self._renewed: dict[str, bytes] = {}  # records brought up to the program since the last `packed_changes`
        self._renew: Callable[[str, bytes], bytes] | None = None
        self._renew_below = 0  # records of older layouts are of a program before
        self._timers = TimerQueue()  # as the records say, and the open leads' ``timer``

    def load(self, lead_id: str, record: bytes | None) -> None:
        """Take a record as the changelog has it; None: the lead is gone."""
        known = self._packed.pop(lead_id, None) if record is None else self._packed.get(lead_id)
        if record is not None:
            self._packed[lead_id] = record
        if self.program.has_timers:
            self._move_timer(lead_id, known, record)

    def next_due(self) -> int | None:
        """When the next timer fires, in epoch milliseconds; None when none is set."""
        return self._timers.next_due()

    def schedule(self, lead: Lead) -> None:
        """Note the lead's timer, after a step or a timer has set it."""
        before, due = lead.timer, lead.state.due
        if before != due:
            if before == NEVER:
                lead.id = self._key(lead.id)
            self._timers.move(lead.id, before, due)
            lead.timer = due

    def pop_due(self, clock_ms: int) -> Lead | None:
        """A lead whose timer is due by the clock, opened, the earliest first; None when there is none."""
        while (due := self._timers.next_due()) is not None and due <= clock_ms:
            lead = self.open(self._timers.pop())
            if lead.timer == due:
                lead.timer = NEVER
            if lead.state.due == due:
                return lead
            self.schedule(lead)  # it was renewed just now, and its timer is another
        return None

    def _move_timer(self, lead_id: str, known: bytes | None, record: bytes | None) -> None:
        """A lead that is not open has another record."""
        before, due = NEVER if known is None else due_of(known), NEVER if record is None else due_of(record)
        if before != NEVER or due != NEVER:
            self._timers.move(lead_id if known is None else self._key(lead_id), before, due)

    def _key(self, lead_id: str) -> str:
        """A lead's id as the table itself has it: each timer would otherwise keep a copy of its own."""
        same = Same(lead_id)
        return same.found if same in self._packed else lead_id

    def settle_layout(self, since: int = 0) -> int | None:
        """Find the program's layout among those known; its number when it is new and has to be written down.

        ``since``: those with a lower number are of programs before.
        """
        for number, layout in self.layouts.items():
            if layout == self.program.layout and number >= since:
                self._layout = number
                return None
        self._layout = max(self.layouts, default=0) + 1
        self.layouts[self._layout] = self.program.layout
        return self._layout

    def switch(self, program: Program) -> int:
        """Score under another program from now on, whose records get a layout of their own; returns its number.

        Nothing may have been worked on since the last `packed_changes`.
        """
        self.program = program
        self._young, self._old = {}, {}
        self._layout = max(self.layouts, default=0) + 1
        self.layouts[self._layout] = program.layout
        return self._layout

    def renew_with(self, renew: Callable[[str, bytes], bytes] | None, below: int = 0) -> None:
        """Bring records with a layout below this one up to the program before anything else is done with their leads."""
        self._renew, self._renew_below = renew, below

    def share(self, tables: int) -> None:
        """This is one of so many tables, all of which one worker may have: keep no more leads open than its memory has room for."""
        self._open_leads = min(OPEN_LEADS, max(_OPEN_AT_LEAST, _OPEN_IN_ALL // tables))

    @property
    def layout(self) -> int:
        """The number of the program's layout."""
        return self._layout

    def stale(self) -> list[str]:
        """The leads that are still to be renewed."""
        below = self._renew_below
        return [lead_id for lead_id, record in self._packed.items() if layout_of(record) < below] if self._renew else []

    def renew(self, lead_id: str) -> bool:
        """Bring a lead up to the program; False when there is nothing to do."""
        record = self._packed.get(lead_id)
        if self._renew is None or record is None or layout_of(record) >= self._renew_below:
            return False
        self._packed[lead_id] = self._renewed[lead_id] = renewed = self._renew(lead_id, record)
        self._move_timer(lead_id, record, renewed)
        return True

    def wake_all(self) -> None:
        """Note the timers of all records: the program they were loaded under had none."""
        for lead_id, record in self._packed.items():
            self._move_timer(lead_id, None, record)

    def open(self, lead_id: str) -> Lead:
        """The lead, opened and counted as changed."""
        lead = self._changed.get(lead_id)
        if lead is None:
            lead = self._young.get(lead_id)
            if lead is None:
                if self._renew is not None:
                    self.renew(lead_id)
                lead = self._old.pop(lead_id, None) or self._open(lead_id, self._packed.get(lead_id))
                self._young[lead_id] = lead
            self._changed[lead_id] = lead
        return lead

    def peek(self, lead_id: str) -> Lead | None:
        """The lead for looking at only; None when never heard of."""
        lead = self._young.get(lead_id) or self._old.get(lead_id)
        if lead is None and lead_id in self._packed:
            lead = self._open(lead_id, self._packed[lead_id])
        return lead

    def changed(self) -> list[Lead]:
        """The leads worked on since the last `packed_changes`."""
        return list(self._changed.values())

    def packed_changes(self) -> list[tuple[str, bytes | None]]:
        """The records of all leads worked on since the last call, now also the table's; None: the lead was erased."""
        changes: list[tuple[str, bytes | None]] = []
        if self._renewed:
            changes += [(lead_id, record) for lead_id, record in self._renewed.items() if lead_id not in self._changed]
            self._renewed = {}
        for lead_id, lead in self._changed.items():
            if lead.timer != lead.state.due:
                self.schedule(lead)
            if lead.state.seq:
                record = self._packed[lead.id] = self.pack(lead)
                changes.append((lead_id, record))
            elif self._packed.pop(lead_id, None) is not None:
                changes.append((lead_id, None))
        self._changed = {}
        if len(self._young) > self._open_leads:
            self._old, self._young = self._young, {}
        return changes

    def pack(self, lead: Lead) -> bytes:
        """The lead's record as it is now; the oldest half of a ledger that is too large for one is let go."""
        record = lead.ledger.packer.pack(lead.state)
        while len(record) > RECORD_BYTES and lead.state.entries:
            entries = lead.state.entries
            lead.ledger.drop_before(entries[len(entries) // 2].time + 1)
            lead.recount()
            record = lead.ledger.packer.pack(lead.state)
        return record

    def reopen(self, lead_id: str, record: bytes | None = None) -> Lead:
        """The lead as ``record`` has it, or as it was at the last `packed_changes`: what was made of it since is dropped."""
        dropped = self._young.get(lead_id) or self._old.pop(lead_id, None)
        lead = self._open(lead_id, record or self._packed.get(lead_id))
        if dropped is not None:
            lead.timer = dropped.timer
            self.schedule(lead)
        self._young[lead_id] = self._changed[lead_id] = lead
        return lead

    def __len__(self) -> int:
        return len(self._packed)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def _open(self, lead_id: str, record: bytes | None) -> Lead:
        if record is None:
            return open_lead(self.program, lead_id, LeadState(layout=self._layout))
        state = unpack(record)
        if state.due != NEVER:
            lead_id = self._key(lead_id)
        if state.layout != self._layout:
            lay_out(state.entries, self.layouts[state.layout], self.program.layout)
            state.layout = self._layout
        lead = open_lead(self.program, lead_id, state)
        lead.timer = state.due
        return lead
