"""The ingest stage: input records to events keyed by lead, or by visitor, unusable ones to the dead letters. Holds no table.

What a record means is decided in `mqlstream.ingest`; this is the glue to the engine, and the counting.
"""

from __future__ import annotations

import hashlib
import json
import logging
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mqlstream import metrics
from mqlstream.core.event import EARLIEST_MS, LATEST_MS, Event
from mqlstream.core.outcome import Reason
from mqlstream.engine.interfaces import Effects, Output, Record
from mqlstream.engine.surroundings import Surroundings
from mqlstream.ingest.adapters.base import Source
from mqlstream.ingest.adapters.reading import Result, read
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.results import DEFAULT_OPTIONS, UNKNOWN_KIND, Anonymous, IngestOptions, Rejected
from mqlstream.stages.dead_letter import dead_letter, why_empty
from mqlstream.stages.frontier import Reading
from mqlstream.stages.identify import told_of_visitors
from mqlstream.stages.native import put_aside, wanted_places
from mqlstream.topics import Topics
from mqlstream.wire import Frontier, broadcast, encode, key_of, partition_of

log = logging.getLogger(__name__)

NAME = "ingest"
MAX_SKEW_MS = 60_000  # how far one input is read ahead of another that still has records: more would make late events of many


@dataclass(slots=True)
class Counts:
    """What came of a batch: (kind, outcome, reason) -> events, for those that end here. The rest went on to scoring.

    ``letters``: the reason of each dead letter; one stands for all unusable events of a record.
    """

    ended: dict[tuple[str, str, str], int] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)

    def add(self, kind: str, outcome: str, reason: str) -> None:
        place = (kind, outcome, reason)
        self.ended[place] = self.ended.get(place, 0) + 1


class IngestStage:
    """Reads all input topics; ``partitions`` is the number of partitions of every internal topic."""

    name = NAME
    max_skew_ms = MAX_SKEW_MS

    def __init__(self, topics: Topics, partitions: int, options: IngestOptions = DEFAULT_OPTIONS) -> None:
        self.topics = topics
        self.partitions = partitions
        self.options = options
        self.inputs: Sequence[str] = tuple(dict.fromkeys((*topics.inputs, *options.sources)))
        self.changelog = topics.ingest_positions
        # Workers that read records differently would make different events of the same record.
        agreed: list[object] = [dict(options.form_attributes)]
        agreed += [{topic: source.digest for topic, source in options.sources.items()}] if options.sources else []
        agreed += [] if options.crawlers else ["crawlers count"]
        agreed += [["mailboxes", dict(options.mailbox_rules)]] if options.mailbox_rules else []
        text = json.dumps(agreed, sort_keys=True)
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16] if agreed != [{}] else ""

    def processor(self, task: int) -> IngestProcessor:
        return IngestProcessor(self, task)


