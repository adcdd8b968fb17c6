"""What a cluster tells about itself when it is only asked: topics, rights, groups, offsets, its clock.

Each question is bounded by `ANSWER_S`. What an answer means is not decided here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code
from aiokafka.protocol.admin import DescribeAclsRequest
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.transaction import EndTxnRequest

from mqlstream.doctor.requests import Groups, Metadata, Quorum

ANSWER_S = 10.0
READ, WRITE, DESCRIBE = 3, 4, 8  # Kafka's numbers of operations
NAMES = {READ: "Read", WRITE: "Write", DESCRIBE: "Describe"}

_UNTOLD = -(2**31)  # a broker that tells no rights
_GROUP = 0  # what a coordinator is asked for
_NO_TOPIC, _TOPIC_DENIED, _GROUP_DENIED, _CLUSTER_DENIED, _ID_DENIED, _NO_AUTHORISER = 3, 29, 30, 31, 53, 54
_LOOKS, _LOOK_AGAIN_S = 10, 0.3
_NOBODY = -1  # a producer that there never is


@dataclass(frozen=True, slots=True)
class Topic:
    """``rights`` are operations, None where the broker tells none; ``there`` is None where the principal may not even know."""

    name: str
    there: bool | None
    partitions: tuple[Partition, ...] = ()
    rights: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Partition:
    number: int
    leader: int  # -1: nobody
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class Group:
    """``denied``: the principal may not look at it."""

    name: str
    denied: bool
    state: str
    members: int
    rights: frozenset[int] | None


@dataclass(frozen=True, slots=True)
class Brokers:
    """``addresses``: node -> host:port as the cluster announces it."""

    cluster: str
    controller: int
    addresses: Mapping[int, str]


class Cluster:
    """Asks with one client; `connected` makes it."""

    def __init__(self, client: AIOKafkaClient, kafka: Mapping[str, Any]) -> None:
        self._client = client
        self._kafka = kafka

    async def describe(self, topics: Sequence[str]) -> tuple[Brokers, dict[str, Topic]]:
        """The brokers, and these topics, whether they are there or not."""
        answer = await self._ask(Metadata(topics))
        addresses = {node: f"{host}:{port}" for node, host, port, _ in answer.brokers}
        found = {}
        for error, name, _, partitions, rights in answer.topics:
            there = None if error == _TOPIC_DENIED else error != _NO_TOPIC
            told = tuple(Partition(number, leader, len(all_), len(in_sync)) for _, number, leader, _, all_, in_sync, _ in partitions)
            found[name] = Topic(name, there, told, _operations(rights))
        return Brokers(answer.cluster, answer.controller, addresses), found

    async def out_of_reach(self) -> dict[int, str]:
        """The brokers that cannot be reached from here at the addresses that they announce, node -> host:port."""
        found = {}
        for broker in self._client.cluster.brokers():
            try:
                async with asyncio.timeout(ANSWER_S):
                    reached = await self._client.ready(broker.nodeId)
            except TimeoutError:
                reached = False
            if not reached:
                found[broker.nodeId] = f"{broker.host}:{broker.port}"
        return found

    async def authorises(self) -> bool:
        """Whether the cluster checks rights at all."""
        # An answer that names no rule: those for a resource that nobody has. Only an authoriser can refuse it, or give it.
        answer = await self._ask(DescribeAclsRequest(2, "mqlstream doctor", 3, None, None, 1, 1))
        return bool(answer.error_code != _NO_AUTHORISER)

    async def group(self, name: str) -> Group:
        node = await self._coordinator(name)
        if node is None:
            return Group(name, True, "", 0, None)
        answer = await self._ask(Groups(name), node)
        ((error, _, state, _, _, members, rights),) = answer.groups
        if error and error != _GROUP_DENIED:
            raise for_code(error)(name)
        return Group(name, error == _GROUP_DENIED, state, len(members), _operations(rights))

    async def may_use_transactions(self, transactional_id: str) -> bool:
        """Whether the principal may write under an id, which must be one that nobody uses.

        Any broker is asked to end a transaction of a producer that there never was: it refuses for want of rights, or else because
        there is no such producer, or the id is not its to look after. Nothing is written for it.
        """
        answer = await self._ask(EndTxnRequest(transactional_id, _NOBODY, _NOBODY, False))
        return bool(answer.error_code != _ID_DENIED)

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """A group's offsets, of all partitions that it has told of."""
        node = await self._coordinator(group)
        if node is None:
            return {}
        answer = await self._ask(OffsetFetchRequest(group, None), node)
        return {
            TopicPartition(topic, number): offset
            for topic, partitions in answer.topics
            for number, offset, _, error in partitions
            if not error and offset >= 0
        }

    async def clock(self) -> tuple[float, float] | None:
        """The active controller's clock less ours, and how far that may be off, in milliseconds. None: the principal may not ask."""
        before = time.time()
        began = time.monotonic()
        answer = await self._ask(Quorum())
        took_ms = (time.monotonic() - began) * 1000
        if answer.error == _CLUSTER_DENIED:
            return None
        if answer.error:
            raise for_code(answer.error)("the metadata quorum")
        ((_, error, leader, _, _, voters, observers, _),) = answer.topics[0][1]
        if error:
            raise for_code(error)("the metadata quorum")
        theirs_ms = next(caught_up for node, _, _, caught_up, _ in [*voters, *observers] if node == leader)
        return theirs_ms - (before * 1000 + took_ms / 2), took_ms / 2

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer of no group, which sees all that is written, committed or not."""
        consumer = AIOKafkaConsumer(**self._kafka, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=50)
        try:
            async with asyncio.timeout(ANSWER_S):
                await consumer.start()
            yield consumer
        finally:
            await consumer.stop()

    async def offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """Beginning and end of each."""
        places = list(partitions)
        async with self.reader() as consumer, asyncio.timeout(ANSWER_S):
            begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return {place: (begins[place], ends[place]) for place in places}

    async def _coordinator(self, group: str) -> int | None:
        """The node; None: the principal may not know."""
        answer = await self._ask(FindCoordinatorRequest(group, _GROUP))
        for _ in range(_LOOKS):  # a coordinator that moves, or loads what it keeps, is there in a moment
            if not for_code(answer.error_code).retriable:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
            answer = await self._ask(FindCoordinatorRequest(group, _GROUP))
        if answer.error_code == _GROUP_DENIED:
            return None
        if answer.error_code:
            raise for_code(answer.error_code)(group)
        return int(answer.coordinator_id)

    async def _ask(self, request: Any, node: int | None = None) -> Any:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._client.send(self._client.get_random_node() if node is None else node, request)
        except NotImplementedError as error:  # a broker that knows only other versions of the question
            raise IncompatibleBrokerVersion(str(error)) from None


def _operations(told: int) -> frozenset[int] | None:
    return None if told == _UNTOLD else frozenset(number for number in range(31) if told >> number & 1)


@asynccontextmanager
async def connected(kafka: Mapping[str, Any]) -> AsyncIterator[Cluster]:
    """``kafka`` are aiokafka's connection settings. Raises what aiokafka raises."""
    client = AIOKafkaClient(**kafka)
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.bootstrap()
        yield Cluster(client, kafka)
    finally:
        await client.close()


def reason(error: BaseException) -> str:
    """Why a question got no answer, in a few words."""
    if isinstance(error, TimeoutError) or not isinstance(error, KafkaError):
        return str(error) or f"no answer within {ANSWER_S:g} s"
    return error.__class__.__name__ + (f": {error.args[0]}" if error.args else "")
