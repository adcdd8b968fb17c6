"""Kafka through aiokafka: `KafkaBroker` implements `mqlstream.engine.interfaces.Broker`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class KafkaBroker:
    """``kafka`` are aiokafka's connection settings: bootstrap_servers, security_protocol, sasl_*, ssl_context, ..."""

    def __init__(self, kafka: Mapping[str, Any]) -> None:
        self._kafka = dict(kafka)
