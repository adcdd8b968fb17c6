"""The events that a cluster still has, for commands that score them again: lead-events from its beginning to its end as it is now.

Joins no group and writes nothing. How records stand there is `mqlstream.wire`'s.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager

import click

from mqlstream import wire
from mqlstream.cli.sorting import Line, Sorter
from mqlstream.config import Settings, kafka_kwargs
from mqlstream.core.commands import ADOPT
from mqlstream.core.completing import COMPLETE
from mqlstream.core.event import Event
from mqlstream.core.outcome import Outcome, Reason, rejected
from mqlstream.dead_letters.reading import records
from mqlstream.ingest.results import UNKNOWN_KIND
from mqlstream.topics import Topics


async def retained(settings: Settings, count: Callable[[str, Outcome], None], sorter: Sorter) -> None:
    """Give all events to the sorter, partition by partition; records that are none are told on stderr and counted.

    What workers wrote for each other is left out, for scoring again makes it again: what a merged lead passed on, and completions.
    Raises `UsageError` when there is no such topic, and `UnreachableError`.
    """
    topic, ends = Topics(settings.topic_prefix).lead_events, dict[int, int]()
    with _progress(ends) as passed:
        async with aclosing(records(kafka_kwargs(settings), topic, ends)) as there:
            async for record in there:
                passed(record.partition, record.offset)
                if record.key in wire.BROADCASTS:
                    continue
                place, value = f"{topic}[{record.partition}]:{record.offset}", record.value or b""
                try:
                    event = wire.decode(value)
                except wire.WireError as error:
                    count(UNKNOWN_KIND, rejected(Reason.BAD_RECORD))
                    click.echo(f"{place}: {Reason.BAD_RECORD.value}: {error}", err=True)
                    continue
                if not _made_again(event):
                    sorter.take([Line(event, value, place)])


def _made_again(event: Event) -> bool:
    return bool(event.via) or (event.kind == "command" and event.body.get("do") in (ADOPT, COMPLETE))


@contextmanager
def _progress(ends: dict[int, int]) -> Iterator[Callable[[int, int], None]]:
    """Takes the place of each record, and draws a bar on stderr when that is a terminal. ``ends`` are there with the first record."""
    if not sys.stderr.isatty():
        yield lambda partition, offset: None
        return
    with click.progressbar(length=1, label="Reading", file=sys.stderr) as bar:
        read: dict[int, int] = {}

        def passed(partition: int, offset: int) -> None:
            bar.length = max(1, sum(ends.values()))
            if offset + 1 - read.get(partition, 0) >= 1000 or offset + 1 >= ends.get(partition, 0):
                bar.update(offset + 1 - read.get(partition, 0))
                read[partition] = offset + 1

        yield passed
