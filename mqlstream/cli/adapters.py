"""`mqlstream adapters`: which sources can be read, and what their payloads become. The adapters are in `mqlstream.ingest.adapters`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.core.event import Event
from mqlstream.errors import UsageError
from mqlstream.ingest.adapters.base import Adapter, Source
from mqlstream.ingest.adapters.reading import Reading, read
from mqlstream.ingest.adapters.registry import ADAPTERS, source_of
from mqlstream.ingest.fields import nearest
from mqlstream.ingest.identity import visitors_of
from mqlstream.ingest.results import Anonymous, IngestOptions

_LISTED = ("adapter", "title", "kinds", "identity", "event_id", "time")
_TESTED = ("record", "place", "outcome", "kind", "time", "lead_id", "id", "detail")


@click.group()
def command() -> None:
    """Show which sources can be read, and what their payloads become.

    \b
    Example:
      mqlstream adapters test payload.json --source segment
    """


@command.command("list")
@format_option
def list_(format_: str) -> None:
    """Print all adapters: the kinds of events they give, and where these have their ids, times and people from.

    \b
    Example:
      mqlstream adapters list --format json
    """
    emit([_row(adapter) for adapter in ADAPTERS.values()], format_, columns=_LISTED if format_ != "table" else _LISTED[:3])


@command.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE")
@click.option("--source", "name", required=True, metavar="S", help="An adapter's name, or a topic under `sources` in the settings.")
@config_option
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of the record, such as ce_type=com.acme.signup.")
@format_option
def test(file: Path, name: str, config_file: Path | None, headers: Sequence[str], format_: str) -> int:
    """Print what payloads become: events, ignored with the reason, rejected with the reason; exit 1 when something is rejected.

    FILE is one payload, or one a line; - is stdin.

    \b
    Example:
      mqlstream adapters test payload.json --source segment --format json
    """
    source, options = _source(name, config_file)
    pairs = [_header(text) for text in headers]
    data = click.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    rows = []
    counts: Counter[str] = Counter()
    records = 0
    for records, value in enumerate(_records(data), 1):
        for reading in read(source, value, pairs, topic=name, options=options):
            rows.append(_result(records, reading))
            counts[rows[-1]["outcome"]] += 1
    emit(rows, format_, columns=_TESTED)
    events = _count(counts["event"], "event")
    click.echo(f"{_count(records, 'record')}: {events}, {counts['ignored']} ignored, {counts['rejected']} rejected", err=True)
    return 1 if counts["rejected"] else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _source(name: str, config_file: Path | None) -> tuple[Source, IngestOptions]:
    from mqlstream.config import load
    from mqlstream.program import ingest_options

    options = ingest_options(load(config_file, os.environ))
    if name in options.sources:
        return options.sources[name], options
    if name not in ADAPTERS:
        known = (*options.sources, *ADAPTERS)
        raise UsageError(f'--source: got "{name}", expected a topic under `sources` or one of {" ".join(ADAPTERS)}{nearest(name, known)}')
    try:
        return source_of({"adapter": name}), options
    except ValueError as error:
        raise UsageError(f"--source: {name}: {error}") from None


def _header(text: str) -> tuple[str, bytes]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f'--header: got "{text}", expected NAME=VALUE')
    return name, value.encode()


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a file: all of it when it is one JSON value, else its lines."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        for line in data.split(b"\n"):
            line = line.removesuffix(b"\r")
            if line:
                yield line
    else:
        yield data


def _row(adapter: Adapter) -> dict[str, Any]:
    return {
        "adapter": adapter.name,
        "title": adapter.title,
        "kinds": " ".join(adapter.kinds),
        "takes": adapter.takes,
        "identity": adapter.identity,
        "event_id": adapter.event_id,
        "time": adapter.time,
        "machine": adapter.machine,
        "ignored": adapter.ignored,
        "notes": adapter.notes,
        "options": {option.name: option.description for option in adapter.options},
        "pages": list(adapter.pages),
    }


def _result(record: int, reading: Reading) -> dict[str, Any]:
    result = reading.result
    row: dict[str, Any] = {"record": record, "place": reading.place}
    if isinstance(result, Event | Anonymous):
        return {**row, "outcome": "event", **_event(result.event if isinstance(result, Anonymous) else result)}
    return {**row, "outcome": result.outcome.name, "reason": result.reason.value, "kind": result.kind, "detail": result.detail}


def _event(result: Event) -> dict[str, Any]:
    event: dict[str, Any] = {"source": result.source, "id": result.id, "kind": result.kind, "time": result.time}
    if result.lead:
        event["lead_id"] = result.lead
    else:
        event["visitor"] = visitors_of(result.body)[0]
    if result.email is not None:
        event["email"] = result.email
    if result.machine:
        event["machine"] = True
    if result.attributes is not None:
        event["attributes"] = result.attributes
    return {**event, "body": result.body}
