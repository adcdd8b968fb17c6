"""What the settings' principal may do, against what a worker needs. Nothing is tried out that could succeed.

Rights on topics and groups: brokers tell them with the description of either. Rights on transactional ids no broker tells; they are
found out by asking to end a transaction of a producer that there never was, under an id of each stage that no task has: refused either
way, and the reason tells. (Beginning a transaction would leave an id in the cluster's log of transactions.) So a rule that allows the ids
of single tasks, and not those that begin with the stage's name, is not seen.
The groups' own topic is created by the first question about a group, so without it none is asked. (A principal who may not see that topic
asks nevertheless: a cluster where rights are given out has been used.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mqlstream.config import Settings
from mqlstream.doctor.cluster import DESCRIBE, NAMES, READ, WRITE, Cluster, Group, Topic
from mqlstream.doctor.finding import OK, PROBLEM, UNCHECKED, Check, counted, some
from mqlstream.topics import declared

AUTHORISATION = "authorisation"
STAGES = ("ingest", "identify", "score", "accounts")
GROUPS_LOG = "__consumer_offsets"  # Kafka's own topic

_BY_ROLE = {"input": {READ}, "internal": {READ, WRITE}, "output": {WRITE}}
_BY_KEY = {"feedback": {READ, WRITE}, "commands": {READ, WRITE}, "handoff": {READ, WRITE}, "definitions": {DESCRIBE}}


def needed(settings: Settings) -> dict[str, frozenset[int]]:
    """What a worker does with each topic, those of the sources too."""
    found = {}
    for topic in declared():
        needs = _BY_KEY.get(topic.key, _BY_ROLE[topic.role])
        if topic.key == "scores" and not settings.publish_scores:
            needs = {DESCRIBE}
        found[settings.topic_prefix + topic.name] = frozenset({*needs, DESCRIBE})
    for name in settings.sources:
        writes = settings.ingest.bind is not None and name in settings.ingest.webhooks
        found[name] = frozenset({READ, DESCRIBE, *({WRITE} if writes else ())}) | found.get(name, frozenset())
    return found


def groups_of(settings: Settings) -> list[str]:
    """The groups of an installation's workers."""
    return [f"{settings.app_id}-{stage}" for stage in (*STAGES, "insights")]


def topic_rights(settings: Settings, topics: Mapping[str, Topic]) -> list[Check]:
    """What the principal lacks, topics that lack the same in one line. Pure."""
    lacking: dict[frozenset[int], list[str]] = {}
    hidden, untold = [], []
    for name, wanted in needed(settings).items():
        topic = topics.get(name)
        if topic is None or topic.there is False:
            continue
        if topic.there is None:
            hidden.append(name)
        elif topic.rights is None:
            untold.append(name)
        elif missing := wanted - topic.rights:
            lacking.setdefault(missing, []).append(name)
    found = []
    if hidden:
        told = "the principal may not see them, whether they are there or not"
        found.append(Check(AUTHORISATION, PROBLEM, some(hidden), told, "Describe and more", _grant(settings, "topic", hidden, {DESCRIBE})))
    for missing, names in lacking.items():
        words = " and ".join(NAMES[operation] for operation in sorted(missing))
        found.append(Check(AUTHORISATION, PROBLEM, some(names), f"no right to {words}", words, _grant(settings, "topic", names, missing)))
    if untold:
        found.append(Check(AUTHORISATION, UNCHECKED, counted(len(untold), "topic"), "the broker tells no rights"))
    seen = sum(topics[name].there is True for name in needed(settings) if name in topics)
    return found or [Check(AUTHORISATION, OK, counted(seen, "topic"), "the principal may do with them what a worker does")]


def group_rights(settings: Settings, groups: Sequence[Group]) -> list[Check]:
    """Pure."""
    lacking = [group.name for group in groups if group.denied or (group.rights is not None and READ not in group.rights)]
    if lacking:
        return [Check(AUTHORISATION, PROBLEM, some(lacking), "no right to Read", "Read", _grant(settings, "group", lacking, {READ}))]
    if any(group.rights is None for group in groups):
        return [Check(AUTHORISATION, UNCHECKED, counted(len(groups), "group"), "the broker tells no rights")]
    return [Check(AUTHORISATION, OK, counted(len(groups), "group"), "the principal may join them")]


async def transaction_rights(settings: Settings, cluster: Cluster) -> list[Check]:
    """See the module's docstring."""
    ids = [f"{settings.app_id}-{stage}-" for stage in STAGES]
    lacking = [each for each in ids if not await cluster.may_use_transactions(f"{each}doctor")]
    if lacking:
        grant = _grant(settings, "transactional-id", lacking, {WRITE})
        return [Check(AUTHORISATION, PROBLEM, some([f"{each}*" for each in lacking]), "no right to Write", "Write", grant)]
    return [Check(AUTHORISATION, OK, f"transactional ids {settings.app_id}-*", "the principal may write under them")]


def _grant(settings: Settings, kind: str, names: Sequence[str], operations: set[int] | frozenset[int]) -> str:
    """The command that gives the first of these its rights; a file that has all."""
    kafka = settings.kafka
    principal = f"User:{kafka.sasl_plain_username or 'NAME'}"
    told = " ".join(f"--operation {NAMES[operation]}" for operation in sorted(operations))
    prefixed = " --resource-pattern-type prefixed" if kind != "topic" else ""
    name = f"{settings.app_id}-" if prefixed else names[0]
    command = f"kafka-acls.sh --bootstrap-server {kafka.bootstrap_servers[0]} --add --allow-principal {principal} {told}"
    return f"{command} --{kind} {name}{prefixed} (deploy/kubernetes/user.yaml has all rights)"
