"""Whether a topic is there, asked before any client names it: many brokers create a topic that is only asked for.

It would have the broker's own number of partitions and retention then, and neither can be put right afterwards.
"""

from __future__ import annotations

from mqlstream.config import Settings, kafka_kwargs
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.errors import UsageError


async def require(settings: Settings, topic: str) -> None:
    """Raises `UsageError` when the cluster has no such topic, `UnreachableError` when it does not answer."""
    if not await KafkaBroker(kafka_kwargs(settings)).partitions([topic]):
        raise UsageError(f"no topic {topic} on the broker; create what is missing: mqlstream topics apply")
