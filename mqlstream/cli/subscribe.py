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
from mqlstream.cli.options import Whole, config_option
from mqlstream.cli.output import FORMATS
from mqlstream.cli.reaching import require
from mqlstream.cli.telling import date, plain
from mqlstream.config import Settings, kafka_kwargs, load
from mqlstream.errors import UsageError
from mqlstream.handoff.contract import HandoffEvent
from mqlstream.subscriber.client import CannotDeliver, Failure, Handler, Retry, Subscriber
from mqlstream.subscriber.deliver import Program, Webhook
from mqlstream.topics import Topics


@click.command("subscribe")
@config_option
@click.option("--group", default="mqlstream-subscribe", show_default=True, metavar="G", help="Consumer group; its members share the leads.")
@click.option(
    "--exec", "program", metavar="CMD", help="Run the program CMD for each event, its JSON on stdin; exit code 0 means done. No shell."
)
@click.option("--webhook", metavar="URL", help="POST each event's JSON to URL; 2xx means done.")
@click.option("--attempts", type=Whole(min=1), metavar="N", help="Give an event up after N attempts. Default: never.")
@click.option(
    "--given-up", type=click.Path(path_type=Path), metavar="FILE", help="With --attempts: append events given up here, as JSON lines."
)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="How to print the events. Default: jsonl.")
def command(
    config_file: Path | None,
    group: str,
    program: str | None,
    webhook: str | None,
    attempts: int | None,
    given_up: Path | None,
    format_: str | None,
) -> None:
    """Receive the handoff topic: each event at least once, those of a lead in order, repeated ids passed over.

    Prints each event as it comes, as a JSON line; or hands it to a program or a webhook, and goes on only when that succeeded.

    CMD is a program and its arguments, run without a shell: what needs one, such as a redirection or a pipe, goes through `sh -c`.

    \b
    Examples:
      mqlstream subscribe | jq .lead_id
      mqlstream subscribe --group crm --webhook https://crm.acme.example/hooks/mql
      mqlstream subscribe --group log --exec "sh -c 'cat >> handoffs.jsonl'"
    """
    if program is not None and webhook is not None:
        raise UsageError("--exec and --webhook: got both, expected at most one")
    if format_ is not None and (program is not None or webhook is not None):
        raise UsageError("--format: nothing is printed with --exec or --webhook, expected it without them")
    if not group:
        raise UsageError("--group: got an empty name, expected the name of a consumer group")
    if (attempts is None) != (given_up is None):
        raise UsageError("--attempts and --given-up: got one of them, expected both or none, for no event may get lost")
    configure()
    settings = load(config_file, os.environ)
    printing = _Printing(format_ or "jsonl")
    try:
        number = asyncio.run(_receive(settings, group, printing, program, webhook, attempts, given_up))
    except CannotDeliver:
        raise BrokenPipeError from None
    printing.end()
    if number == signal.SIGINT:
        raise KeyboardInterrupt


async def _receive(
    settings: Settings,
    group: str,
    printing: _Printing,
    program: str | None,
    webhook: str | None,
    attempts: int | None,
    given_up: Path | None,
) -> int | None:
    """Until a signal, whose number it returns."""
    topic = Topics(settings.topic_prefix).handoff
    async with AsyncExitStack() as stack:
        handle: Handler = printing.handle
        if program is not None:
            handle = Program(program).handle
        elif webhook is not None:
            handle = (await stack.enter_async_context(Webhook(webhook))).handle
        with quiet_client():
            await require(settings, topic)
        options: dict[str, Any] = {}
        if given_up is not None:
            options = {"retry": Retry(attempts=attempts), "give_up": _appending_to(given_up)}
        subscriber = Subscriber(group, handle, kafka=kafka_kwargs(settings), topic=topic, **options)
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


class _Printing:
    """Events to stdout as they come, in one of `FORMATS`. An array in JSON is closed by `end`, when no more are to come."""

    def __init__(self, format_: str) -> None:
        self._format = format_
        self._begun = False

    async def handle(self, event: HandoffEvent) -> None:
        """Raises `CannotDeliver` when nobody reads stdout any more."""
        try:
            self._print(event)
            sys.stdout.flush()
        except BrokenPipeError:
            raise CannotDeliver("stdout is closed") from None
        self._begun = True

    def end(self) -> None:
        """Nothing more will be printed."""
        if self._format == "json":
            click.echo("\n]" if self._begun else "[]")

    def _print(self, event: HandoffEvent) -> None:
        if self._format == "jsonl":
            click.echo(orjson.dumps(event.as_json()))
        elif self._format == "json":
            click.echo(b",\n" if self._begun else b"[\n", nl=False)
            click.echo(orjson.dumps(event.as_json()), nl=False)
        else:
            if not self._begun:
                click.echo(_row("TIME", "TYPE", "ID", "LEAD ID"))
            click.echo(_row(date(event.time_ms), event.type, event.id, plain(event.lead_id)))


def _row(time: str, kind: str, event_id: str, lead: str) -> str:
    """A line of a table whose rows are not known beforehand: what has no usual length stands last."""
    return f"{time:<20}  {kind:<33}  {event_id:<32}  {lead}"


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
