"""`mqlstream dlq`: dead letters on the command line. How they are read and given back is `mqlstream.dead_letters`'."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import click

from mqlstream.cli.logs import configure, quiet_client
from mqlstream.cli.options import Whole, config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.cli.telling import date
from mqlstream.config import Settings, kafka_kwargs, load
from mqlstream.core.outcome import Reason
from mqlstream.dead_letters.letter import Letter, Place, Stored, letter_of, own_headers, place_of
from mqlstream.dead_letters.reading import Found, Wanted, find, records
from mqlstream.dead_letters.retrying import MOST_RETRIES, Outcome, Rules, plan, retry
from mqlstream.errors import CheckFailed, UsageError
from mqlstream.ingest.fields import Refused, nearest, text_ms
from mqlstream.topics import Topics, largest_message_bytes

_COLUMNS = ("place", "put_aside", "reason", "topic", "retries", "retried", "detail")
_DETAIL = 100  # characters in a table
_Command = TypeVar("_Command", bound=Callable[..., Any])
_Result = TypeVar("_Result")


def _filters(command: _Command) -> _Command:
    """Which dead letters are meant."""
    for option in (
        click.option("--until", metavar="T", help="Put aside before then."),
        click.option("--since", metavar="T", help="Put aside then or later: epoch ms or RFC 3339."),
        click.option("--topic", "--source", "topics", multiple=True, metavar="TOPIC", help="From this topic, or source; may be repeated."),
        click.option("--reason", "reasons", multiple=True, metavar="R", help="For this reason, such as not_json; may be repeated."),
    ):
        command = option(command)
    return command


@click.group()
def command() -> None:
    """Look at the records that could not be used, and give them back to their topics.

    docs/dead-letters.md says of each reason what to do. A dead letter is named by its place, PARTITION:OFFSET on the dead-letter topic.

    \b
    Examples:
      mqlstream dlq list --reason missing_field --since 2026-11-04T00:00:00Z
      mqlstream dlq show 3:17
      mqlstream dlq retry --reason failed --dry-run
    """


@command.command("list")
@config_option
@_filters
@click.option("--count", "counted", is_flag=True, help="Print how many there are, by reason and topic.")
@click.option("--limit", type=Whole(min=1), default=100, show_default=True, metavar="N", help="Print the newest N.")
@format_option
def list_(config_file: Path | None, counted: bool, limit: int, format_: str, **filters: Any) -> None:
    """Print dead letters, the oldest first: where each stands, why it was put aside, and whether it was retried.

    \b
    Examples:
      mqlstream dlq list --count
      mqlstream dlq list --topic mql.form-fills.v1 --format json
    """
    settings = load(config_file, os.environ)
    found = _find(settings, _wanted(**filters))
    if counted:
        counts = _counts(found)
        dated = [{**row, "oldest": date(row["oldest"]), "newest": date(row["newest"])} for row in counts]
        emit(dated if format_ == "table" else counts, format_)
    else:
        rows = [_row(letter, found) for letter in found.letters[-limit:]]
        short = [{**row, "put_aside": date(row["put_aside"]), "detail": _short(row["detail"])} for row in rows]
        emit(short if format_ == "table" else rows, format_, columns=_COLUMNS)
    shown = len(found.letters) if counted else min(limit, len(found.letters))
    click.echo(f"{_many(len(found.letters), 'dead letter')}, {shown} {'counted' if counted else 'shown'}{_foreign(found)}", err=True)


@command.command()
@config_option
@click.argument("places", nargs=-1, required=True, metavar="PLACE...")
@format_option
def show(config_file: Path | None, places: Sequence[str], format_: str) -> None:
    """Print whole dead letters: where they came from, why they were put aside, what happened since, and the record itself.

    Records hold personal data as it came. What is no UTF-8 text is printed as base64.

    \b
    Example:
      mqlstream dlq show 3:17 --format json
    """
    settings = load(config_file, os.environ)
    wanted = _places(places)
    rows = _quietly(_whole(settings, wanted))
    if format_ == "table":
        for row in rows:
            for name, value in row.items():
                click.echo(f"{name:>18}  {_shown(value)}")
            click.echo()
    else:
        emit(rows, format_)
    missing = [str(place) for place in sorted(wanted - {place_of(row["place"]) for row in rows})]
    if missing:
        raise CheckFailed(f"no dead letter at {' '.join(missing)}, expected places as `mqlstream dlq list` prints them")


@command.command("retry")
@config_option
@_filters
@click.option("--place", "places", multiple=True, metavar="PLACE", help="This one, PARTITION:OFFSET; may be repeated.")
@click.option("--all", "everything", is_flag=True, help="All there are; needed where nothing else is said.")
@click.option("--again", "anew", is_flag=True, help="Also those that were retried before.")
@click.option("--most", type=Whole(min=1), default=MOST_RETRIES, show_default=True, metavar="N", help="How often a record may be retried.")
@click.option("--dry-run", is_flag=True, help="Say what would be retried, and write nothing.")
@format_option
def retry_(
    config_file: Path | None, everything: bool, places: Sequence[str], anew: bool, most: int, dry_run: bool, format_: str, **filters: Any
) -> int:
    """Give dead letters back to the topics they came from: with the key, headers and timestamp they had, and their history in headers.

    Prints what became of each. Exit code 1 when one was left where it is.

    \b
    Examples:
      mqlstream dlq retry --reason failed --dry-run
      mqlstream dlq retry --topic acme.forms.v1 --since 2026-11-04T00:00:00Z
      mqlstream dlq retry --place 3:17 --again
    """
    wanted = _wanted(**filters, places=places)
    if (wanted == Wanted()) != everything:
        raise UsageError("dlq retry: expected --reason, --topic, --since, --until or --place, or else --all")
    settings = load(config_file, os.environ)
    outcomes: list[Outcome] = []
    try:
        _quietly(_retry(settings, wanted, Rules(most, anew), dry_run, outcomes))
    finally:  # also when the broker went away in the middle: what is committed is told
        outcomes.sort(key=lambda outcome: (outcome.letter.at_ms, outcome.letter.place))
        emit([_told(outcome, dry_run) for outcome in outcomes], format_)
        done = sum(not outcome.why for outcome in outcomes)
        left = len(outcomes) - done
        click.echo(f"{_many(done, 'dead letter')} {'to retry' if dry_run else 'retried'}, {left} left", err=True)
    return 1 if left else 0


def _wanted(reasons: Sequence[str], topics: Sequence[str], since: str | None, until: str | None, places: Sequence[str] = ()) -> Wanted:
    known = [reason.value for reason in Reason if reason.value]
    for reason in reasons:
        if reason not in known:
            raise UsageError(f"--reason: got {reason!r}, expected one of {' '.join(known)}{nearest(reason, known)}")
    try:
        times = [text_ms(name, text) if text is not None else None for name, text in (("--since", since), ("--until", until))]
    except Refused as error:
        raise UsageError(error.detail) from None
    return Wanted(frozenset(reasons), frozenset(topics), _places(places), *times)


def _places(texts: Iterable[str]) -> frozenset[Place]:
    found = {text: place_of(text) for text in texts}
    for text, place in found.items():
        if place is None:
            raise UsageError(f"got the place {text!r}, expected PARTITION:OFFSET such as 3:17")
    return frozenset(place for place in found.values() if place is not None)


def _find(settings: Settings, wanted: Wanted) -> Found:
    return _quietly(find(kafka_kwargs(settings), Topics(settings.topic_prefix).dead_letters, wanted))


def _quietly(work: Coroutine[Any, Any, _Result]) -> _Result:
    configure()
    with quiet_client():
        return asyncio.run(work)


async def _whole(settings: Settings, wanted: frozenset[Place]) -> list[dict[str, Any]]:
    rows = []
    async with aclosing(records(kafka_kwargs(settings), Topics(settings.topic_prefix).dead_letters, {})) as there:
        async for record in there:
            letter = letter_of(record) if Place(record.partition, record.offset) in wanted else None
            if letter is not None:
                rows.append(_all_of(letter, record))
    return rows


async def _retry(settings: Settings, wanted: Wanted, rules: Rules, dry_run: bool, outcomes: list[Outcome]) -> None:
    """Adds to the outcomes as they become known."""
    kafka, topic = kafka_kwargs(settings), Topics(settings.topic_prefix).dead_letters
    if dry_run:
        _, chosen, left = await plan(kafka, topic, wanted, rules)
        outcomes += [*left, *(Outcome(letter) for letter in chosen)]
        return
    async with aclosing(retry(kafka, f"{settings.app_id}-dlq-retry", topic, wanted, rules, largest_message_bytes())) as batches:
        async for batch in batches:
            outcomes += batch


def _row(letter: Letter, found: Found) -> dict[str, Any]:
    return {
        "place": str(letter.place),
        "put_aside": letter.at_ms,
        "reason": letter.reason,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "stage": letter.stage,
        "retries": letter.retries,
        "retried": letter.place in found.retried,
        "cut": letter.cut or None,
        "detail": letter.detail,
    }


def _counts(found: Found) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for letter in found.letters:
        empty = {"reason": letter.reason, "topic": letter.topic, "dead_letters": 0, "retried": 0, "oldest": letter.at_ms}
        row = rows.setdefault((letter.reason, letter.topic), empty)
        row["dead_letters"] += 1
        row["retried"] += letter.place in found.retried
        row["newest"] = letter.at_ms
    return sorted(rows.values(), key=lambda row: -row["dead_letters"])


def _all_of(letter: Letter, record: Stored) -> dict[str, Any]:
    return {
        "place": str(letter.place),
        "put_aside": letter.at_ms,
        "reason": letter.reason,
        "detail": letter.detail,
        "stage": letter.stage,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "retries": letter.retries,
        "cut": letter.cut or None,
        "places": letter.places or None,
        "key": _plain(record.key),
        "headers": [[name, _plain(value)] for name, value in own_headers(record)],
        "value": _plain(record.value),
    }


def _plain(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _shown(value: Any) -> str:
    """One line, whatever a record brought along: no terminal is to obey it."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _told(outcome: Outcome, dry_run: bool) -> dict[str, Any]:
    letter = outcome.letter
    done = "left" if outcome.why else "to retry" if dry_run else "retried"
    return {
        "place": str(letter.place),
        "outcome": done,
        "reason": letter.reason,
        "topic": letter.topic,
        "partition": outcome.partition,
        "offset": outcome.offset,
        "retries": letter.retries + (done == "retried"),
        "why": outcome.why or None,
    }


def _short(detail: str) -> str:
    return detail if len(detail) <= _DETAIL else detail[: _DETAIL - 3] + "..."


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _foreign(found: Found) -> str:
    return f"; {_many(found.foreign, 'record')} on the topic of another kind" if found.foreign else ""
