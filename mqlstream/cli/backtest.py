"""`mqlstream backtest`: a changed definition over events that are past. What it finds is worked out in `mqlstream.backtest`."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mqlstream.backtest.comparison import CHANGES, STAYS, Backtest, Row, head
from mqlstream.backtest.page import page
from mqlstream.backtest.reasons import in_words
from mqlstream.cli.lines import accepted, check_there, opened, progress, progress_over, tell_outcomes
from mqlstream.cli.logs import configure, quiet_client
from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.cli.sorting import Line, Sorter, in_order
from mqlstream.cli.whole import check_writable, write_whole
from mqlstream.config import Settings, kafka_kwargs
from mqlstream.config import load as load_settings
from mqlstream.definition import load
from mqlstream.definition.model import Definition
from mqlstream.errors import UsageError
from mqlstream.ingest.linking import Visitors
from mqlstream.program import ingest_options, visitor_limits
from mqlstream.topics import Topics

_PATH = click.Path(path_type=Path)


@click.command("backtest")
@click.option("--definition", "new", required=True, type=_PATH, metavar="NEW", help="The definition to try.")
@click.option("--against", type=_PATH, metavar="OLD", help="The definition to compare with. Default: the one in force of the same id.")
@click.option("--topic", is_flag=True, help="Take the events that the cluster has retained, instead of files.")
@click.option("--html", "html", type=_PATH, metavar="REPORT", help="Write a report to read and pass on, too: one HTML file.")
@config_option
@format_option
@click.argument("files", metavar="EVENTS.jsonl...", nargs=-1)
def command(
    new: Path, against: Path | None, topic: bool, html: Path | None, config_file: Path | None, format_: str, files: tuple[str, ...]
) -> int:
    """What would a changed definition have done? Scores the same events under both: who becomes, stops being or moves as an MQL.

    Events are those that `score` takes, one JSON object a line (`-` is stdin), in any order; or, with --topic, what lead-events
    still has. The definition in force is the one of the same id in MQLSTREAM_DEFINITIONS, or with --topic the newest that was
    pushed. Where there is none, all MQLs are told as `becomes`. Where the events hold sales' answers (`feedback`), precision, recall
    and each rule's lift are told for both. Unusable lines go to stderr as FILE:LINE: reason, and make exit 1.

    \b
    Examples:
      mqlstream backtest --definition next.yaml --against b2b.yaml quarter.jsonl
      mqlstream backtest --definition next.yaml --topic --html report.html
    """
    if topic == bool(files):
        raise UsageError(f"got {'both --topic and' if files else 'neither --topic nor'} files of events, expected one of the two")
    settings = load_settings(config_file, os.environ)
    tried = _load(new)
    check_there(files)
    if html is not None:
        check_writable(html)
    if topic:
        configure()
    old, whence = (_load(against), str(against)) if against is not None else _in_force(tried.id, settings, topic)
    _introduce(tried, new, old, whence)
    backtest = Backtest(tried, old, settings)
    _replay(backtest, topic, files, settings)
    status = tell_outcomes(backtest.new.replay.outcomes)
    if backtest.answers.left_out:
        click.echo(f"{backtest.answers.left_out} answers of sales are about other definitions and left out of account", err=True)
    rows = backtest.rows()
    result = {"new": head(tried), "old": head(old), "summary": backtest.summary(rows), "feedback": backtest.feedback(), "leads": rows}
    if html is not None:
        arguments = [f"--definition={new}", *([f"--against={against}"] if against else []), *(["--topic"] if topic else [])]
        arguments += [f"--config={config_file}"] if config_file else []
        write_whole(html, page(result, backtest.zone, shlex.join(["mqlstream", "backtest", *arguments, f"--html={html}", *files])))
    _print(backtest, result, format_)
    return status


def _load(path: Path) -> Definition:
    return load(path, warn=lambda finding: click.echo(str(finding), err=True))


def _in_force(name: str, settings: Settings, topic: bool) -> tuple[Definition | None, str]:
    """The definition of this id that workers score with, and where it was found."""
    if topic:
        from mqlstream.doors.definitions import DefinitionsDoor

        topics = Topics(settings.topic_prefix)
        with quiet_client():
            published = asyncio.run(DefinitionsDoor(kafka_kwargs(settings), topics, settings.app_id).published())
        pushed = [each for each in published if each.id == name]
        if pushed:
            return pushed[-1].read(), topics.definitions
    if settings.definitions:
        from mqlstream.app.worker import load_definitions

        found = [each for each in load_definitions(settings.definitions) if each.id == name]
        if found:
            return found[0], settings.origins.get("definitions", "MQLSTREAM_DEFINITIONS")
    return None, ""


def _introduce(new: Definition, path: Path, old: Definition | None, whence: str) -> None:
    """Tell on stderr what is compared, and what of it is left out of account."""
    click.echo(f"new: {_named(new)} ({path})", err=True)
    click.echo(f"old: {_named(old)} ({whence})" if old is not None else "old: none, so every MQL is told as one that becomes", err=True)
    for each in (new, old):
        if each is not None and (each.mode != "live" or each.active_from_ms is not None or each.active_until_ms is not None):
            click.echo(f"{_named(each)}: its mode and active are left out of account", err=True)


def _named(definition: Definition) -> str:
    return f"{definition.id} version {definition.version} {definition.digest[:12]}"


def _replay(backtest: Backtest, topic: bool, files: tuple[str, ...], settings: Settings) -> None:
    visitors = Visitors(backtest.new.replay.count, visitor_limits(settings))
    with ExitStack() as stack:
        for line in _retained(backtest, stack, settings) if topic else _given(backtest, files, stack, settings):
            for event in visitors.take(line.event):
                backtest.apply(event)
    visitors.finish()
    backtest.finish()


def _retained(backtest: Backtest, stack: ExitStack, settings: Settings) -> Iterator[Line]:
    from mqlstream.cli.retained import retained

    sorter = stack.enter_context(Sorter())
    with quiet_client():
        asyncio.run(retained(settings, backtest.new.replay.count, sorter))
    return sorter.in_order(stack.enter_context(progress_over(sorter.size, 1, "Backtesting", quiet=True)))


def _given(backtest: Backtest, files: tuple[str, ...], stack: ExitStack, settings: Settings) -> Iterator[Line]:
    passed = stack.enter_context(progress(files, 2, "Backtesting", quiet=True))  # read, then applied
    named = ((name, opened(name, stack)) for name in files)
    return in_order(accepted(named, backtest.new.replay.count, ingest_options(settings), passed), passed)


def _print(backtest: Backtest, result: Mapping[str, Any], format_: str) -> None:
    if format_ == "json":
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))
        return
    if format_ == "jsonl":
        emit(result["leads"], format_)
    else:
        emit([_line(backtest, row) for row in result["leads"] if row["change"] != STAYS], format_)
        if result["feedback"] is not None:
            _print_feedback(result["feedback"], _sides(backtest))
    _summarise(result["summary"])


def _line(backtest: Backtest, row: Row) -> dict[str, Any]:
    """A row of the table: days in the definition's time zone."""
    sides = {}
    for side in _sides(backtest):
        mql = row[side]
        sides[side] = None if mql is None else f"{datetime.fromtimestamp(mql['qualified_at'] / 1000, backtest.zone):%Y-%m-%d %H:%M}"
        sides[f"{side}_total"] = None if mql is None else f"{mql['score']['total']:.2f}"
    told = [in_words(each, compared=backtest.old is not None) for each in row["reasons"]]
    return {"lead": row["lead_id"], "change": row["change"], **sides, "days": row["days"], "reasons": "; ".join(told) or None}


