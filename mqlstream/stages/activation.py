"""Definitions that change while a score task runs: which program is in force, and bringing the leads up to it in the background.

What a new version makes of one lead is `mqlstream.core.takeover`'s. Every activation begins a new number of layouts, so that
a lead's own record tells which activations it has been through: no event, timer or question meets a lead that is behind,
whether a slice has come to it or not, and a restart goes on where the records say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakSet

import msgspec
import orjson

from mqlstream import metrics, wire
from mqlstream.core.lead import Lead
from mqlstream.core.outputs import Output
from mqlstream.core.packing import lay_out, unpack
from mqlstream.core.plan import Layout, Program
from mqlstream.core.table import LeadTable
from mqlstream.core.takeover import Change, TakeOver
from mqlstream.core.told import Activated
from mqlstream.definition import parse_text
from mqlstream.definition.model import Definition
from mqlstream.engine.interfaces import Record, Unable
from mqlstream.program import prepared, superseded
from mqlstream.wire import Activation

log = logging.getLogger(__name__)

LAYOUT_KEY = b"\x00layout/"  # + number: which fields the ledgers of that number keep
ACTIVATION_KEY = b"\x00activation/"  # + number of the layout with which it began
RESCORED_AT_ONCE = 200  # leads; some 20 ms, which is what an event may wait for it
_PROGRAMS_KEPT = 8

Changes = list[tuple[bytes, bytes | None]]


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """An activation as the changelog keeps it, and up to when all events had arrived at its place in the log (see `Change`)."""

    activation: Activation
    before_ms: int | None


_decode_kept = msgspec.json.Decoder(Kept).decode
_encode_kept = msgspec.json.Encoder().encode


class Programs:
    """Programs compiled once for all tasks of a worker. ``files``: that of the definitions it was started with."""

    def __init__(self, files: Program) -> None:
        self.files = files
        self._compiled: dict[tuple[object, ...], Program] = {}

    def after(self, program: Program, activation: Activation) -> Program:
        """The program with a version activated, or prepared. Raises `Unable` when this worker can't read it."""
        there = tuple(tuple((each.id, each.digest) for each in of) for of in (program.definitions, program.prepared))
        key = (there, activation.id, activation.digest, activation.prepares)
        if key not in self._compiled:
            while len(self._compiled) >= _PROGRAMS_KEPT:
                del self._compiled[next(iter(self._compiled))]
            self._compiled[key] = (prepared if activation.prepares else superseded)(program, _read(activation))
        return self._compiled[key]


def _read(activation: Activation) -> Definition:
    name = f"definition {activation.id} version {activation.version}"
    definition, findings = parse_text(activation.text, name)
    if definition is None:
        error = next((each for each in findings if each.severity == "error"), "it is no definition")
        raise Unable(f"{name} is in force from here on, but this worker cannot read it ({error}); expected a newer mqlstream")
    if (definition.id, definition.digest) != (activation.id, activation.digest):
        got, expected = f"{definition.id} {definition.digest[:12]}", f"{activation.id} {activation.digest[:12]}"
        raise Unable(f"{name} reads as {got} here, expected {expected}: it was pushed by another version of mqlstream")
    return definition


class InForce(NamedTuple):
    """How a worker tells which definitions its tasks score with. One for all tasks of a stage."""

    tasks: WeakSet[Definitions]
    told: set[tuple[str, str, str]]

    @classmethod
    def of(cls, files: Program) -> InForce:
        """Before any task has begun: those of the files."""
        return cls(WeakSet(), {(plan.id, str(plan.version), plan.digest) for plan in files.plans})

    def remaining(self) -> int:
        """Leads that are still to be rescored."""
        return sum(task.remaining for task in self.tasks)

    def tell(self) -> None:
        """Set `mqlstream_definition_info` to what the tasks have now."""
        wanted = {(plan.id, str(plan.version), plan.digest) for task in self.tasks for plan in task.program.plans}
        for labels in wanted - self.told:
            metrics.DEFINITION.labels(*labels).set(1)
            log.info("definition %s version %s in force", *labels[:2])
        for labels in self.told - wanted:
            metrics.DEFINITION.remove(*labels)
        self.told.clear()
        self.told.update(wanted)


