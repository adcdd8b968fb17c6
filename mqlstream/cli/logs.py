"""What a long-running command logs, and where: to stderr, for people and log collectors alike. Data goes to stdout."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager


def configure() -> None:
    """Log our own INFO and others' WARNING to stderr, with UTC times."""
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mqlstream").setLevel(logging.INFO)


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep the Kafka client from logging what our own error is about to say."""
    client = logging.getLogger("aiokafka")
    before = client.level
    client.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        client.setLevel(before)
