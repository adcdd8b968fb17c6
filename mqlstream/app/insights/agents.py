"""The Faust App of insights: an agent that reads handoffs, and the table of facts it keeps.

What a fact is, and how facts are counted, is decided in `facts` and `counting`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson

from mqlstream.app.insights.counting import Book
from mqlstream.app.insights.exact import ExactApp, ExactTable
from mqlstream.app.insights.facts import GONE, decode, encode, fact_of
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.handoff.contract import NotAHandoff, parse
from mqlstream.topics import Topics

# isort: split
from faust.types import TP, EventT, StreamT

log = logging.getLogger(__name__)

_TURN_RECORDS = 200  # restored at a time, a few milliseconds: then others get their turn


class InsightsApp(ExactApp):
    """Keeps ``book``: the facts of the partitions that this worker owns, counted."""

    def __init__(self, app_id: str, kafka: Mapping[str, Any], topics: Topics, url: str) -> None:
        super().__init__(f"{app_id}-insights", kafka, canonical_url=url)
        self.book = Book()
        self._kafka_broker = KafkaBroker(kafka)
        changelog = self.topic(topics.insights_facts, key_type=str, value_type=bytes)
        self.table = ExactTable(self, name="facts", key_type=str, value_type=bytes, changelog_topic=changelog)
        self.tables.add(self.table)
        handoffs = self.topic(topics.handoff, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
        self.agent(handoffs, name="insights", concurrency=1)(self.watch)

    async def watch(self, handoffs: StreamT[bytes]) -> None:
        """The agent: a fact of each handoff event. No exception leaves it, or Faust would pass over the event."""
        try:
            async for event in handoffs.events():
                self._take(event)
                self.exact_consumer.progress.handled(event.message.tp, event.message.offset)
        except Exception as error:
            await self.crash(error)
            await asyncio.Event().wait()

    def _take(self, event: EventT[Any]) -> None:
        try:
            headers: Any = event.message.headers  # a list of pairs, as they came from Kafka
            handoff = parse(event.message.value, headers or ())
            fact = fact_of(handoff)
        except (NotAHandoff, KeyError, TypeError, ValueError) as error:
            where = f"{event.message.topic}[{event.message.partition}] offset {event.message.offset}"
            log.warning("insights pass over %s, no handoff event of ours: %s", where, error)
            return
        if fact is None or handoff.id in self.book:
            return
        if fact.kind == GONE:
            for event_id in self.book.covered_by(fact):
                del self.table[event_id]
                self.book.remove(event_id)
        else:
            self.table[handoff.id] = encode(fact)
            self.book.add(handoff.id, fact)

    def forget(self) -> None:
        self.table.data.clear()
        self.book.clear()

    async def restore(self, changelog: TP) -> None:
        async for chunk in self._kafka_broker.restore((changelog.topic, changelog.partition)):
            for number, (key, value) in enumerate(chunk.records):
                self._restore(orjson.loads(key), value)
                if number % _TURN_RECORDS == 0:
                    await asyncio.sleep(0)

    def _restore(self, event_id: str, value: bytes | None) -> None:
        if value is None:
            self.table.data.pop(event_id, None)
            self.book.remove(event_id)
        else:
            self.table.data[event_id] = value
            self.book.add(event_id, decode(value))
