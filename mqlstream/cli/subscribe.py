"""`mqlstream subscribe`: handoffs to stdout, a program or a webhook. The client itself is `mqlstream.subscriber`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click
import orjson

from mqlstream.cli.logs import configure, quiet_client
from mqlstream.cli.options import config_option
from mqlstream.config import Settings, kafka_kwargs, load
from mqlstream.errors import UsageError
from mqlstream.handoff.contract import HandoffEvent
from mqlstream.subscriber.client import CannotDeliver, Failure, Handler, Retry, Subscriber
from mqlstream.subscriber.deliver import Program, Webhook
from mqlstream.topics import Topics


@click.command("subscribe")
@config_option
@click.option("--group", default="mqlstream-subscribe", show_default=True, metavar="G", help="Consumer group; its members share the leads.")
@click.option("--exec", "program", metavar="CMD", help="Run CMD for each event, its JSON on stdin; exit code 0 means done.")
@click.option("--webhook", metavar="URL", help="POST each event's JSON to URL; 2xx means done.")
@click.option("--attempts", type=click.IntRange(min=1), metavar="N", help="Give an event up after N attempts. Default: never.")
@click.option(
    "--given-up", type=click.Path(path_type=Path), metavar="FILE", help="With --attempts: append events given up here, as JSON lines."
)
def command(
    config_file: Path | None, group: str, program: str | None, webhook: str | None, attempts: int | None, given_up: Path | None
) -> None:
    """Receive the handoff topic: each event at least once, those of a lead in order, repeated ids passed over.

    Prints each event as a JSON line; or hands it to a program or a webhook, and goes on only when that succeeded.

    \b
    Examples:
      mqlstream subscribe | jq .lead_id
      mqlstream subscribe --group crm --webhook https://crm.acme.example/hooks/mql
    """
    if program is not None and webhook is not None:
        raise UsageError("--exec and --webhook: got both, expected at most one")
    if (attempts is None) != (given_up is None):
        raise UsageError("--attempts and --given-up: got one of them, expected both or none, for no event may get lost")
    configure()
    settings = load(config_file, os.environ)
    try:
        number = asyncio.run(_receive(settings, group, program, webhook, attempts, given_up))
    except CannotDeliver:
        raise BrokenPipeError from None
    if number == signal.SIGINT:
        raise KeyboardInterrupt


async def _receive(
    settings: Settings, group: str, program: str | None, webhook: str | None, attempts: int | None, given_up: Path | None
) -> int | None:
    """Until a signal, whose number it returns."""
    async with AsyncExitStack() as stack:
        handle: Handler = _print
        if program is not None:
            handle = Program(program).handle
        elif webhook is not None:
            handle = (await stack.enter_async_context(Webhook(webhook))).handle
        options: dict[str, Any] = {}
        if given_up is not None:
            options = {"retry": Retry(attempts=attempts), "give_up": _appending_to(given_up)}
        subscriber = Subscriber(group, handle, kafka=kafka_kwargs(settings), topic=Topics(settings.topic_prefix).handoff, **options)
        got: list[int] = []
        loop = asyncio.get_running_loop()

        def on_signal(number: int) -> None:
            got.append(number)
            subscriber.stop()
            for each in (signal.SIGTERM, signal.SIGINT):  # a second one ends the process at once
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        running = asyncio.create_task(subscriber.run())
        joining = asyncio.create_task(subscriber.joined.wait())
        with quiet_client():
            await asyncio.wait({running, joining}, return_when=asyncio.FIRST_COMPLETED)
        joining.cancel()
        await running
        return got[0] if got else None


async def _print(event: HandoffEvent) -> None:
    try:
        click.echo(orjson.dumps(event.as_json()))
        sys.stdout.flush()
    except BrokenPipeError:
        raise CannotDeliver("stdout is closed") from None


def _appending_to(file: Path) -> Any:
    async def give_up(failure: Failure) -> None:
        place = {"topic": failure.topic, "partition": failure.partition, "offset": failure.offset}
        event = failure.event.as_json() if failure.event else None
        raw = None if failure.event else (failure.value or b"").decode(errors="replace")
        line = {"event": event, "value": raw, "error": str(failure.error), "attempts": failure.attempts, **place}
        with file.open("ab") as lines:
            lines.write(orjson.dumps(line) + b"\n")
            lines.flush()
            os.fsync(lines.fileno())

    return give_up
