"""Letting go of aiokafka's transactional producers, in bounded time and without complaints: what its own `stop` leaves out.

The client keeps failures in futures of its own that only some callers wait for: the end of a transaction that was begun and neither
committed nor aborted, the sending of a batch that never went out. Nobody asks for them once the failure is known from elsewhere, as after
a fence, and the event loop would log each with its traceback when it is forgotten. They are in no public place, so they are looked at here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import ProducerClosed

log = logging.getLogger(__name__)

_CLOSE_S = 5.0


async def close_producer(producer: AIOKafkaProducer, clean: bool) -> None:
    """Let go of it. ``clean``: no transaction is open, nothing is on its way; else the broker, or a successor, is left to abort that."""
    try:
        async with asyncio.timeout(_CLOSE_S):
            if not clean:
                await _abandon(producer)
            await producer.stop()
    except Exception as error:
        log.debug("closing a producer: %s", error)
        await producer.client.close()


def hear_transaction(producer: AIOKafkaProducer) -> None:
    """Look at how the open transaction failed, if it did: before it is aborted, for then the client forgets it."""
    waiter = producer._txn_manager._transaction_waiter
    if waiter is not None and waiter.done():
        seen(waiter)


def seen(future: asyncio.Future[Any]) -> None:
    """Or the event loop would complain of a failure that nobody asked for, as after a timeout."""
    if not future.cancelled():
        future.exception()


async def _abandon(producer: AIOKafkaProducer) -> None:
    """Without a broker the client would wait for it for ever, to send what nobody wants any more."""
    accumulator = producer._message_accumulator
    unsent = [batch for batches in accumulator._batches.values() for batch in batches]
    accumulator.fail_all(ProducerClosed())
    for batch in unsent:
        seen(batch._drain_waiter)
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()  # again and again: it waits for its own tasks, one after the other
        await asyncio.wait([sender], timeout=0.05)
    hear_transaction(producer)
