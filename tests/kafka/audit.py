"""Whether what an installation wrote is what its input calls for: nothing missing, nothing twice, nothing else.

Two steps, each exact. Every input record is one record of lead-events, one dead letter, or rightly nothing. And the leads'
states and the handoffs are what the events of lead-events lead to, each read once, in the order in which they stand there;
with what ingest tasks that catch up say in between, every lead is reviewed as soon as that allows.
What must hold whatever that order is in `tests.kafka.history`.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mqlstream import offline, wire
from mqlstream.core.completing import COMPLETE
from mqlstream.core.deferral import catch_up
from mqlstream.core.event import Event
from mqlstream.core.packing import unpack
from mqlstream.core.plan import Program
from mqlstream.core.state import NEVER, LeadState
from mqlstream.core.step import step
from mqlstream.core.table import LeadTable
from mqlstream.core.takeover import Change
from mqlstream.definition import parse_text
from mqlstream.handoff.contract import BECAME_MQL, parse
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import Rejected
from mqlstream.stages.score import LAYOUT_KEY
from mqlstream.stages.watermark import Watermark
from tests.kafka.installation import PARTITIONS, SHAPE, Installation, Stored, eventually
from tests.kafka.traffic import Json

TOLERANCE = 1e-6
_ENGINE_KEY = b"\x00"  # first byte of the changelog's records that are no leads

_END = 2**62  # after any event

Item = Event | wire.Frontier | wire.Activation
Place = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True, slots=True)
class Written:
    """What an installation wrote: the partitions of lead-events; the last state of each lead; handoffs by id."""

    log: list[list[Item]]
    states: Mapping[str, LeadState]
    handoffs: Mapping[str, Json]

    def mqls(self, definition: str) -> dict[str, Json]:
        """The `became_mql` of each lead under a definition that hands off once."""
        found: dict[str, Json] = {}
        for event in self.handoffs.values():
            if event["type"] == BECAME_MQL and event["data"]["definition"]["id"] == definition:
                assert event["lead_id"] not in found, f"{event['lead_id']} was handed off twice"
                found[event["lead_id"]] = event
        return found


def program_of(paths: Sequence[Path]) -> Program:
    """The definitions, compiled as workers do."""
    return offline.compile_texts(texts(paths), SHAPE)


def texts(paths: Sequence[Path]) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in paths]


def written(installation: Installation) -> Written:
    """Read everything back, read-committed. No handoff may be there twice."""
    topics = installation.topics
    log: list[list[Item]] = [[] for _ in range(PARTITIONS)]
    for record in installation.read(topics.lead_events):
        log[record.partition].append(wire.heard(record.key, record.value) or wire.decode(record.value or b""))
    handoffs: dict[str, Json] = {}
    for record in installation.read(topics.handoff):
        event = parse(record.value, record.headers).as_json()
        assert event["id"] not in handoffs, f"{event['type']} {event['id']} is in the topic twice"
        assert record.key == event["lead_id"].encode()
        handoffs[event["id"]] = event
    return Written(log, states(installation), handoffs)


async def until_reviewed(installation: Installation) -> None:
    """Wait until no lead waits any more for older events, once everything is scored."""
    await eventually(lambda: all(state.unreviewed == NEVER for state in states(installation).values()), "some leads are not reviewed")


def states(installation: Installation) -> dict[str, LeadState]:
    """The last state of each lead in the changelog."""
    last: dict[str, bytes] = {}
    layouts: dict[bytes, bytes | None] = {}
    for record in installation.read(installation.topics.lead_state):
        assert record.key is not None
        if record.key.startswith(LAYOUT_KEY):
            layouts[record.key] = record.value
        elif not record.key.startswith(_ENGINE_KEY):
            assert record.value is not None
            last[record.key.decode()] = record.value
    assert len({kept for kept in layouts.values() if kept is not None}) == 1, "one definition in force, one layout of the ledgers"
    return {lead: unpack(packed) for lead, packed in last.items()}


def check_ingest(installation: Installation) -> tuple[int, int]:
    """Every input record became what it should, once. Returns how many became events and how many dead letters."""
    topics = installation.topics
    expected: Counter[bytes] = Counter()
    refused: dict[Place, tuple[str, Stored]] = {}
    for topic in topics.inputs:
        for record in installation.stream(topic):
            result = canonical(record.value, kind=topics.kinds[topic], source=topic, record_ms=record.timestamp)
            if isinstance(result, Event):
                expected[wire.encode(result)] += 1
            elif isinstance(result, Rejected):
                refused[record[:3]] = (result.reason.value, record)
    got = Counter(record.value or b"" for record in installation.stream(topics.lead_events) if _is_from_ingest(record))
    assert sum(got.values()) == sum(expected.values()), "events lost or repeated on the way to lead-events"
    assert got == expected
    check_dead_letters(installation, refused)
    return sum(expected.values()), len(refused)


def _is_from_ingest(record: Stored) -> bool:
    """Neither a broadcast nor what a backfill wrote."""
    return wire.heard(record.key, record.value) is None and wire.decode(record.value or b"").body.get("do") != COMPLETE


def check_dead_letters(installation: Installation, refused: Mapping[Place, tuple[str, Stored]]) -> None:
    """Each refused record is in the dead letters once: as it came, and with the reason."""
    seen = set()
    for letter in installation.stream(installation.topics.dead_letters):
        headers = dict(letter.headers)
        where = (
            headers["__connect.errors.topic"].decode(),
            int(headers["__connect.errors.partition"]),
            int(headers["__connect.errors.offset"]),
        )
        assert where in refused, f"{where} is in the dead letters and should not be: {headers}"
        assert where not in seen, f"{where} is in the dead letters twice"
        seen.add(where)
        reason, record = refused[where]
        assert headers["mqlstream.reason"].decode() == reason, where
        assert (letter.key, letter.value) == (record.key, record.value), where
        assert letter.headers[: len(record.headers)] == record.headers, where
    assert seen == refused.keys(), f"{len(refused.keys() - seen)} dead letters are missing"


@dataclass(frozen=True, slots=True)
class Story:
    """What the events of lead-events lead to, in that order.

    ``opened``: how many of the lead's events the handoff had behind it; ``at_once``: those that had not waited for older ones.
    """

    program: Program
    states: dict[str, LeadState] = field(default_factory=dict)
    handoffs: dict[str, Json] = field(default_factory=dict)
    arrivals: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    opened: dict[tuple[str, str], int] = field(default_factory=dict)  # definition, lead
    at_once: set[tuple[str, str]] = field(default_factory=set)

    def read(self, partition: Iterable[Item]) -> None:
        """Go through one partition."""
        table = LeadTable(self.program)
        table.settle_layout()
        watermark = Watermark()
        waiting: set[str] = set()
        for each in partition:
            if isinstance(each, Event):
                lead = table.open(each.lead)
                self.arrivals[lead.id].append(each)
                at_once = watermark.before_ms is None
                self._keep(step(table.program, lead, each, watermark.before_ms).outputs, lead.id, at_once)
                if watermark.before_ms is not None:  # the event may be late even so
                    self._keep(catch_up(table.program, lead, watermark.before_ms), lead.id, False)
                waiting.add(lead.id)
                continue
            if isinstance(each, wire.Activation):
                definition, _ = parse_text(each.text, each.id)
                assert definition is not None
                self._store(table)
                change = Change("" if each.prepares else each.id, each.time, each.handoff, watermark.before_ms)
                for output in offline.take_over(table, definition, change):
                    self._keep([output], output["lead_id"], False)
                continue
            watermark.hear(each)
            for lead_id in waiting:
                lead = table.open(lead_id)
                self._keep(catch_up(table.program, lead, _END if watermark.before_ms is None else watermark.before_ms), lead_id, False)
            waiting = {lead_id for lead_id in waiting if table.open(lead_id).state.unreviewed != NEVER}
        self._store(table)

    def _store(self, table: LeadTable) -> None:
        self.states.update({lead_id: unpack(packed) for lead_id, packed in table.packed_changes() if packed is not None})

    def _keep(self, outputs: Iterable[Json], lead_id: str, at_once: bool) -> None:
        for output in outputs:
            self.handoffs[output["id"]] = output
            if output["type"] == BECAME_MQL:
                handoff = output["data"]["definition"]["id"], lead_id
                self.opened[handoff] = len(self.arrivals[lead_id])
                if at_once:
                    self.at_once.add(handoff)


def story_of(log: Iterable[Iterable[Item]], program: Program) -> Story:
    """Apply each event once."""
    story = Story(program)
    for partition in log:
        story.read(partition)
    return story


def check_against_story(found: Written, story: Story) -> None:
    """States and handoffs are the story's, in every detail."""
    assert found.states.keys() == story.states.keys()
    for lead, state in story.states.items():
        assert found.states[lead] == state, f"the state of {lead} differs:\n{found.states[lead]}\n{state}"
    missing = story.handoffs.keys() - found.handoffs.keys()
    surplus = found.handoffs.keys() - story.handoffs.keys()
    assert not missing and not surplus, f"{len(missing)} handoffs missing, {len(surplus)} too many"
    for event_id, output in story.handoffs.items():
        assert_alike(found.handoffs[event_id], output, event_id)


def assert_alike(got: Any, expected: Any, where: str) -> None:
    """The same data; numbers may differ by the tolerance, for sums are taken in another order after a restart."""
    if isinstance(expected, Mapping):
        assert isinstance(got, Mapping) and got.keys() == expected.keys(), where
        for name, value in expected.items():
            assert_alike(got[name], value, f"{where} {name}")
    elif isinstance(expected, list | tuple):
        assert len(got) == len(expected), where
        for mine, its in zip(got, expected, strict=True):
            assert_alike(mine, its, where)
    elif isinstance(expected, float):
        assert math.isclose(got, expected, rel_tol=0, abs_tol=TOLERANCE), f"{where}: got {got}, expected {expected}"
    else:
        assert got == expected, where
