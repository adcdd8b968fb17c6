"""`mqlstream topics` on the embedded broker, which cannot do all that a Kafka broker can: the text says so."""

from __future__ import annotations

import pytest

from mqlstream.demo.broker import EmbeddedBroker
from mqlstream.topics import Topics
from tests.cli.conftest import Run


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_broker_that_lacks_a_request_is_told_with_the_likely_cause(mqlstream: Run, command: str) -> None:
    with EmbeddedBroker(Topics().all) as broker:
        done = mqlstream("topics", command, MQLSTREAM_BOOTSTRAP_SERVERS=broker.bootstrap)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"Error: {broker.bootstrap}: the broker lacks a request that is needed "
        "(IncompatibleBrokerVersion: DescribeConfigsRequest cannot be used if the API version is unknown); "
        "likely it is the embedded broker of `mqlstream demo`, or a very old one; expected a Kafka broker that has all of them\n"
    )
