"""How commands write an event that is typed in, and tell where it stands. What it may hold is `mqlstream.doors.writing`'s."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from mqlstream.cli.logs import configure, quiet_client
from mqlstream.cli.output import emit
from mqlstream.cli.reaching import require
from mqlstream.config import Settings, kafka_kwargs
from mqlstream.doors.writing import Door, Form, Ready, Unfit, Written, ready
from mqlstream.errors import UsageError
from mqlstream.topics import largest_message_bytes

SOURCE = "mqlstream-cli"  # where an event comes from that is typed in


def write(settings: Settings, form: Form, given: Mapping[str, Any], topic: str, format_: str) -> None:
    """Write one event and print its topic, partition and offset. Fields that are None are left out; ``time`` may be text.

    Raises `UsageError` when it is no event of the form, before any broker is asked, or when there is no such topic, and `UnreachableError`.
    """
    told = {name: value for name, value in given.items() if value is not None}
    if told.get("time", "").isdecimal():
        told["time"] = int(told["time"])
    try:
        events = ready(form, [told], topic, time.time_ns() // 1_000_000)
    except Unfit as unfit:
        raise UsageError(str(unfit)) from None
    configure()
    with quiet_client():
        written = asyncio.run(_write(settings, topic, events))
    emit([each._asdict() for each in written], format_)


async def _write(settings: Settings, topic: str, events: list[Ready]) -> list[Written]:
    await require(settings, topic)
    door = Door(kafka_kwargs(settings), topic, largest_message_bytes())
    try:
        return await door.write(events)
    finally:
        await door.close()
