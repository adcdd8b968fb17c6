"""The packed form of a lead's state: what the table holds and the changelog carries. Small, and cheap to add an event to.

A record is one MessagePack array (`FORMAT` first). Texts stand once, in a list of the lead's own after the well-known
ones, and are referred to by number; times are differences; ids that are UUIDs take 16 bytes. The entries of the ledger
form a stream of their own that grows at its end, so that a lead's next event costs the same however long its ledger is.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import msgspec

from mqlstream.core.state import NEVER, Answer, Commands, Entry, Fact, LeadState, Track

if TYPE_CHECKING:
    from mqlstream.core.plan import Layout

FORMAT = 2
_OLDEST = 1  # of which only the source and id of sales' answers are known
# Numbered for ever: new texts go to the end, none ever moves.
WELL_KNOWN = (
    *("default", "mql.web-visits.v1", "mql.form-fills.v1", "mql.email-clicks.v1", "mql.webinar-attendance.v1", "mql.activities.v1"),
    *("mql.profiles.v1", "mql.feedback.v1", "mql.commands.v1", "@email", "title", "department", "company", "company_size"),
    *("industry", "revenue", "country", "customer", "consent", "first_name", "last_name", "name", "phone", "job_title"),
    *("seniority", "city", "state", "account", "open", "click", "delivered", "reply", "unsubscribe", "bounce", "complaint"),
    *("attended", "registered", "left", "no_show", "watched_on_demand", "lead", "mql", "sal", "sql", "opportunity"),
    *("recycled", "disqualified", "erased", "/", "/pricing", "demo", "newsletter", "contact", "content_download"),
    *("cta_click", "social_interaction", "subscription", "event_attended", "ad_click", "chat", "call", "product_use"),
)
_NUMBER = {text: number for number, text in enumerate(WELL_KNOWN)}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_ALL_REVIEWED = 0x99  # MessagePack: an array of 9; there is a tenth part for a lead that has unreviewed moments
_MET_NOTHING = {"lead.stage": "lead", "lead.cycle": 0}
_LIST_OF_32_BITS = b"\xdd"  # MessagePack: an array whose length follows in 4 bytes


class PackingError(ValueError):
    """Bytes that are no packed state."""


class Packer:
    """Packs one lead's state again and again; remembers what it need not do again."""

    __slots__ = ("_count", "_last_seq", "_last_time", "_numbers", "_rest", "_rest_of", "_rest_sources", "_rest_texts", "_stream", "_texts")

    _rest_of: Any
    _rest_sources: int
    _rest_texts: int

    def __init__(self) -> None:
        self._restart()

    def forget(self) -> None:
        """Entries have changed other than by one more at the end."""
        self._count = -1

    def pack(self, state: LeadState) -> bytes:
        """The record of a state."""
        entries = state.entries
        if self._count < 0 or self._count > len(entries):
            self._restart()
        if self._count < len(entries):
            for entry in entries[self._count :]:
                self._append(entry)
            self._count = len(entries)
        # All but the entries changes seldom. Whether it has is told by a quick packing of its own, not by whoever changed it.
        # Texts and sources only grow, until it all is made again; the first event is what its times are counted from.
        told: Any = state.first_seen  # of most leads there is nothing else
        if state.facts or state.tracks or state.newest or state.heard or state.commands is not None:
            told = _encode((told, state.facts, state.tracks, state.newest, state.heard, state.commands))
        if told != self._rest_of or len(state.sources) != self._rest_sources or len(self._texts) != self._rest_texts:
            self._rest = self._pack_rest(state)
            self._rest_of, self._rest_sources, self._rest_texts = told, len(state.sources), len(self._texts)
        base = state.first_seen
        due = _before(state.due, base)
        record = (FORMAT, state.layout, base, state.as_of - base, state.seq, due, self._count, self._stream, self._rest)
        return _encode(record if state.unreviewed == NEVER else (*record, state.unreviewed - base))

    def _restart(self) -> None:
        self._count = 0
        self._stream = bytearray()
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._last_time = self._last_seq = 0
        self._rest = b""
        self._rest_of = None
        self._rest_sources = -1
        self._rest_texts = -1

    def _append(self, entry: Entry) -> None:
        numbers = self._numbers
        code = entry.source << 5 | entry.flags << 3 | entry.kind
        row: list[Any] = [entry.time - self._last_time, code, _short(entry.id)]
        if entry.seq != self._last_seq + 1:  # it did not arrive right after the one before: a negative code, and how far off
            row[1] = -1 - code
            row.insert(2, entry.seq - self._last_seq)
        for value in entry.values:
            if type(value) is str:
                number = numbers.get(value)
                row.append(self._number(value) if number is None else number)
            else:
                row.append(_wrapped(value))
        self._stream += _encode(row)
        self._last_time = entry.time
        self._last_seq = entry.seq

    def _pack_rest(self, state: LeadState) -> bytes:
        number, base = self._number, state.first_seen
        facts = [
            [*_origin(fact, state.entries, base), {number(name): self._value(value) for name, value in fact.values.items()}]
            for fact in state.facts
        ]
        tracks = [[number(definition), *self._track(track, base)] for definition, track in state.tracks.items()]
        newest = [[number(key), time - base] for key, time in state.newest.items()]
        rest = (self._texts, [number(source) for source in state.sources], facts, tracks, newest, state.heard)
        return _encode(rest if state.commands is None else (*rest, state.commands))

    def _value(self, value: Any) -> Any:
        return self._number(value) if type(value) is str else _wrapped(value)

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = _NUMBER.get(text)
            if number is None:
                number = len(WELL_KNOWN) + len(self._texts)
                self._texts.append(text)
            self._numbers[text] = number
        return number

    def _track(self, track: Track, base: int) -> list[Any]:
        times = [_before(time, base) for time in (track.entered, track.opened, track.qualified_at, track.first_mql_at)]
        packed: list[Any] = [self._number(track.stage), track.cycle, track.since, *times]
        flags = track.breached | track.peaked << 1 | track.by_sales << 2
        if flags or track.cooldown_until != NEVER or track.respond_by != NEVER or track.marks or track.ground or track.quiet:
            packed += [flags, _before(track.cooldown_until, base), _before(track.respond_by, base), track.marks, track.ground]
            if track.quiet:
                packed.append(track.quiet)
        return packed


