"""What the workers make of it: definitions in force, readiness, how far the groups have come, what was put aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from aiokafka import TopicPartition

from mqlstream.config import Settings, kafka_kwargs
from mqlstream.definition.model import Definition
from mqlstream.doctor.cluster import Cluster, Group, Topic
from mqlstream.doctor.finding import OK, PROBLEM, UNCHECKED, WARNING, Check, counted, some
from mqlstream.doctor.here import DEFINITIONS
from mqlstream.doors.definitions import DefinitionsDoor, Published
from mqlstream.errors import MqlstreamError
from mqlstream.topics import Topics

WORKERS = "workers"
_ANSWER = aiohttp.ClientTimeout(total=5)


async def published(settings: Settings) -> list[Published]:
    """The newest published version of each definition."""
    door = DefinitionsDoor(kafka_kwargs(settings), Topics(settings.topic_prefix), settings.app_id)
    return list({each.id: each for each in await door.published()}.values())


def in_force(files: Mapping[str, tuple[Path, Definition]], pushed: Sequence[Published]) -> list[Check]:
    """Which version of each definition counts. Pure."""
    found = []
    for each in pushed:
        about = f"{each.id} version {each.version}"
        try:
            each.read()
        except MqlstreamError as error:
            told = f"in force, and this version of mqlstream cannot read it: {error}"
            found.append(Check(DEFINITIONS, PROBLEM, about, told, mend="upgrade, or push a version that can be read"))
            continue
        when = datetime.fromtimestamp(each.time / 1000, UTC).isoformat(timespec="seconds")
        file, definition = files.get(each.id, (None, None))
        if definition is not None and definition.version >= each.version and definition.digest != each.digest:
            told = f"in force, pushed at {when}; {file} has version {definition.version} with other content, which does not count"
            found.append(Check(DEFINITIONS, WARNING, about, told, "the newest version pushed", f"mqlstream definitions push {file}"))
            continue
        found.append(Check(DEFINITIONS, OK, about, f"in force, pushed at {when}"))
    there = {each.id for each in pushed}
    for name, (file, definition) in files.items():
        if name not in there:
            found.append(Check(DEFINITIONS, OK, f"{name} version {definition.version}", f"in force from {file}: none was pushed"))
    return found


async def readiness(settings: Settings) -> list[Check]:
    """What a worker at the settings' address says of itself."""
    url = f"http://{settings.http_advertise or f'127.0.0.1:{settings.http_port}' if settings.http_everywhere else settings.http_bind}"
    try:
        async with aiohttp.ClientSession(timeout=_ANSWER) as session, session.get(f"{url}/readyz", allow_redirects=False) as response:
            status, text = response.status, " ".join((await response.text())[:1000].split())
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return [Check(WORKERS, UNCHECKED, url, "no worker answers here")]
    if status == 200:
        return [Check(WORKERS, OK, url, "ready")]
    if status == 503:
        return [Check(WORKERS, WARNING, url, f"not ready: {text}", "ready", "wait while it restores; deploy/runbooks has more")]
    return [
        Check(
            WORKERS,
            WARNING,
            url,
            f"/readyz answers with status {status}, so another program listens there",
            "a worker, or nobody",
            "set MQLSTREAM_HTTP_BIND",
        )
    ]


async def progress(cluster: Cluster, groups: Sequence[Group], topics: Mapping[str, Topic]) -> list[Check]:
    """Members of each group, and how far its told offsets are behind. What counts is in the changelogs: this is for people."""
    told = {group.name: await cluster.committed(group.name) for group in groups if not group.denied}
    there = {TopicPartition(name, partition.number) for name, topic in topics.items() for partition in topic.partitions}
    places = {place for offsets in told.values() for place in offsets} & there
    ends = await cluster.offsets(places) if places else {}
    idle = [group.name for group in groups if not group.denied and not group.members and not told[group.name]]
    found = [group_check(group, told[group.name], ends) for group in groups if group.name in told and group.name not in idle]
    if idle:
        found.append(Check(WORKERS, OK, some(idle, len(idle)), "no members, and no offsets told yet"))
    return found


def group_check(group: Group, offsets: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, tuple[int, int]]) -> Check:
    """One line. ``ends``: beginning and end of the partitions that there are. Pure."""
    about = f"group {group.name}"
    members = f"{counted(group.members, 'member')}, {group.state.lower()}" if group.members else "no members"
    if not offsets:
        return Check(WORKERS, OK, about, f"{members}, has told no offsets yet")
    lag = sum(max(0, ends[place][1] - offset) for place, offset in offsets.items() if place in ends)
    told = f"{members}, {counted(lag, 'offset')} behind in {counted(len(offsets), 'partition')}"
    if lag and not group.members:
        return Check(WORKERS, WARNING, about, told, "a worker with this role", "mqlstream run; deploy/runbooks/worker-down.md")
    return Check(WORKERS, OK, about, told)


async def dead_letters(cluster: Cluster, topic: str, partitions: int) -> list[Check]:
    """How much stands on the topic. Not a warning: what was retried stays there until its retention ends."""
    offsets = await cluster.offsets(TopicPartition(topic, number) for number in range(partitions))
    count = sum(end - begin for begin, end in offsets.values())
    told = f"at most {counted(count, 'record')}: mqlstream dlq list --count" if count else "empty"
    return [Check("dead letters", OK, topic, told)]
