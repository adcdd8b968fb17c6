"""Definitions on their way to the workers: what is published, and publishing more. What they say is `mqlstream.definition`'s.

A push is one transaction: the record on the definitions topic, and the activation in every partition of lead-events. With a
backfill (`mqlstream.doors.backfill`) earlier events are read again before that, so that the version comes into force over leads that are
complete. Those who push share one transactional id, so that they do so one after the other, and activations stand in the same order
everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced

from mqlstream import wire
from mqlstream.definition import parse_text
from mqlstream.definition.model import Definition
from mqlstream.definition.publish import fields_read
from mqlstream.doors.backfill import Backfill, Fields
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.errors import CheckFailed, UnreachableError, UsageError
from mqlstream.topics import Topics

MAX_BYTES = 1_000_000  # of a record: below what the definitions topic takes
_ANSWER_S = 30.0


class Published(msgspec.Struct, frozen=True):
    """The value of a record of the definitions topic: one version as it was pushed. ``time`` is epoch milliseconds."""

    id: str
    version: int
    digest: str
    text: str
    by: str
    time: int
    on_activate: str

    def activation(self) -> wire.Activation:
        """What is broadcast to the score tasks."""
        return msgspec.convert(
            {**{name: getattr(self, name) for name in ("id", "version", "digest", "text", "time", "by")}, "handoff": self.on_activate},
            wire.Activation,
        )

    def preparation(self) -> wire.Activation:
        """What goes before that with a backfill."""
        return msgspec.structs.replace(self.activation(), prepares=True)

    def read(self) -> Definition:
        """The definition. Raises `CheckFailed` when this version of the program can't read it."""
        definition, findings = parse_text(self.text, f"{self.id} version {self.version}")
        if definition is None:
            raise CheckFailed(f"{findings[0]}: pushed by another version of mqlstream?")
        return definition


_decode = msgspec.json.Decoder(Published).decode
_encode = msgspec.json.Encoder().encode


class Pushed(NamedTuple):
    """What became of one definition: ``action`` is pushed, again (the same content) or unchanged.

    ``fields``: what a backfill reads of earlier events, by kind.
    """

    definition: Published
    before: Published | None
    action: str

    @property
    def fields(self) -> Fields:
        """New ones where a version before is published; all, where it is this one, for nobody knows what ledgers lack."""
        before = self.before.read() if self.before is not None and self.action == "pushed" else None
        return fields_read(before, self.definition.read())


def check(file: str, new: Published, before: Published | None, again: bool) -> str:
    """What pushing a version would do: an action of `Pushed`.

    Raises `UsageError` when its record is too large, `CheckFailed` when its version does not rise.
    """
    size = max(len(_encode(new)), len(wire.broadcast(new.activation())[1]))
    if size > MAX_BYTES:
        raise UsageError(
            f"{file}: definition {new.id} takes {size} bytes as a record, expected at most {MAX_BYTES}: its lists are too long"
        )
    if before is not None and (before.version, before.digest) == (new.version, new.digest):
        return "again" if again else "unchanged"
    if before is not None and new.version <= before.version:
        raise CheckFailed(
            f"{file}: definition {new.id} version {new.version} is not above version {before.version}, which is published with another "
            f"content: expected {before.version + 1} or more"
        )
    return "pushed"


