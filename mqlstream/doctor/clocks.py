"""This host's clock against the cluster's and the workers'.

Kafka has no request for the time. Two answers carry it nevertheless, and neither needs a record to be written:

- The metadata quorum's leader tells when each replica was last caught up, by its own clock; and itself it counts as caught up now. So
  the skew is known to half of what the answer took. It needs the right to Describe the cluster, and a cluster without ZooKeeper.
- Every transaction of a task writes its position into a changelog, with the worker's time. A record from the future says that the
  worker's clock or ours is wrong; one from the past says nothing, for workers may have nothing to do. Topics of events are not looked
  at: their records keep the events' times.
"""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition

from mqlstream.doctor.cluster import ANSWER_S, Cluster
from mqlstream.doctor.finding import OK, PROBLEM, UNCHECKED, WARNING, Check

CLOCK = "clock"
WARN_MS = 1_000  # what an MQL takes: further apart than this, times of different hosts mislead
PROBLEM_MS = 300_000  # from here on ingest takes correct times for wrong ones: see `ingest.canonical`
_MEND = "synchronise both hosts' clocks (NTP)"
_NEWEST = 10  # records at the end of a partition, markers among them


def skew_check(skew_ms: float, uncertain_ms: float) -> Check:
    """The cluster's clock less ours. Pure."""
    told = f"{abs(skew_ms):.0f} ms {'ahead of' if skew_ms > 0 else 'behind'} this host's (give or take {uncertain_ms:.0f} ms)"
    return _judged(abs(skew_ms) - uncertain_ms, "the cluster's clock", told, "at most 1 s apart")


def future_check(newest_ms: int | None, now_ms: float) -> Check:
    """The newest time at which a worker wrote, against ours. Pure."""
    about = "the workers' clocks"
    if newest_ms is None:
        return Check(CLOCK, UNCHECKED, about, "no worker has written a position yet")
    ahead_ms = newest_ms - now_ms
    if ahead_ms <= 0:
        return Check(CLOCK, OK, about, f"nothing was written in the future; the newest position {-ahead_ms / 1000:.0f} s ago")
    return _judged(
        ahead_ms, about, f"a position was written {ahead_ms:.0f} ms in the future", "at most 1 s: is a worker's clock wrong, or this one?"
    )


def _judged(off_ms: float, about: str, told: str, expected: str) -> Check:
    if off_ms <= WARN_MS:
        return Check(CLOCK, OK, about, told)
    return Check(CLOCK, WARNING if off_ms < PROBLEM_MS else PROBLEM, about, told, expected, _MEND)


async def clock_of_cluster(cluster: Cluster) -> list[Check]:
    """One line."""
    told = await cluster.clock()
    if told is None:
        return [Check(CLOCK, UNCHECKED, "the cluster's clock", "the principal has no right to Describe the cluster")]
    return [skew_check(*told)]


async def clocks_of_workers(cluster: Cluster, topic: str, partitions: int) -> list[Check]:
    """One line, from the ends of ``topic``, a changelog of positions."""
    newest: int | None = None
    places = [TopicPartition(topic, number) for number in range(partitions)]
    async with cluster.reader() as consumer, asyncio.timeout(ANSWER_S):
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        left = {place for place in places if ends[place] > begins[place]}
        consumer.assign(sorted(left))
        for place in left:
            consumer.seek(place, max(begins[place], ends[place] - _NEWEST))
        while left:
            for records in (await consumer.getmany(*left, timeout_ms=200)).values():
                newest = max(newest or 0, *(record.timestamp for record in records))
            left = {place for place in left if await consumer.position(place) < ends[place]}
    return [future_check(newest, time.time() * 1000)]
