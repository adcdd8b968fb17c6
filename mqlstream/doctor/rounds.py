"""The doctor's rounds: all checks, in their order. One that fails holds up only those that need what it found."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError

from mqlstream.config import Settings, kafka_kwargs
from mqlstream.definition.model import Definition
from mqlstream.doctor import clocks, rights, topics, working
from mqlstream.doctor.cluster import Brokers, Cluster, Group, Topic, connected, reason
from mqlstream.doctor.finding import OK, PROBLEM, UNCHECKED, Check, counted
from mqlstream.doctor.here import DEFINITIONS, definition_checks, settings_checks
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.errors import MqlstreamError, UnreachableError, UsageError
from mqlstream.topics import Topics
from mqlstream.topics.cluster import plan

BROKER = "broker"
Files = Mapping[str, tuple[Path, Definition]]  # those that could be read, by their definitions' ids
_NEED_A_BROKER = (BROKER, rights.AUTHORISATION, topics.TOPICS, topics.PARTITIONS, clocks.CLOCK)


@dataclass(slots=True)
class Report:
    """All checks; ``unreachable`` is why the broker could not be asked, or empty."""

    checks: list[Check] = field(default_factory=list)
    unreachable: str = ""

    def broken_off(self, why: str) -> None:
        """No broker can be asked any more: tell what was not checked for that."""
        told = {check.check for check in self.checks}
        self.checks += [Check(name, UNCHECKED, "", why) for name in _NEED_A_BROKER if name not in told]

    async def heed(self, name: str, about: str, asked: Awaitable[list[Check]]) -> None:
        """Take in what a check finds; why it found nothing otherwise."""
        try:
            self.checks += await asked
        except IncompatibleBrokerVersion:
            self.checks.append(Check(name, UNCHECKED, about, "the broker knows no such question"))
        except (KafkaError, OSError, TimeoutError, UnreachableError) as error:
            self.checks.append(Check(name, PROBLEM, about, f"the broker gave no answer: {reason(error)}"))
            self.unreachable = self.unreachable or f"{name}: {reason(error)}"
        except MqlstreamError as error:
            self.checks.append(Check(name, PROBLEM, about, str(error)))


async def examine(settings: Settings) -> Report:
    """All that can be checked; takes seconds, and raises nothing for what it finds."""
    report = Report(settings_checks(settings))
    found, files = definition_checks(settings)
    report.checks += found
    try:
        kafka = kafka_kwargs(settings)
        began = time.monotonic()
        await KafkaBroker(kafka).partitions(())  # its error says why
        took_ms = (time.monotonic() - began) * 1000
        async with connected(kafka) as cluster:
            await _Round(settings, report, cluster, took_ms).go(files)
    except UsageError:  # stands among the settings' checks
        report.broken_off("no client can be made with these settings")
    except UnreachableError as error:
        report.unreachable = str(error)
        mend = "set MQLSTREAM_BOOTSTRAP_SERVERS and MQLSTREAM_SECURITY_PROTOCOL"
        report.checks += await _announced(kafka) or [Check(BROKER, PROBLEM, "", str(error), "a broker that answers", mend)]
        report.broken_off("no broker answers")
    except (KafkaError, OSError, TimeoutError) as error:
        report.unreachable = f"the broker gave no answer: {reason(error)}"
        report.checks.append(Check(BROKER, PROBLEM, "", report.unreachable))
        report.broken_off("no broker answers")
    report.checks += await working.readiness(settings)
    order = list(dict.fromkeys(check.check for check in report.checks))
    report.checks.sort(key=lambda check: order.index(check.check))
    return report


async def _announced(kafka: Mapping[str, Any]) -> list[Check]:
    """The usual reason why a cluster that answers cannot be worked with; nothing when it does not even answer."""
    try:
        async with connected(kafka) as cluster:
            return _out_of_reach(await cluster.out_of_reach())
    except (KafkaError, OSError, TimeoutError):
        return []


def _out_of_reach(addresses: Mapping[int, str]) -> list[Check]:
    expected, mend = "an address that clients reach", "set the broker's advertised.listeners"
    return [
        Check(BROKER, PROBLEM, address, f"broker {node} announces itself there, and cannot be reached from here", expected, mend)
        for node, address in addresses.items()
    ]


class _Round:
    """Everything for which the cluster is asked."""

    def __init__(self, settings: Settings, report: Report, cluster: Cluster, took_ms: float) -> None:
        self._settings = settings
        self._report = report
        self._cluster = cluster
        self._took_ms = took_ms
        self._names = Topics(settings.topic_prefix)

    async def go(self, files: Files) -> None:
        report, settings, cluster = self._report, self._settings, self._cluster
        names = list(dict.fromkeys([*self._names.all, *settings.sources]))
        brokers, told = await cluster.describe([*names, rights.GROUPS_LOG])
        log = told.pop(rights.GROUPS_LOG)
        await report.heed(BROKER, "", self._brokers(brokers))
        groups: list[Group] = []
        await report.heed(rights.AUTHORISATION, "", self._rights(told, log, groups))
        report.checks += topics.topic_checks(settings, told)
        if any(topic.there for topic in told.values()):
            await report.heed(topics.TOPICS, "", self._topic_settings())
            report.checks += topics.partition_checks(settings, told)
        await report.heed(clocks.CLOCK, "the cluster's clock", clocks.clock_of_cluster(cluster))
        positions, letters = told[self._names.ingest_positions], told[self._names.dead_letters]
        if positions.there:
            asked = clocks.clocks_of_workers(cluster, positions.name, len(positions.partitions))
            await report.heed(clocks.CLOCK, "the workers' clocks", asked)
        if told[self._names.definitions].there and told[self._names.lead_events].there:
            await report.heed(DEFINITIONS, self._names.definitions, self._definitions(files))
        if groups:
            await report.heed(working.WORKERS, "", working.progress(cluster, groups, told))
        if letters.there:
            await report.heed("dead letters", letters.name, working.dead_letters(cluster, letters.name, len(letters.partitions)))

    async def _brokers(self, brokers: Brokers) -> list[Check]:
        servers = ",".join(self._settings.kafka.bootstrap_servers)
        told = f"answered within {self._took_ms:.0f} ms; {counted(len(brokers.addresses), 'broker')}, cluster {brokers.cluster}"
        found = [Check(BROKER, OK, servers, told)]
        return found + _out_of_reach(await self._cluster.out_of_reach())

    async def _rights(self, told: Mapping[str, Topic], log: Topic, groups: list[Group]) -> list[Check]:
        """What may be done with topics, groups and transactional ids; fills in ``groups``."""
        settings, report, cluster = self._settings, self._report, self._cluster
        checked = await cluster.authorises()
        if not checked:
            report.checks.append(
                Check(rights.AUTHORISATION, OK, "", "not checked: the broker has no authoriser, everybody may do everything")
            )
        else:
            report.checks += rights.topic_rights(settings, told)
        if checked:
            report.checks += await rights.transaction_rights(settings, cluster)
        if log.there is False:
            return [Check(rights.AUTHORISATION, UNCHECKED, "groups", "nobody has used any on this cluster yet")] if checked else []
        groups += [await cluster.group(name) for name in rights.groups_of(settings)]
        return rights.group_rights(settings, groups) if checked else []

    async def _topic_settings(self) -> list[Check]:
        try:
            return topics.setting_checks(await plan(self._settings))
        except (UsageError, UnreachableError) as error:  # a principal that may not look at settings; a broker that has none
            return [Check(topics.TOPICS, UNCHECKED, "", f"their settings cannot be read: {error}")]

    async def _definitions(self, files: Files) -> list[Check]:
        return working.in_force(files, await working.published(self._settings))
