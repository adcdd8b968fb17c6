"""One real broker for all tests of this folder; without Java and Maven they are skipped, and fail where CI=true."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator

import pytest

from tests.kafka.broker import KafkaServer, missing

pytest.register_assert_rewrite("tests.kafka.audit", "tests.kafka.history", "tests.kafka.engine_world")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the broker."""
    if lacking := missing():
        text = f"no real broker: {lacking} not found; the tests on real Kafka prove exactly-once, so run them somewhere"
        if os.environ.get("CI") == "true":
            pytest.fail(text)
        warnings.warn(text, stacklevel=1)
        pytest.skip(text)
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server.bootstrap