def _before(time: int, base: int) -> int | None:
    return None if time == NEVER else time - base


def _since(packed: int | None, base: int) -> int:
    return NEVER if packed is None else packed + base


def _origin(fact: Fact, entries: list[Entry], base: int) -> tuple[Any, ...]:
    """Which event told a fact: the place of its entry in the ledger, or time, source and id where it has none there."""
    place = bisect_left(entries, fact.time, key=_time)
    while place < len(entries) and entries[place].time == fact.time:
        if entries[place].id == fact.id and entries[place].source == fact.source:
            return (place,)
        place += 1
    return fact.time - base, fact.source, _short(fact.id)


def _time(entry: Entry) -> int:
    return entry.time


def _wrapped(value: Any) -> Any:
    """A value that is no text, to be told from a text's number."""
    return value if value is None or value is True or value is False else (value,)


def unpack(record: bytes) -> LeadState:
    """Read a packed record back; raises `PackingError` when it is none, or of a format this version does not know."""
    try:
        form, layout, base, as_of, seq, due, count, stream, rest, *unreviewed = _decode(record)
        texts, sources, facts, tracks, newest, heard, *commands = _decode(rest)
        if form not in range(_OLDEST, FORMAT + 1):
            raise PackingError(f"lead state: got format {form}, expected {_OLDEST} to {FORMAT}; was it written by a newer version?")
        text = [*WELL_KNOWN, *texts]
        entries = _entries(count, stream, text)
        return LeadState(
            layout=layout,
            as_of=as_of + base,
            first_seen=base,
            seq=seq,
            sources=[text[number] for number in sources],
            entries=entries,
            facts=[_fact(origin, values, entries, base, text) for *origin, values in facts],
            tracks={text[definition]: _unpacked_track(rest, text, base) for definition, *rest in tracks},
            newest={text[key]: time + base for key, time in newest},
            due=_since(due, base),
            heard=_heard(form, heard) if heard else [],
            commands=msgspec.convert(commands[0], Commands) if commands else None,
            unreviewed=unreviewed[0] + base if unreviewed else NEVER,
        )
    except (msgspec.MsgspecError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise error if isinstance(error, PackingError) else PackingError(f"lead state: {error}") from None


def _heard(form: int, packed: list[Any]) -> list[Answer]:
    if form == _OLDEST:
        return [Answer(0, source, event_id, "", "", None, None) for source, _, event_id in (key.partition("\x1f") for key in packed)]
    return msgspec.convert(packed, list[Answer])


def lay_out(entries: list[Entry], old: Layout, new: Layout) -> None:
    """Rewrite the entries' values for another layout; fields that were not kept before are missing.

    What an event met under a definition that came later is the beginning of every life: stage `lead`, cycle 0.
    """
    places = [
        [(before.index(path), None) if path in before else (None, _MET_NOTHING.get(path.partition("@")[0])) for path in after]
        for before, after in zip(old.paths, new.paths, strict=True)
    ]
    for entry in entries:
        entry.values = tuple([missing if place is None else entry.values[place] for place, missing in places[entry.kind]])


def layout_of(record: bytes) -> int:
    """The number of a packed lead's layout: the third thing in its record, nearly always a byte of its own."""
    return record[2] if record[2] < 0x80 else int(_decode(record)[1])


def due_of(record: bytes) -> int:
    """When the timer of a packed lead fires next, `NEVER` when none is set."""
    _, _, base, _, _, due, *_ = _decode(record)
    return _since(due, base)


def unreviewed_of(record: bytes) -> int:
    """The earliest moment at which a packed lead was not looked at, `NEVER` when there is none: told by the record's first byte."""
    if record[0] == _ALL_REVIEWED:
        return NEVER
    _, _, base, *_, unreviewed = _decode(record)
    return int(unreviewed + base)


def _entries(count: int, stream: bytes, text: list[str]) -> list[Entry]:
    """The stream as entries: it needs only a length before it to be one MessagePack array."""
    entries: list[Entry] = []
    time = seq = 0
    for delta, code, *row in _decode(_LIST_OF_32_BITS + count.to_bytes(4, "big") + stream):
        time += delta
        if code < 0:
            code = -1 - code
            seq += row.pop(0)
        else:
            seq += 1
        values = tuple([_unwrapped(value, text) for value in row[1:]])
        entries.append(Entry(time, code >> 5, _long(row[0]), code & 7, seq, code >> 3 & 3, values))
    return entries


def _fact(origin: list[Any], values: dict[int, Any], entries: list[Entry], base: int, text: list[str]) -> Fact:
    said = {text[name]: _unwrapped(value, text) for name, value in values.items()}
    if len(origin) == 1:
        entry = entries[origin[0]]
        return Fact(entry.time, entry.source, entry.id, said)
    time, source, event_id = origin
    return Fact(time + base, source, _long(event_id), said)


def _unwrapped(value: Any, text: list[str]) -> Any:
    if type(value) is int:
        return text[value]
    return value[0] if type(value) is list else value


def _unpacked_track(rest: list[Any], text: list[str], base: int) -> Track:
    stage, cycle, since, entered, opened, qualified_at, first_mql_at, *more = rest
    track = Track(text[stage], cycle, _since(entered, base), since)
    track.opened, track.qualified_at, track.first_mql_at = _since(opened, base), _since(qualified_at, base), _since(first_mql_at, base)
    if more:
        flags, cooldown_until, respond_by, marks, *numbers = more
        track.ground, track.quiet = (*numbers, 0, 0)[:2]
        track.breached, track.peaked, track.by_sales = bool(flags & 1), bool(flags & 2), bool(flags & 4)
        track.cooldown_until, track.respond_by = _since(cooldown_until, base), _since(respond_by, base)
        track.marks = {dimension: tuple(mark) for dimension, mark in marks.items()}
    return track


def _short(event_id: str) -> str | bytes:
    """An id as it is packed: a UUID in its usual spelling as 16 bytes."""
    if len(event_id) == 36 and event_id[8] == event_id[13] == event_id[18] == event_id[23] == "-":
        try:
            packed = bytes.fromhex(event_id[:8] + event_id[9:13] + event_id[14:18] + event_id[19:23] + event_id[24:])
        except ValueError:
            return event_id
        return packed if _long(packed) == event_id else event_id  # upper case stays as it came
    return event_id


def _long(packed: str | bytes) -> str:
    if isinstance(packed, str):
        return packed
    digits = packed.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
