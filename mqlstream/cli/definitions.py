"""`mqlstream definitions`: publish versions, list and compare them. How they reach the workers is `mqlstream.doors.definitions`'."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mqlstream.cli.logs import configure, quiet_client
from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.config import kafka_kwargs, load
from mqlstream.core.takeover import HANDOFF
from mqlstream.definition.findings import ERROR, DefinitionError
from mqlstream.definition.model import Definition
from mqlstream.definition.parse import parse_file
from mqlstream.definition.publish import differences, new_fields, self_contained
from mqlstream.doors.definitions import DefinitionsDoor, Published, Pushed
from mqlstream.errors import UsageError
from mqlstream.topics import Topics


@click.group()
def command() -> None:
    """Publish definitions to a running installation, list what is published, and compare versions.

    \b
    Example:
      mqlstream definitions diff b2b.yaml b2b-saas && mqlstream definitions push b2b.yaml
    """


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--on-activate",
    type=click.Choice(HANDOFF),
    help="Who is handed off by the new version alone: nobody, leads that fulfil it and did not fulfil the one before, or all that "
    "fulfil it. Default: what the definition says, none if nothing.",
)
@click.option("--backfill", is_flag=True, help="Before that, read the retained events again for fields that no ledger has.")
@click.option("--dry-run", is_flag=True, help="Check and tell, write nothing.")
@click.option("--by", metavar="WHO", help="Who pushes. Default: the user's name.")
@config_option
@format_option
def push(
    files: Sequence[Path],
    on_activate: str | None,
    backfill: bool,
    dry_run: bool,
    by: str | None,
    config_file: Path | None,
    format_: str,
) -> int:
    """Publish versions, all or none, and put them into force: from their place in the log on workers score with them.

    Leads are rescored in the background, from the events that their ledgers keep; no worker is restarted. A version must be above
    the published one of that definition. To roll back, push the old content as a new version: version 7 again as version 9. The
    same content pushed once more changes nothing, unless --on-activate or --backfill is given: then it is activated again. Exit 1
    when a definition has errors, or its version does not rise.

    Fields that no definition read before are missing in the ledgers' earlier events; they are told as new_fields. With --backfill
    the events that lead-events still has (90 days, unless set otherwise) are read again first, and the version comes into force when
    all are. Until then nothing changes; should it be cut off, give the same command again.

    \b
    Examples:
      mqlstream definitions push b2b.yaml --dry-run
      mqlstream definitions push b2b.yaml trials.yaml --on-activate new
      mqlstream definitions push b2b.yaml --backfill
    """
    settings = load(config_file, os.environ)
    now_ms = time.time_ns() // 1_000_000
    read = [(file, _read(file)) for file in files]
    if None in [definition for _, definition in read]:
        return 1
    made = [
        (str(file), Published(of.id, of.version, of.digest, self_contained(file, of), by or _user(), now_ms, on_activate or of.on_activate))
        for file, of in read
        if of is not None
    ]
    configure()
    with quiet_client():
        door = DefinitionsDoor(kafka_kwargs(settings), Topics(settings.topic_prefix), settings.app_id)
        again = on_activate is not None or backfill
        with _progress(backfill and not dry_run, settings.partitions) as passed:
            done = asyncio.run(door.push(made, again=again, dry_run=dry_run, backfill=passed))
    emit([_row(each, dry_run) for each in done], format_)
    return 0


@command.command("list")
@config_option
@format_option
def list_(config_file: Path | None, format_: str) -> None:
    """Print the newest published version of each definition.

    Definitions of MQLSTREAM_DEFINITIONS that were never pushed are not among them. What a worker scores with is its metric
    mqlstream_definition_info.

    \b
    Example:
      mqlstream definitions list --format json
    """
    newest = {each.id: each for each in _published(config_file)}
    rows = [
        {
            "definition": each.id,
            "version": each.version,
            "mode": each.read().mode,
            "pushed": datetime.fromtimestamp(each.time / 1000, UTC).isoformat(timespec="seconds"),
            "by": each.by,
            "on_activate": each.on_activate,
            "digest": each.digest,
        }
        for _, each in sorted(newest.items())
    ]
    emit(rows, format_, columns=("definition", "version", "mode", "pushed", "by", "on_activate"))


@command.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@config_option
@format_option
def diff(a: str, b: str | None, config_file: Path | None, format_: str) -> int:
    """Print what differs from A to B, part by part; exit 1 if anything does.

    A and B are files, or published versions: the id of a definition, or id@version while the topic still has that one. Without B,
    the file A is compared with what is published of its definition.

    \b
    Examples:
      mqlstream definitions diff b2b.yaml
      mqlstream definitions diff b2b-saas@7 b2b-saas@9 --format json
    """
    if b is None:
        after = _either(a, config_file)
        before = _either(after.id, config_file)
    else:
        before, after = _either(a, config_file), _either(b, config_file)
    found = differences(before, after)
    if format_ == "table":
        click.echo(f"from {before.id} version {before.version} to {after.id} version {after.version}", err=True)
        for each in found:
            values = {"added": [each.after], "removed": [each.before]}.get(each.change, [each.before, each.after])
            told = " -> ".join(json.dumps(value, ensure_ascii=False) for value in values)
            click.echo(f"{each.change:8} {each.what}: {told}")
    else:
        emit([each._asdict() for each in found], format_)
    return 1 if found else 0


@contextmanager
def _progress(backfill: bool, partitions: int) -> Iterator[Callable[[int], None] | None]:
    """Takes how many partitions are done, and draws a bar on stderr when that is a terminal; None without a backfill."""
    if not backfill:
        yield None
        return
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=partitions, label="Reading again", file=sys.stderr) as bar:
        yield bar.update


def _read(file: Path) -> Definition | None:
    """The definition in a file, its findings told; None when it has errors."""
    definition, findings = parse_file(file, today=datetime.now(UTC).date())
    for finding in findings:
        click.echo(str(finding), err=True)
    return None if any(finding.severity == ERROR for finding in findings) else definition


def _row(pushed: Pushed, dry_run: bool) -> dict[str, Any]:
    new, before = pushed.definition, pushed.before
    return {
        "definition": new.id,
        "version": new.version,
        "before": before.version if before is not None else None,
        "action": f"would be {pushed.action}" if dry_run else pushed.action,
        "on_activate": new.on_activate,
        "new_fields": new_fields(before.read(), new.read()) if before is not None else [],
    }


def _published(config_file: Path | None) -> list[Published]:
    settings = load(config_file, os.environ)
    configure()
    with quiet_client():
        return asyncio.run(DefinitionsDoor(kafka_kwargs(settings), Topics(settings.topic_prefix), settings.app_id).published())


def _either(name: str, config_file: Path | None) -> Definition:
    """The definition in a file of this name, or published under it."""
    if Path(name).exists():
        definition, findings = parse_file(name)
        if definition is None:
            raise DefinitionError(findings)
        return definition
    wanted, _, version = name.partition("@")
    there = [each for each in _published(config_file) if each.id == wanted]
    found = [each for each in there if not version or str(each.version) == version]
    if not found:
        known = f"published versions: {', '.join(str(each.version) for each in there)}" if there else "nothing is published under this id"
        raise UsageError(f"{name} is neither a file nor a published definition; {known}")
    return found[-1].read()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