class DefinitionsDoor:
    """``kafka`` are aiokafka's connection settings, ``app_id`` names the installation."""

    def __init__(self, kafka: Mapping[str, Any], topics: Topics, app_id: str) -> None:
        self._kafka = dict(kafka)
        self._broker = KafkaBroker(kafka)
        self._topics = topics
        self._app_id = app_id

    async def published(self) -> list[Published]:
        """All versions that the topic still has, in the order in which they were pushed: the newest of each id, perhaps older ones."""
        counts = await self._counts()
        with self._reachable("read"):
            async with asyncio.timeout(_ANSWER_S):
                return [each for partition in range(counts[self._topics.definitions]) for each in await self._read(partition)]

    async def push(
        self,
        definitions: Sequence[tuple[str, Published]],
        *,
        again: bool,
        dry_run: bool = False,
        backfill: Callable[[int], None] | None = None,
    ) -> list[Pushed]:
        """Publish versions and broadcast their activations: all or none. ``definitions`` come with the names of their files.

        ``again``: activate those too that are published already, with the same content. ``backfill``: read earlier events again
        before that; it is told how many partitions are done. Raises as `check`, `UsageError` when a topic is missing, and
        `UnreachableError` when it is not known whether they were pushed: then ask what is published.
        """
        counts = await self._counts()
        if dry_run:
            return _plan(definitions, await self.published(), again)
        producer = AIOKafkaProducer(
            **self._kafka, transactional_id=f"{self._app_id}-definitions", transaction_timeout_ms=30_000, max_request_size=8 * MAX_BYTES
        )
        partitions = counts[self._topics.lead_events]
        with self._reachable("write"):
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await producer.start()  # whoever else was pushing is done, or never will be
                    plan = _plan(definitions, await self.published(), again)
                chosen = [each for each in plan if each.action != "unchanged"]
                if chosen and backfill is not None:
                    await self._backfill(producer, chosen, partitions, backfill)
                if chosen:
                    async with asyncio.timeout(_ANSWER_S):
                        await self._write(producer, [each.definition for each in chosen], partitions)
                return plan
            finally:
                await _stop(producer)

    async def _backfill(self, producer: AIOKafkaProducer, chosen: Sequence[Pushed], partitions: int, passed: Callable[[int], None]) -> None:
        """Ledgers keep from here on what the versions read, and are completed with what they lack of the events before."""
        preparations = [each.definition.preparation() for each in chosen]
        async with asyncio.timeout(_ANSWER_S), producer.transaction():
            await asyncio.gather(*[sent for each in preparations for sent in await self._broadcast(producer, each, partitions)])
        fields = [tuple(sorted(set().union(*of_kind))) for of_kind in zip(*[each.fields for each in chosen], strict=True)]
        await Backfill(self._broker, producer, self._topics.lead_events, fields).run(partitions, preparations[0], passed)

    async def _write(self, producer: AIOKafkaProducer, chosen: Sequence[Published], partitions: int) -> None:
        async with producer.transaction():
            sent = []
            for each in chosen:
                sent.append(await producer.send(self._topics.definitions, _encode(each), key=each.id.encode()))
                sent += await self._broadcast(producer, each.activation(), partitions)
            await asyncio.gather(*sent)  # the client would commit even when one has failed

    async def _broadcast(self, producer: AIOKafkaProducer, activation: wire.Activation, partitions: int) -> list[asyncio.Future[Any]]:
        key, value = wire.broadcast(activation)
        return [await producer.send(self._topics.lead_events, value, key=key, partition=partition) for partition in range(partitions)]

    async def _read(self, partition: int) -> list[Published]:
        found = []
        async with aclosing(self._broker.restore((self._topics.definitions, partition))) as chunks:
            async for chunk in chunks:
                found += [_published(key, value) for key, value in chunk.records if value is not None]
        return found

    async def _counts(self) -> Mapping[str, int]:
        topics = (self._topics.definitions, self._topics.lead_events)
        counts = await self._broker.partitions(topics)
        for topic in topics:
            if topic not in counts:
                raise UsageError(f"no topic {topic} on the broker; create what is missing: mqlstream topics apply")
        return counts

    @contextmanager
    def _reachable(self, what: str) -> Iterator[None]:
        try:
            yield
        except ProducerFenced as error:
            raise UnreachableError("somebody else pushed at the same moment, and this push was not made: try again") from error
        except MessageSizeTooLargeError as error:
            raise UsageError(f"a record is larger than its topic takes ({error}); see max.message.bytes: mqlstream topics plan") from error
        except (KafkaError, OSError, TimeoutError) as error:
            reason = str(error) or f"no answer within {_ANSWER_S:g} s"
            raise UnreachableError(f"cannot {what} topic {self._topics.definitions}: {reason}") from error


def _plan(definitions: Sequence[tuple[str, Published]], there: Sequence[Published], again: bool) -> list[Pushed]:
    newest = {each.id: each for each in there}
    plan = []
    for file, new in definitions:
        before = newest.get(new.id)
        plan.append(Pushed(new, before, check(file, new, before, again)))
        newest[new.id] = new
    return plan


def _published(key: bytes, value: bytes) -> Published:
    try:
        return _decode(value)
    except msgspec.MsgspecError as error:
        raise UsageError(f"the definitions topic has a record {key[:100]!r} that is no definition ({error}): who wrote it?") from None


async def _stop(producer: AIOKafkaProducer) -> None:
    """Without waiting long for a broker that does not answer."""
    try:
        async with asyncio.timeout(2.0):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError):
        pass  # a transaction that is open is the broker's to abort
