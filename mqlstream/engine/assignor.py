"""Which worker runs which task: partition i of every input of a stage goes to one member, evenly, and stays if it can.

`share` is the rule; `assignor_for` puts it into aiokafka's group protocol. Members say in their user data which tasks
they have, what definitions they run (`digest`) and where they listen (`url`); the leader decides, and tells each member
who owns what. Members whose digest differs from the leader's get nothing: two definitions must not score side by side.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


class Claim(NamedTuple):
    """What a member says of itself. ``round`` is that of the last decision it heard of, 0 if none."""

    digest: str
    url: str
    tasks: Sequence[int]
    round: int


class Decision(NamedTuple):
    """What the leader tells a member: why it gets nothing, or empty; every task's owner, by URL; the decision's number."""

    refused: str
    owners: Mapping[int, str]
    round: int


def share(tasks: int, held: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """Give the tasks 0..n-1 to the members, counts differing by one at most, each member keeping what it holds if it may."""
    if not held:
        return {}
    few, extra = divmod(tasks, len(held))
    # Those that hold most may keep one more; beyond that the order is by name, so that every leader decides alike.
    members = sorted(held, key=lambda member: (-len(held[member]), member))
    quota = {member: few + (1 if rank < extra else 0) for rank, member in enumerate(members)}
    given: dict[str, list[int]] = {member: [] for member in members}
    free = set(range(tasks))
    for member in members:
        for task in sorted(held[member]):
            if task in free and len(given[member]) < quota[member]:
                free.discard(task)
                given[member].append(task)
    left = sorted(free, reverse=True)
    for member in members:
        while len(given[member]) < quota[member]:
            given[member].append(left.pop())
    return {member: sorted(numbers) for member, numbers in given.items()}


def decide(tasks: int, leader_digest: str, claims: Mapping[str, Claim]) -> tuple[dict[str, list[int]], dict[str, Decision]]:
    """The leader's work: each member's tasks, and what to tell it."""
    newest = max((claim.round for claim in claims.values()), default=0)
    # Whoever missed the last decision (a zombie, say) has lost its tasks to someone else since.
    fit = {member: claim.tasks if claim.round == newest else () for member, claim in claims.items() if claim.digest == leader_digest}
    shares = share(tasks, fit)
    owners = {task: claims[member].url for member, numbers in shares.items() for task in numbers}
    told = {}
    for member, claim in claims.items():
        refused = ""
        if member not in fit:
            mine, theirs = claim.digest or "none", leader_digest or "none"
            refused = f"definitions or settings of this stage differ: this worker runs {mine}, the group runs {theirs}"
        told[member] = Decision(refused, owners, newest + 1)
    return {member: shares.get(member, []) for member in claims}, told


def assignor_for(
    claim: Callable[[], Claim], on_assigned: Callable[[Mapping[int, Sequence[str]], Decision], None]
) -> type[AbstractPartitionAssignor]:
    """An assignor class for one consumer: aiokafka calls class methods, so what differs by consumer is bound here.

    ``on_assigned(tasks with their topics, decision)`` is called at the moment the consumer has its new partitions, before
    any record of them can be fetched.
    """

    class TaskAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka is untyped
        name = "mqlstream-tasks-v1"

        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            data = json.dumps(claim()._asdict(), separators=(",", ":")).encode()
            return ConsumerProtocolMemberMetadata(0, sorted(topics), data)

        @classmethod
        def assign(
            cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
        ) -> dict[str, ConsumerProtocolMemberAssignment]:
            claims = {member: _claim(metadata.user_data) for member, metadata in members.items()}
            topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
            counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
            shares, told = decide(max(counts.values(), default=0), claim().digest, claims)
            answer = {}
            for member, numbers in shares.items():
                lists = [(topic, [number for number in numbers if number < count]) for topic, count in counts.items()]
                data = json.dumps(told[member]._asdict(), separators=(",", ":"))
                answer[member] = ConsumerProtocolMemberAssignment(0, lists, data.encode())
            return answer

        @classmethod
        def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
            tasks: dict[int, list[str]] = defaultdict(list)
            for topic, partition in sorted(assignment.partitions()):
                tasks[partition].append(topic)
            data: dict[str, Any] = json.loads(assignment.user_data or b"{}")
            owners = {int(task): url for task, url in data.get("owners", {}).items()}
            on_assigned(dict(tasks), Decision(data.get("refused", ""), owners, data.get("round", 0)))

    return TaskAssignor


def _claim(data: bytes) -> Claim:
    fields: dict[str, Any] = json.loads(data or b"{}")
    return Claim(fields.get("digest", ""), fields.get("url", ""), fields.get("tasks", ()), fields.get("round", 0))
