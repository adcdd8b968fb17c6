"""The cluster's topics against the declaration, as `run` and `topics plan` see them, and whether their partitions are well. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mqlstream.config import Settings
from mqlstream.doctor.cluster import Topic
from mqlstream.doctor.finding import OK, PROBLEM, WARNING, Check, counted, some
from mqlstream.topics import declared
from mqlstream.topics.cluster import ALTER, BY_HAND, CREATE, NEEDED_BY_INSIGHTS, Actual, Difference, compare

TOPICS = "topics"
PARTITIONS = "partitions"
APPLY = "mqlstream topics apply"
_NOT_SETTINGS = ("topic", "partitions")


def structure(settings: Settings, topics: Mapping[str, Topic]) -> list[Difference]:
    """What differs but for the topics' settings; topics that the principal may not see are passed over."""
    actual = {
        name: Actual(len(topic.partitions), min((partition.replicas for partition in topic.partitions), default=1), {}, {})
        for name, topic in topics.items()
        if topic.there
    }
    hidden = {name for name, topic in topics.items() if topic.there is None}
    return [each for each in compare(settings, actual) if each.what in _NOT_SETTINGS and each.topic not in hidden]


def topic_checks(settings: Settings, topics: Mapping[str, Topic]) -> list[Check]:
    """Missing topics, and partition counts with which `run` refuses to start."""
    found = []
    differences = structure(settings, topics)
    missing = [each.topic for each in differences if each.action == CREATE]
    if missing:
        found.append(Check(TOPICS, PROBLEM, some(missing), "missing", f"{counted(len(declared()), 'topic')} in all", APPLY))
    found += _wrong_counts(differences)
    for name in settings.sources:
        if name in topics and topics[name].there is False:
            told, mend = "missing, and a source is read from it", "create it, or take it out of MQLSTREAM_SOURCES"
            found.append(Check(TOPICS, PROBLEM, name, told, "a topic", mend))
    there = sum(topic.there is True for topic in topics.values())
    return found or [Check(TOPICS, OK, "", f"{counted(there, 'topic')} there, with the partitions that they must have")]


def _wrong_counts(differences: Sequence[Difference]) -> list[Check]:
    """Those with which `run` refuses to start, topics of one kind and count in one line."""
    alike: dict[tuple[str | None, str, str, str], list[str]] = {}
    for each in differences:
        if each.what != "partitions":
            continue
        if each.action == BY_HAND:
            kind = (each.actual, each.declared, "(MQLSTREAM_PARTITIONS)", each.note)
        elif each.note == NEEDED_BY_INSIGHTS:
            mend = "run without insights, --roles ingest,score,web; or begin anew with another prefix"
            kind = (each.actual, each.declared, "for the role insights", mend)
        else:
            continue
        alike.setdefault(kind, []).append(each.topic)
    return [
        Check(TOPICS, PROBLEM, some(names), f"{actual} partitions", f"{wanted} {why}", mend)
        for (actual, wanted, why, mend), names in alike.items()
    ]


def setting_checks(differences: Sequence[Difference]) -> list[Check]:
    """What `topics plan` finds of settings. Those of inputs belong to others, and may differ."""
    found = []
    own = [each for each in differences if each.what not in _NOT_SETTINGS]
    altered = [each for each in own if each.action == ALTER]
    if altered:
        first = altered[0]
        names = list(dict.fromkeys(each.topic for each in altered))
        told = f"{counted(len(altered), 'setting')} not as declared, such as {first.what} {first.actual}"
        found.append(Check(TOPICS, WARNING, some(names), told, str(first.declared), f"mqlstream topics plan shows all, {APPLY} sets them"))
    for each in own:
        if each.action == BY_HAND:
            mend = f"set it yourself: {each.note}"
            found.append(Check(TOPICS, WARNING, each.topic, f"{each.what} is {each.actual}", each.declared, mend))
    return found or [Check(TOPICS, OK, "", "their settings are as declared")]


def partition_checks(settings: Settings, topics: Mapping[str, Topic]) -> list[Check]:
    """Partitions that nobody serves, that take no writes, or that lack a copy."""
    least = {settings.topic_prefix + topic.name: topic for topic in declared()}
    offline, refusing, lacking = [], [], []
    count = 0
    for name, topic in topics.items():
        for partition in topic.partitions:
            count += 1
            place = f"{name}[{partition.number}]"
            # What topics apply sets; a topic's own min.insync.replicas may be lower.
            needed = int(least[name].config_for(partition.replicas)["min.insync.replicas"]) if name in least else 1
            if partition.leader < 0:
                offline.append(place)
            elif partition.in_sync < needed:
                refusing.append(place)
            elif partition.in_sync < partition.replicas:
                lacking.append(place)
    found = []
    mend = "look at the brokers' state and log"
    if offline:
        found.append(Check(PARTITIONS, PROBLEM, some(offline), "offline: no broker serves them", "a leader each", mend))
    if refusing:
        told = "too few replicas in sync: nothing can be written"
        found.append(Check(PARTITIONS, PROBLEM, some(refusing), told, "min.insync.replicas of them", mend))
    if lacking:
        found.append(Check(PARTITIONS, WARNING, some(lacking), "under-replicated", "all replicas in sync", mend))
    return found or [Check(PARTITIONS, OK, "", f"all {count} have a leader and all their replicas in sync")]
