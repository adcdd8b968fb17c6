"""Declared topics against a cluster's: what differs, and making it so. Never deletes, never changes a partition count.

The admin client is aiokafka's; everything that waits is bounded by `TIMEOUT_S`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from mqlstream.config import Settings, kafka_kwargs
from mqlstream.errors import UnreachableError, UsageError
from mqlstream.topics.declared import Declared, declared

TIMEOUT_S = 15.0
SHOWN_S = 5.0

CREATE = "create"
ALTER = "alter"
BY_HAND = "by hand"  # must be put right, but not by a program: data would be lost
LEAVE = "leave"  # worth knowing; nothing is wrong
NEEDED_BY_INSIGHTS = "the role insights needs the declared number"

_TOPIC_SETTING = 1  # where a setting comes from: the topic's own, not the broker's
_LIMITS_OF_RETENTION = ("retention.ms", "retention.bytes")


@dataclass(frozen=True, slots=True)
class Actual:
    """A topic as a cluster has it. ``own`` are the settings made on the topic itself, ``config`` all that are in force."""

    partitions: int
    replicas: int
    config: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs. ``what`` is `topic`, `partitions` or the name of a topic setting."""

    topic: str
    what: str
    declared: str
    actual: str | None
    action: str
    note: str = ""


def compare(settings: Settings, actual: Mapping[str, Actual]) -> list[Difference]:
    """All differences between the declaration and a cluster's topics, in the declaration's order. Pure."""
    found: list[Difference] = []
    for topic in declared():
        name = settings.topic_prefix + topic.name
        there = actual.get(name)
        if there is None:
            count = topic.partitions or settings.partitions
            found.append(Difference(name, "topic", f"{count} partition{'s' * (count != 1)}", None, CREATE))
        else:
            found += _partitions(settings, topic, name, there)
            found += _config(settings, topic, name, there)
    return found


def _partitions(settings: Settings, topic: Declared, name: str, there: Actual) -> list[Difference]:
    wanted = topic.partitions or settings.partitions
    if there.partitions == wanted:
        return []
    if topic.role == "internal":
        note = "fixed when it was created: set MQLSTREAM_PARTITIONS to what is there, or begin anew with another prefix"
        return [Difference(name, "partitions", str(wanted), str(there.partitions), BY_HAND, note)]
    note = NEEDED_BY_INSIGHTS if topic.key == "handoff" else "any number will do"
    return [Difference(name, "partitions", str(wanted), str(there.partitions), LEAVE, note)]


def _config(settings: Settings, topic: Declared, name: str, there: Actual) -> list[Difference]:
    found = []
    for setting, wanted in topic.config_for(min(settings.replication_factor, there.replicas)).items():
        got = there.config.get(setting)
        if got == wanted:
            continue
        action, note = ALTER, ""
        if topic.role == "input":
            action, note = LEAVE, "the topic belongs to those who write it"
        elif setting in _LIMITS_OF_RETENTION and got is not None and _less(wanted, got):
            action, note = BY_HAND, "the broker would delete records at once"
        elif setting == "cleanup.policy":
            action, note = BY_HAND, "the broker may delete records by another policy"
        found.append(Difference(name, setting, wanted, got, action, note))
    return found


def _less(wanted: str, got: str) -> bool:
    """Whether a limit keeps less than another; -1 is no limit."""
    return got == "-1" or (wanted != "-1" and int(wanted) < int(got))


async def plan(settings: Settings) -> list[Difference]:
    """What differs between the declaration and the cluster. Raises `UnreachableError`, `UsageError`."""
    async with _admin(settings) as admin:
        return compare(settings, await _read(admin, _names(settings)))


async def apply(settings: Settings) -> tuple[list[Difference], list[Difference]]:
    """Create missing topics and alter settings that differ; gives what was done, and what differs still.

    Raises `UnreachableError`, and `UsageError` when the broker refuses (its reason is in the text).
    """
    async with _admin(settings) as admin:
        actual = await _read(admin, _names(settings))
        differences = compare(settings, actual)
        todo = [difference for difference in differences if difference.action in (CREATE, ALTER)]
        await _create(admin, settings, {d.topic for d in todo if d.action == CREATE})
        await _alter(admin, actual, [d for d in todo if d.action == ALTER])
        touched = {difference.topic for difference in todo}

        async def pending() -> bool:
            now = compare(settings, await _read(admin, _names(settings)))
            return any(difference.topic in touched and difference.action in (CREATE, ALTER) for difference in now)

        await until_shown(pending)
        return todo, [difference for difference in differences if difference not in todo]


