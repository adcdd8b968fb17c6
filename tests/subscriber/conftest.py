"""A broker for the subscriber's tests, and handoffs on it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from mqlstream.demo.broker import EmbeddedBroker


@pytest.fixture(scope="session")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture
def topic() -> str:
    """A topic of the test's own; its group is named as it is."""
    return f"handoff-{uuid4().hex}"
