"""Scoring without a broker: events in order through the same `step` as production. Used by `score`, tests and backtests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from sys import intern
from typing import Any

import msgspec
import orjson

from mqlstream.core.account_table import AccountTable
from mqlstream.core.event import Event
from mqlstream.core.lead import Lead
from mqlstream.core.outcome import Outcome, Reason, ignored
from mqlstream.core.outputs import Output
from mqlstream.core.packing import unpack
from mqlstream.core.plan import HandoffShape, Program
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.core.takeover import Change, TakeOver
from mqlstream.core.timeline import life, standing
from mqlstream.core.timers import fire
from mqlstream.core.told import Activated, Telling
from mqlstream.definition import parse_text
from mqlstream.definition.compile import compile_program
from mqlstream.definition.model import Definition
from mqlstream.errors import UsageError
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.linking import Visitors
from mqlstream.ingest.machines import Rules, Watched, look
from mqlstream.ingest.results import DEFAULT_OPTIONS, Anonymous, IngestOptions
from mqlstream.ingest.unvisited import Waiting, due_ms, look_for_visits, visits_of
from mqlstream.program import prepared, superseded

_BATCH = 10_000  # events between two packings of the table
_OPEN_LEADS = 20_000  # a backtest has two tables, beside whatever else runs on a desk's machine

_content = msgspec.json.Encoder(order="deterministic").encode


class Replay:
    """A table of leads to which events are applied one after the other.

    ``machines``: what gives a mail scanner's clicks away; None: nothing does. ``bounded``: know of no more events than production
    does, whose ledger forgets: a conflicting duplicate of what the flood, the horizon or the ledger let go then counts as another event.
    ``latest`` is the time of the newest accepted event, in epoch milliseconds; -1 before the first.
    """

    def __init__(self, program: Program, machines: Rules | None = None, *, bounded: bool = False) -> None:
        self.program = program
        self._firsts: defaultdict[str, dict[tuple[str, str], bytes]] | None = None if bounded else defaultdict(dict)  # by lead
        self._machines = machines
        self._watched: dict[str, Watched] = {}
        self._waiting = Waiting()  # clicks, for visits
        self.outcomes: Counter[tuple[str, str]] = Counter()  # (kind, outcome)
        self.latest = -1
        self._table = LeadTable(program, _OPEN_LEADS)
        self._table.settle_layout()
        self._telling = Telling.of(program)
        self._accounts = AccountTable()
        self._applied = 0
        self._ids: dict[str, None] = {}

    def apply(self, event: Event) -> list[Output]:
        """Apply one event; returns what it set off, in order, after what timers did before it."""
        repeats = self._repeats(event)
        if repeats is False:
            self.count(event.kind, ignored(Reason.CONFLICTING_DUPLICATE))
            return []
        outputs = self.advance(event.time) if repeats is None else []  # time passes with events that are new
        verdicts: Sequence[Event] = ()
        if self._machines is not None and event.kind == "email_click":
            watched = self._watched.setdefault(event.lead, Watched())
            event, verdicts = look(watched, event, self._machines)
            if self._machines.wait_for_visits:
                self._waiting.note(event.lead, due_ms(watched, self._machines))
        lead = self._table.open(event.lead)
        self._ids[event.lead] = None
        due = lead.state.due
        telling = self._telling
        if telling is not None:
            telling.before(lead, event.time)
        result = step(self.program, lead, event)
        if lead.state.due != due:
            self._table.schedule(lead)
        if self._firsts is not None and not lead.state.seq:
            self._firsts.pop(event.lead, None)  # erased
        self.count(event.kind, result.outcome)
        self.latest = max(self.latest, lead.state.as_of)
        self._applied += 1
        if self._applied % _BATCH == 0:
            self._table.packed_changes()
            self._accounts.packed_changes()
        outputs += result.outputs
        if telling is not None:
            telling.after(lead, result.outcome)
            outputs += self._accounts.take(telling.take(self._table.peek))
        for forward in (*result.forwards, *verdicts):
            outputs += self.apply(forward)
        return outputs

    def _repeats(self, event: Event) -> bool | None:
        """Whether the lead had an event of this source and id before: None if not, else whether it is that one.

        Digests are kept: events are many, and large.
        """
        if self._firsts is None or event.via:
            return None
        digest = blake2b(_content(event), digest_size=8).digest()
        firsts, key = self._firsts[event.lead], (intern(event.source), event.id)
        first = firsts.setdefault(key, digest)
        return None if first is digest else first == digest

    def advance(self, clock_ms: int) -> list[Output]:
        """Let the timers fire that are due by then, and look for the visits that were due; returns what that did, in order."""
        outputs = self._look_for_visits(clock_ms)
        while lead := self._table.pop_due(clock_ms):
            outputs += fire(self.program, lead)
            self._table.schedule(lead)
        return outputs + self._accounts.advance(clock_ms)

    def _look_for_visits(self, until_ms: int) -> list[Output]:
        outputs: list[Output] = []
        while (lead_id := self._waiting.pop(until_ms)) is not None:
            assert self._machines is not None
            watched = self._watched[lead_id]
            for command in look_for_visits(watched, lead_id, until_ms, visits_of(self._table.peek(lead_id)), self._machines):
                outputs += self.apply(command)
            self._waiting.note(lead_id, due_ms(watched, self._machines))
        return outputs

    def switch(self, definition: Definition, at_ms: int, handoff: str = "none") -> list[Output]:
        """Another version of a definition takes over at this place, as when it is pushed at that time (epoch milliseconds) in production.

        ``handoff`` says who is handed off by that alone: one of `mqlstream.core.takeover.HANDOFF`. Returns what it set off.
        """
        renewed: list[Lead] = []
        outputs = take_over(self._table, definition, Change(definition.id, at_ms, handoff), renewed.append)
        self.program = self._table.program
        self._telling = Telling.of(self.program)
        if self._telling is not None:
            for lead in renewed:
                self._telling.rescored(lead, Activated(definition.id, at_ms, handoff), self._telling)
            outputs += self._accounts.take(self._telling.take(self._table.peek))
        return outputs

    def standing(self, lead_id: str, as_of: int) -> list[dict[str, Any]]:
        """The lead's score and stage under each definition, as `leads` tells it; none when the lead was never heard of."""
        lead = self._table.peek(lead_id)
        return [] if lead is None else list(lead_objects(self.program, lead, max(as_of, lead.state.as_of)))

    def count(self, kind: str, outcome: Outcome) -> None:
        self.outcomes[kind, str(outcome)] += 1

    def leads(self, as_of: int | None = None, only: str | None = None) -> Iterator[dict[str, Any]]:
        """One object per lead and definition, by lead id: the score at ``as_of`` (default: `latest`) and the stage.

        Timers due by then must have fired: see `advance`.
        """
        at = self.latest if as_of is None else as_of
        for lead_id in sorted(self._ids) if only is None else [only]:
            lead = self._table.peek(lead_id)
            if lead is None and lead_id in self._ids:
                lead = self._table.open(lead_id)
            if lead is not None and lead.state.seq:
                yield from lead_objects(self.program, lead, max(at, lead.state.as_of), whole=only is not None)