async def until_shown(pending: Callable[[], Awaitable[bool]]) -> None:
    """Wait, for `SHOWN_S` at most, until what the controller accepted is seen: brokers hear of it later, and a worker asks them."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SHOWN_S):
            while True:
                if not await pending():
                    return
                await asyncio.sleep(0.05)


def _names(settings: Settings) -> list[str]:
    return [settings.topic_prefix + topic.name for topic in declared()]


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client, for `TIMEOUT_S` at most; all that goes wrong becomes an error for users."""
    servers = ",".join(settings.kafka.bootstrap_servers)
    wanted = f"expected a Kafka broker that talks {settings.kafka.security_protocol}"
    admin = AIOKafkaAdminClient(**kafka_kwargs(settings), request_timeout_ms=int(TIMEOUT_S * 1000))
    with _Overheard() as overheard:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await admin.start()
                yield admin
        except TimeoutError:
            raise UnreachableError(f"{servers}: no answer within {TIMEOUT_S:g} s, {wanted}") from None
        except (KafkaError, OSError) as error:
            cause = overheard.cause or error.__class__.__name__
            raise UnreachableError(f"{servers}: cannot work with the cluster ({cause}), {wanted}") from None
        finally:
            await admin.close()


class _Overheard(logging.Handler):
    """What aiokafka logs about a failure, kept for our own error instead of written beside it: its exceptions don't say why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.cause = ""
        self._log = logging.getLogger("aiokafka")

    def emit(self, record: logging.LogRecord) -> None:
        told = " ".join(record.getMessage().split()).rstrip(":")
        self.cause = told if len(told) <= 200 else told[:197] + "..."

    def __enter__(self) -> Self:
        self._before = self._log.propagate
        self._log.propagate = False
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.propagate = self._before


async def _read(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Actual]:
    # Asking for topics by name would create them where the broker does that by itself; so list all.
    described = {entry["topic"]: entry for entry in await admin.describe_topics()}
    there = [name for name in names if name in described]
    if not there:
        return {}
    responses = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in there])
    configs: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    for response in responses:
        for code, message, _, name, entries in response.resources:
            _refused(f"settings of {name}", code, message)
            config = {entry[0]: entry[1] for entry in entries}
            own = {entry[0]: entry[1] for entry in entries if entry[3] == _TOPIC_SETTING}
            configs[name] = (config, own)
    found = {}
    for name in there:
        partitions = described[name]["partitions"]
        replicas = min((len(partition["replicas"]) for partition in partitions), default=1)
        found[name] = Actual(len(partitions), replicas, *configs[name])
    return found


async def _create(admin: AIOKafkaAdminClient, settings: Settings, names: set[str]) -> None:
    new = []
    for topic in declared():
        name = settings.topic_prefix + topic.name
        if name in names:
            count = topic.partitions or settings.partitions
            config = topic.config_for(settings.replication_factor)
            new.append(NewTopic(name, count, settings.replication_factor, topic_configs=config))
    if not new:
        return
    cluster = await admin.describe_cluster()
    if cluster["controller_id"] not in {broker["node_id"] for broker in cluster["brokers"]}:
        raise UnreachableError("the cluster has no controller, expected one: only a controller creates topics")
    response = await admin.create_topics(new)
    for name, code, *message in response.topic_errors:
        if for_code(code).__name__ == "TopicAlreadyExistsError":
            continue  # somebody else did it in the meantime
        hint = "; set MQLSTREAM_REPLICATION_FACTOR" if for_code(code).__name__ == "InvalidReplicationFactorError" else ""
        _refused(f"creating {name}", code, message[0] if message else None, hint)


async def _alter(admin: AIOKafkaAdminClient, actual: Mapping[str, Actual], differences: Iterable[Difference]) -> None:
    # The request replaces all of a topic's own settings, so those that nobody asked to change go along.
    configs: dict[str, dict[str, str]] = {}
    for difference in differences:
        configs.setdefault(difference.topic, dict(actual[difference.topic].own))[difference.what] = difference.declared
    if not configs:
        return
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, config) for name, config in configs.items()]
    for response in await admin.alter_configs(resources):
        for code, message, _, name in response.resources:
            _refused(f"changing {name}", code, message)


def _refused(what: str, code: int, message: Any, hint: str = "") -> None:
    """Raise the broker's refusal, if it is one, in one line."""
    if code:
        error = for_code(code)
        told = " ".join(str(message or error.description or "").split())
        raise UsageError(f"{what}: the broker refused: {error.__name__}: {told}{hint}")