class Definitions:
    """The program of one score task, as its log has it, and the leads that are not yet scored with it.

    ``renewed`` is told each lead whose record was brought up to the program, ``rescored`` each with each version that took it over.
    ``made`` is what that set off, until it is taken.
    """

    def __init__(
        self,
        programs: Programs,
        table: LeadTable,
        renewed: Callable[[str, bytes], None],
        rescored: Callable[[Lead, Program, Activated], None] = lambda *_: None,
    ) -> None:
        self.program = programs.files
        self.made: list[Output] = []
        self._programs = programs
        self._table = table
        self._renewed = renewed
        self._rescored = rescored
        self._kept: dict[int, Kept] = {}
        self._steps: dict[int, TakeOver] = {}
        self._todo: list[str] = []
        self._busy = False
        self._complained = False
        self._resumed = False

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a record of the changelog, if it is one of ours."""
        if key.startswith(LAYOUT_KEY):
            number = int(key.removeprefix(LAYOUT_KEY))
            if value is None:
                self._table.layouts.pop(number, None)
            else:
                self._table.layouts[number] = Layout(tuple(tuple(kind) for kind in orjson.loads(value)))
        elif key.startswith(ACTIVATION_KEY):
            number = int(key.removeprefix(ACTIVATION_KEY))
            if value is None:
                self._kept.pop(number, None)
            else:
                self._kept[number] = _decode_kept(value)

    def resume(self) -> None:
        """All is restored: put what the log has activated into force, and see which leads are behind. Raises `Unable`."""
        if self._resumed:
            return
        table, files = self._table, self.program
        for number in sorted(self._kept):
            self._step(number)
        newest = max(self._kept, default=0)
        table.program = self.program
        if self.program.has_timers and not files.has_timers:
            table.wake_all()
        self._begin(newest)
        self._resumed = True

    def settle(self) -> Changes:
        """Before the first event: the program's layout gets a number, which goes into the changelog when it is new."""
        self.resume()
        new = self._table.settle_layout(max(self._kept, default=0))
        return [] if new is None else [self._layout_record(new)]

    def activate(self, record: Record, before_ms: int | None) -> Changes:
        """Another version is in force from this record on. Raises `Unable`. All leads must be packed."""
        try:
            activation = wire.heard(record.key, record.value)
        except wire.WireError as error:
            raise Unable(f"offset {record.offset} activates a definition, but this worker cannot read it ({error})") from None
        assert isinstance(activation, Activation)
        self._programs.after(self.program, activation)  # or this worker is not able to
        number = max(self._table.layouts, default=0) + 1
        kept = self._kept[number] = Kept(activation, before_ms)
        self._step(number)
        self._table.switch(self.program)
        self._begin(number)
        what = "prepared" if activation.prepares else "activated"
        log.info("definition %s version %d %s, %d leads to rescore", activation.id, activation.version, what, self.remaining)
        return [self._layout_record(number), (ACTIVATION_KEY + b"%d" % number, _encode_kept(kept))]

    @property
    def rescoring(self) -> bool:
        """Whether some lead may still be behind."""
        return self._busy

    @property
    def remaining(self) -> int:
        """How many leads may be, at most."""
        return len(self._todo)

    def rescore(self, most: int = RESCORED_AT_ONCE) -> Changes:
        """Bring some leads up to the program; the changelog's records once all are."""
        shadows = any(not plan.live for plan in self.program.plans)
        while most and self._todo:
            lead_id = self._todo.pop()
            if self._table.renew(lead_id):
                most -= 1
                if shadows:
                    self._table.open(lead_id)  # so that it is looked at under them too
        return [] if self._todo else self._finish()

    def take_made(self) -> list[Output]:
        """What renewing leads has set off since the last call, in order."""
        made, self.made = self.made, []
        return made

    def _step(self, number: int) -> None:
        """The activation of this number, after all before it."""
        activation, before_ms = self._kept[number].activation, self._kept[number].before_ms
        old, self.program = self.program, self._programs.after(self.program, activation)
        changed = "" if activation.prepares else activation.id
        self._steps[number] = TakeOver(old, self.program, Change(changed, activation.time, activation.handoff, before_ms))

    def _begin(self, newest: int) -> None:
        self._table.renew_with(self._renew if newest else None, newest)
        self._todo = self._table.stale()
        self._todo.reverse()  # taken from the end
        self._busy = newest > 0
        self._complained = False

    def _finish(self) -> Changes:
        """All leads are up to the program: forget how they got there."""
        self._busy = False
        self._table.renew_with(None)
        self._steps.clear()
        current: dict[str, list[int]] = {}
        for number, kept in sorted(self._kept.items()):
            # A preparation leaves the version before it in force, and ends with the next.
            before = current.get(kept.activation.id, [])[:1] if kept.activation.prepares else []
            current[kept.activation.id] = [*before, number]
        newest = max(self._kept)
        gone = [number for number in self._kept if not any(number in numbers for numbers in current.values())]
        changes: Changes = [(ACTIVATION_KEY + b"%d" % number, None) for number in gone]
        for number in gone:
            del self._kept[number]
        for number in [number for number in self._table.layouts if number < newest]:
            del self._table.layouts[number]
            changes.append((LAYOUT_KEY + b"%d" % number, None))
        return changes

    def _renew(self, lead_id: str, record: bytes) -> bytes:
        """A lead's record after all activations that it has not been through."""
        try:
            packed, made = self._taken_over(lead_id, record)
        except Exception as error:  # a defect of ours: the lead goes on as it is, and its next event looks at it
            if not self._complained:
                log.error("a lead could not be rescored: %s; it is looked at with its next event", type(error).__name__)
            self._complained = True
            packed, made = self._laid_out(lead_id), []
        self.made += made
        self._renewed(lead_id, packed)
        return packed

    def _taken_over(self, lead_id: str, record: bytes) -> tuple[bytes, list[Output]]:
        table, state = self._table, unpack(record)
        begun, layout = state.layout, table.layouts[state.layout]
        made: list[Output] = []
        for number, step in sorted(self._steps.items()):
            if number > begun:
                lay_out(state.entries, layout, step.old.layout)
                lead, outputs = step.lead(lead_id, state)
                state, layout = lead.state, step.new.layout
                made += outputs
                if step.change.definition:
                    self._rescored(lead, step.new, Activated(*step.change[:3]))
        lead.state.layout = table.layout
        return table.pack(lead), made

    def _laid_out(self, lead_id: str) -> bytes:
        lead = self._table.peek(lead_id)
        assert lead is not None
        return self._table.pack(lead)

    def _layout_record(self, number: int) -> tuple[bytes, bytes]:
        return LAYOUT_KEY + b"%d" % number, orjson.dumps(self._table.layouts[number].paths)
