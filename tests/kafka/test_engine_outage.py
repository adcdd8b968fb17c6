"""The broker goes away under a running worker, and comes back or does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.kafka.broker import KafkaServer
from tests.kafka.engine_world import World

pytestmark = pytest.mark.kafka


def test_an_outage_of_the_broker_is_sat_out_and_a_worker_can_be_stopped_in_it(kafka: str, tmp_path: Path) -> None:
    # ``kafka`` only says whether a broker can be had here; this test breaks one of its own.
    with KafkaServer(tmp_path) as server:
        world = World(server.bootstrap, tmp_path, partitions=2)
        world.write(2_000)
        worker, other = world.worker(), world.worker()
        worker.until_running(1)
        other.until_running(1)
        server.kill()
        time.sleep(5)
        assert other.stop() == 0
        assert worker.process.poll() is None
        server.start()
        world.write(2_000, start=2_000)
        world.settled()
        worker.until_running(2)
        assert worker.stop() == 0
        world.check()
        world.close()
