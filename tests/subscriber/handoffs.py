"""Handoff records as the score stage writes them."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer

from mqlstream.handoff.cloudevents import encode
from mqlstream.handoff.contract import BECAME_MQL


async def write(bootstrap: str, topic: str, *ids: str, partition: int = 0) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for event_id in ids:
        event = {"type": BECAME_MQL, "id": event_id, "lead_id": "ann@acme.example", "time": 1_793_610_000_000, "data": {"cycle": 1}}
        key, value, headers = encode(event, "urn:test")
        await producer.send_and_wait(topic, value, key=key, headers=list(headers), partition=partition)
    await producer.stop()
