"""What commands reach: a topic, and the worker that is asked where no address is given."""

from __future__ import annotations

from mqlstream.config import Settings, kafka_kwargs
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.errors import UsageError


async def require(settings: Settings, topic: str) -> None:
    """Raises `UsageError` when the cluster has no such topic, `UnreachableError` when it does not answer.

    Asked before any client names the topic: many brokers create one that is only asked for. It would have the broker's own number of
    partitions and retention then, and neither can be put right afterwards.
    """
    if not await KafkaBroker(kafka_kwargs(settings)).partitions([topic]):
        raise UsageError(f"no topic {topic} on the broker; create what is missing: mqlstream topics apply")


def worker_address(settings: Settings) -> str:
    """Where to ask when no address is given: the worker that has the same settings, on this machine."""
    if settings.http_advertise is None and settings.http_everywhere:
        return f"http://{'[::1]' if ':' in settings.http_host else '127.0.0.1'}:{settings.http_port}"
    return settings.http_url