def _sides(backtest: Backtest) -> tuple[str, ...]:
    return ("old", "new") if backtest.old is not None else ("new",)


def _print_feedback(feedback: Mapping[str, Any], sides: Sequence[str]) -> None:
    click.echo("\nsales' answers")
    emit([{"definition": side, **feedback[side]} for side in sides], "table")
    click.echo("\nrules, by the handoffs they contributed to")
    rows = []
    for each in feedback["rules"]:
        row: dict[str, Any] = {"rule": each["rule"]}
        for name in ("mqls", "accepted", "rejected", "acceptance", "lift"):
            row |= {f"{side}_{name}": (each[side] or {}).get(name) for side in sides}
        rows.append(row)
    emit(rows, "table")


def _summarise(summary: Mapping[str, Any]) -> None:
    """The sums, on stderr: data on stdout is rows alone."""
    moved = summary["median_days_moved"]
    told = ", ".join(f"{summary[change]} {change}" for change in CHANGES)
    click.echo(f"leads: {told}" + ("" if moved is None else f"; of those that move, the median by {moved:+g} days"), err=True)
    click.echo("MQLs by week, old and new:", err=True)
    for week in summary["weeks"]:
        old = "-" if week["old"] is None else week["old"]
        click.echo(f"  {week['week']} from {week['monday']}  {old:>6}  {week['new']:>6}", err=True)
