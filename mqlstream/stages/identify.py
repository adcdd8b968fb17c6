"""The IDENTIFY stage: visitor-events in, events of leads out, one table of visitors per task.

Whose an event is gets decided in `mqlstream.ingest.visitors`; this is the table with its changelog, and the glue to the engine.

The changelog has a record for each visitor with a link, under the visitor's id, and one for each event that waits, under the
visitor's id, a byte that no id holds, and a number. So an event that comes to wait writes itself and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

import msgspec
import orjson

from mqlstream import metrics
from mqlstream.core.event import DAY_MS, Event
from mqlstream.core.outcome import Outcome, Reason, ignored, rejected
from mqlstream.engine.interfaces import Effects, Headers, Output, Record
from mqlstream.engine.surroundings import Surroundings
from mqlstream.ingest.identity import visitors_of
from mqlstream.ingest.visitors import DEFAULT_LIMITS, LINKED_DAYS, Known, Limits, Target, Visitor, Waiting, links_of
from mqlstream.stages.dead_letter import dead_letter
from mqlstream.topics import Topics
from mqlstream.wire import FORGET_KEY, Forget, Link, WireError, decode_visit, encode, encode_told, key_of, partition_of

NAME = "identify"
VIA = "mqlstream.via"  # header: the visitors that passed an event on
_SEPARATOR = b"\xff"  # never part of UTF-8
_EXPIRED_AT_ONCE = 500  # visitors, for the worker has other tasks too
_pack = msgspec.msgpack.Encoder().encode
_known: Callable[[bytes], Known] = msgspec.msgpack.Decoder(Known).decode
_waiting: Callable[[bytes], Waiting] = msgspec.msgpack.Decoder(Waiting).decode


def told_of_visitors(event: Event, topics: Topics, partitions: int, timestamp: int | None) -> list[Output]:
    """What ingest writes to visitor-events because of an event: itself when it names no lead, and what it tells of visitors."""
    outputs = []
    if not event.lead:
        named, _ = visitors_of(event.body)
        assert named is not None
        key = named.encode()
        outputs.append(Output(topics.visitor_events, key, encode(event), (), partition_of(key, partitions), timestamp))
    for visitor, link in links_of(event):
        key = visitor.encode()
        outputs.append(Output(topics.visitor_events, key, encode_told(link), (), partition_of(key, partitions), timestamp))
    if event.kind == "command" and event.body["do"] == "erase":
        outputs += forgotten(event, topics, partitions, timestamp)
    return outputs


def forgotten(erase: Event, topics: Topics, partitions: int, timestamp: int | None) -> list[Output]:
    """What tells all tasks that no visitor is the erased lead any more."""
    value = encode_told(Forget(erase.time, erase.lead))
    return [Output(topics.visitor_events, FORGET_KEY, value, (), partition, timestamp) for partition in range(partitions)]


class IdentifyStage:
    """``partitions`` is the number of partitions of every internal topic."""

    name = NAME
    phase = 0.3  # of a commit interval; see `mqlstream.engine.pace`

    def __init__(self, topics: Topics, partitions: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self.topics = topics
        self.partitions = partitions
        self.limits = limits
        self.inputs: Sequence[str] = (topics.visitor_events,)
        self.changelog = topics.identity
        self.digest = f"{limits.waiting_events}/{limits.waiting_days}"

    def processor(self, task: int) -> IdentifyProcessor:
        return IdentifyProcessor(self)


@dataclass(slots=True)
class _Note:
    """What to count once the batch is committed: (kind, outcome) of events that end here, and those that came to wait and went."""

    ended: Counter[tuple[str, Outcome]] = field(default_factory=Counter)
    came: int = 0
    went: int = 0


class IdentifyProcessor:
    """One task of the stage: the visitors of one partition."""

    def __init__(self, stage: IdentifyStage) -> None:
        self._stage = stage
        self._visitors: dict[str, Visitor] = {}
        self._touched: dict[str, Visitor] = {}  # in the batch
        self._number = 0  # of the newest event that came to wait
        self._surroundings: Surroundings | None = None
        self._looks: list[tuple[int, str]] = []  # heap: the day on which to look whether a visitor has expired

    def restore(self, key: bytes, value: bytes | None) -> None:
        visitor_id, waits, number = key.partition(_SEPARATOR)
        visitor = self._visitors.setdefault(visitor_id.decode(), Visitor())
        if not waits:
            visitor.known = None if value is None else _known(value)
        elif value is None:
            visitor.waiting = [event for event in visitor.waiting if event.number != int.from_bytes(number)]
        else:
            visitor.keep(_waiting(value))
            self._number = max(self._number, int.from_bytes(number))
        if visitor.empty:
            del self._visitors[visitor_id.decode()]

    def attend(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._looks = [(self._last_day(visitor), visitor_id) for visitor_id, visitor in self._visitors.items()]
        heapify(self._looks)

    def due_ms(self) -> int | None:
        return self._looks[0][0] * DAY_MS if self._looks else None

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        effects = Effects(note=_Note())
        day = self._surroundings.wall_ms() // DAY_MS if self._surroundings is not None else 0
        for record in records:
            try:
                self._take(record, decode_visit(record.value or b""), day, effects)
            except (WireError, UnicodeDecodeError) as error:
                topic = self._stage.topics.dead_letters
                effects.outputs.append(dead_letter(topic, NAME, record, Reason.BAD_RECORD, str(error)))
                effects.note.ended["unknown", rejected(Reason.BAD_RECORD)] += 1
        if wall_ms is not None:
            self._expire(wall_ms // DAY_MS, effects)
        for visitor_id, visitor in self._touched.items():
            if visitor.dirty:
                effects.changelog.append((visitor_id.encode(), None if visitor.known is None else _pack(visitor.known)))
                visitor.dirty = False
            if visitor.empty:
                del self._visitors[visitor_id]
        self._touched.clear()
        return effects

    def committed(self, effects: Effects) -> None:
        """Count what ended here, now that it is in the log."""
        note: _Note = effects.note
        metrics.WAITING_EVENTS.labels("came").inc(note.came)
        metrics.WAITING_EVENTS.labels("went").inc(note.went)
        for (kind, outcome), count in note.ended.items():
            metrics.EVENTS.labels(kind=kind, outcome=outcome.name, reason=outcome.reason.value).inc(count)
            if outcome.name == "rejected":
                metrics.DEAD_LETTERS.labels(reason=outcome.reason.value).inc(count)

    def _take(self, record: Record, told: Event | Link | Forget, day: int, effects: Effects) -> None:
        if isinstance(told, Forget):
            self._forget(told)
            return
        visitor_id = (record.key or b"").decode()
        if not visitor_id or visitor_id[0] == "\0":
            raise WireError(f"got the key {record.key!r}, expected a visitor's id")
        visitor = self._open(visitor_id, day)
        if isinstance(told, Event):
            via = _via(record.headers)
            goes = visitor.follow(told.time, via)
            if goes is None:
                self._number += 1
                waiting = Waiting(told.time, told.source, told.id, self._number, day, via, record.value or b"")
                self._wait(visitor_id, visitor, waiting, told.kind, effects)
            else:
                self._send(visitor_id, goes, told, via, record, effects)
        elif visitor.link(told, self._stage.limits):
            self._release(visitor_id, visitor, record, effects)
        visitor.see(day)

    def _wait(self, visitor_id: str, visitor: Visitor, event: Waiting, kind: str, effects: Effects) -> None:
        if visitor.has(event):
            effects.note.ended[kind, ignored(Reason.DUPLICATE)] += 1
            return
        effects.changelog.append((_place(visitor_id, event), _pack(event)))
        effects.note.came += 1
        for gone in visitor.wait(event, self._stage.limits):
            self._end(visitor_id, gone, Reason.VISITOR_FULL, effects)

    def _release(self, visitor_id: str, visitor: Visitor, record: Record, effects: Effects) -> None:
        """Let those go that need not wait any longer, with the timestamp of the link: they have not been on their way before."""
        still = []
        for waiting in visitor.waiting:
            goes = visitor.follow(waiting.time, waiting.via)
            if goes is None:
                still.append(waiting)
            elif isinstance(goes, Reason):
                self._end(visitor_id, waiting, goes, effects)
            else:
                event = decode_visit(waiting.value)
                assert isinstance(event, Event)
                effects.changelog.append((_place(visitor_id, waiting), None))
                effects.note.went += 1
                self._send(visitor_id, goes, event, waiting.via, record, effects)
        visitor.waiting = still

    def _send(self, visitor_id: str, goes: Target | Reason, event: Event, via: tuple[str, ...], record: Record, effects: Effects) -> None:
        topics = self._stage.topics
        if isinstance(goes, Reason):
            effects.note.ended[event.kind, ignored(goes)] += 1
            return
        headers: Headers = ()
        if goes.lead:
            topic, key = topics.lead_events, key_of(goes.lead)
            event = msgspec.structs.replace(event, lead=goes.lead)
        else:
            topic, key = topics.visitor_events, goes.visitor.encode()
            headers = ((VIA, orjson.dumps([*via, visitor_id])),)
        partition = partition_of(key, self._stage.partitions)
        effects.outputs.append(Output(topic, key, encode(event), headers, partition, record.timestamp))

    def _end(self, visitor_id: str, waiting: Waiting, reason: Reason, effects: Effects) -> None:
        """An event that waited goes nowhere."""
        event = decode_visit(waiting.value)
        assert isinstance(event, Event)
        effects.changelog.append((_place(visitor_id, waiting), None))
        effects.note.went += 1
        effects.note.ended[event.kind, ignored(reason)] += 1

    def _forget(self, told: Forget) -> None:
        for visitor_id, visitor in self._visitors.items():
            if visitor.known is not None and visitor.forget(told.lead, told.time):
                self._touched[visitor_id] = visitor

    def _open(self, visitor_id: str, day: int) -> Visitor:
        visitor = self._visitors.get(visitor_id)
        if visitor is None:
            visitor = self._visitors[visitor_id] = Visitor()
            if self._surroundings is not None:
                heappush(self._looks, (day + self._stage.limits.waiting_days, visitor_id))
        self._touched[visitor_id] = visitor
        return visitor

    def _last_day(self, visitor: Visitor) -> int:
        """The day on which a visitor has been kept for as long as any, its events that wait for as long as these."""
        days = [event.since_day + self._stage.limits.waiting_days for event in visitor.waiting]
        if visitor.known is not None:
            days.append(visitor.known.seen_day + LINKED_DAYS)
        return min(days)

    def _expire(self, today: int, effects: Effects) -> None:
        for _ in range(_EXPIRED_AT_ONCE):
            if not self._looks or self._looks[0][0] > today:
                return
            _, visitor_id = heappop(self._looks)
            visitor = self._visitors.get(visitor_id)
            if visitor is None:
                continue
            since = today - self._stage.limits.waiting_days
            for event in [event for event in visitor.waiting if event.since_day <= since]:
                self._end(visitor_id, event, Reason.NEVER_LINKED, effects)
            visitor.waiting = [event for event in visitor.waiting if event.since_day > since]
            if visitor.known is not None and visitor.known.seen_day + LINKED_DAYS <= today:
                visitor.known, visitor.dirty = None, True
            self._touched[visitor_id] = visitor
            if not visitor.empty:
                heappush(self._looks, (self._last_day(visitor), visitor_id))


def _place(visitor_id: str, event: Waiting) -> bytes:
    return visitor_id.encode() + _SEPARATOR + event.number.to_bytes(8)


def _via(headers: Headers) -> tuple[str, ...]:
    return next((tuple(orjson.loads(value)) for name, value in headers if name == VIA), ())