class IngestProcessor:
    """One task of the stage. It restores nothing, and remembers only how far it has read (`mqlstream.stages.frontier`)."""

    def __init__(self, stage: IngestStage, task: int) -> None:
        self._stage = stage
        self._reading = Reading(task)

    def restore(self, key: bytes, value: bytes | None) -> None:
        """The stage keeps nothing but its position, which is the engine's own."""

    def attend(self, surroundings: Surroundings) -> None:
        self._reading.attend(surroundings)

    def due_ms(self) -> int | None:
        return 0 if self._reading.owes_word else None

    def process(self, records: Sequence[Record], wall_ms: int | None) -> Effects:
        """One output for each record that is an event of a lead or a dead letter, and what is told of visitors; counts in ``note``.

        While the task catches up its frontier stands before and after the events, for every partition.
        """
        effects = Effects(note=Counts())
        topics = self._stage.topics
        kinds = topics.kinds
        options = self._stage.options
        sources = options.sources
        results: Iterable[Result]
        partitions = self._stage.partitions
        lead_events = topics.lead_events
        put = effects.outputs.append
        newest = self._reading.newest
        first: dict[str, int] = {}
        for record in records:
            timestamp: int | None = record.timestamp
            if timestamp is not None and not EARLIEST_MS <= timestamp < LATEST_MS:
                timestamp = None  # a broken clock at the source; the broker would delete such a record at once
            try:
                topic = record.topic
                if topic in sources:
                    results = self._native(sources[topic], record, timestamp, effects)
                else:
                    results = (canonical(record.value, kind=kinds.get(topic), source=topic, record_ms=timestamp, options=options),)
                for result in results:
                    if type(result) is Event:
                        event = result
                        key = key_of(event.lead)
                        put(Output(lead_events, key, encode(event), (), partition_of(key, partitions), timestamp))
                    elif type(result) is Anonymous:
                        event = result.event
                    else:
                        self._end(record, result, effects)
                        continue
                    time = event.time
                    if time > newest.get(topic, 0):
                        newest[topic] = time
                    first.setdefault(topic, time)
                    body = event.body
                    if "anonymous_id" in body or "user_id" in body or event.kind == "command":
                        effects.outputs += told_of_visitors(event, topics, partitions, timestamp)
            except Exception as error:  # a defect of ours: this record goes aside, the others go on
                self._fail(record, error, effects)
        before, after = self._reading.speak(first)
        effects.outputs[:0] = self._broadcast(before)
        effects.outputs += self._broadcast(after)
        return effects

    def committed(self, effects: Effects) -> None:
        """Count what ended here, now that it is in the log."""
        for (kind, outcome, reason), count in effects.note.ended.items():
            metrics.EVENTS.labels(kind=kind, outcome=outcome, reason=reason).inc(count)
        for reason in effects.note.letters:
            metrics.DEAD_LETTERS.labels(reason=reason).inc()

    def _broadcast(self, message: Frontier | None) -> list[Output]:
        if message is None:
            return []
        key, value = broadcast(message)
        return [Output(self._stage.topics.lead_events, key, value, (), partition) for partition in range(self._stage.partitions)]

    def _native(self, source: Source, record: Record, timestamp: int | None, effects: Effects) -> list[Result]:
        """The events and the ignored parts of a record in its vendor's form; its unusable parts go aside together."""
        stage = self._stage
        only = wanted_places(record.headers) if record.headers else ()
        readings = read(source, record.value, record.headers, topic=record.topic, record_ms=timestamp, options=stage.options, only=only)
        letter = put_aside(stage.topics.dead_letters, NAME, record, readings)
        if letter is not None:
            effects.outputs.append(letter[0])
            effects.note.letters.append(letter[1].reason.value)
            for rejected in [reading.result for reading in readings if isinstance(reading.result, Rejected)]:
                effects.note.add(rejected.kind, "rejected", rejected.reason.value)
        return [reading.result for reading in readings if not isinstance(reading.result, Rejected)]

    def _end(self, record: Record, result: Result, effects: Effects) -> None:
        assert not isinstance(result, Event | Anonymous)
        if isinstance(result, Rejected):
            result = why_empty(record, result)
            effects.outputs.append(dead_letter(self._stage.topics.dead_letters, NAME, record, result.reason, result.detail))
            effects.note.letters.append(result.reason.value)
        effects.note.add(result.kind, result.outcome.name, result.reason.value)

    def _fail(self, record: Record, error: Exception, effects: Effects) -> None:
        kind = self._stage.topics.kinds.get(record.topic, UNKNOWN_KIND)
        failure = f"{type(error).__module__}.{type(error).__qualname__}"
        effects.outputs.append(
            dead_letter(self._stage.topics.dead_letters, NAME, record, Reason.FAILED, f"{failure}: {error}", failure=failure)
        )
        if not any(reason == Reason.FAILED.value for _, _, reason in effects.note.ended):  # one line a batch is enough
            at = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{at.filename}:{at.lineno}"
            log.error("%s [%d] offset %d: %s at %s; now a dead letter", record.topic, record.partition, record.offset, failure, place)
        effects.note.letters.append(Reason.FAILED.value)
        effects.note.add(kind, "rejected", Reason.FAILED.value)