def take_over(
    table: LeadTable, definition: Definition, change: Change, renewed: Callable[[Lead], None] = lambda lead: None
) -> list[Output]:
    """Bring all leads of a table to another version of a definition, at once; returns what that set off, in order for each lead.

    A ``change`` of no definition only prepares this one: ledgers keep what it reads. ``renewed`` is told each lead.
    """
    program, outputs = (superseded if change.definition else prepared)(table.program, definition), list[Output]()
    step = TakeOver(table.program, program, change)

    def renew(lead_id: str, record: bytes) -> bytes:
        lead, made = step.lead(lead_id, unpack(record))
        lead.state.layout = table.layout
        outputs.extend(made)
        renewed(lead)
        return table.pack(lead)

    table.packed_changes()
    table.renew_with(renew, table.switch(program))
    for lead_id in table.stale():
        table.renew(lead_id)
    table.renew_with(None)
    return outputs


def lead_objects(program: Program, lead: Lead, as_of: int, *, whole: bool = False) -> Iterator[dict[str, Any]]:
    """What `score --leads` prints of one lead, one object per definition; with ``whole``, its whole life (`core.timeline`)."""
    tell = life if whole else standing
    for plan in program.plans:
        yield tell(plan, lead, as_of)


def order_key(event: Event, raw: bytes | dict[str, Any]) -> tuple[int, str, str, bytes]:
    """The order in which offline events count: time, source, id, canonical JSON."""
    parsed = orjson.loads(raw) if isinstance(raw, bytes) else raw
    return (event.time, event.source, event.id, orjson.dumps(parsed, option=orjson.OPT_SORT_KEYS))


def compile_texts(texts: Sequence[str], shape: HandoffShape | None = None) -> Program:
    """The program of definitions given as texts; raises `UsageError` with all findings."""
    definitions: list[Definition] = []
    for number, text in enumerate(texts):
        definition, findings = parse_text(text, f"definition-{number + 1}.yaml")
        if definition is None:
            raise UsageError("\n".join(str(finding) for finding in findings))
        definitions.append(definition)
    return compile_program(definitions, shape)


def _replayed(
    texts: Sequence[str], events: Iterable[dict[str, Any]], until: int | None, options: IngestOptions
) -> tuple[Replay, list[Output]]:
    replay = Replay(compile_texts(texts))
    accepted: list[tuple[tuple[int, str, str, bytes], Event]] = []
    for raw in events:
        result = canonical(dict(raw), options=options)
        if isinstance(result, Event | Anonymous):
            event = result if isinstance(result, Event) else result.event
            accepted.append((order_key(event, raw), event))
    accepted.sort(key=lambda pair: pair[0])
    outputs: list[Output] = []
    visitors = Visitors(replay.count)
    for _, event in accepted:
        if until is None or event.time <= until:
            for known in visitors.take(event):
                outputs += replay.apply(known)
    outputs += replay.advance(replay.latest if until is None else until)
    return replay, outputs


def score_leads(
    definition_texts: Sequence[str], events: Iterable[dict[str, Any]], as_of: int | None = None, options: IngestOptions = DEFAULT_OPTIONS
) -> list[dict[str, Any]]:
    """What ``mqlstream score --leads`` prints for canonical input events, whatever their order."""
    replay, _ = _replayed(definition_texts, events, as_of, options)
    return list(replay.leads(as_of))


def score_events(
    definition_texts: Sequence[str], events: Iterable[dict[str, Any]], options: IngestOptions = DEFAULT_OPTIONS
) -> list[Output]:
    """What ``mqlstream score`` prints for canonical input events, whatever their order."""
    return _replayed(definition_texts, events, None, options)[1]


__all__ = ["Replay", "compile_texts", "lead_objects", "order_key", "score_events", "score_leads", "take_over"]
