"""`mqlstream topics`: the declared topics against a cluster's. The work is in `mqlstream.topics`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from mqlstream.cli.options import config_option
from mqlstream.cli.output import emit, format_option
from mqlstream.config import Settings, load
from mqlstream.doctor.finding import counted
from mqlstream.errors import UnreachableError

_COLUMNS = ("topic", "what", "declared", "actual", "action", "note")
_Result = TypeVar("_Result")


@click.group()
def command() -> None:
    """Compare the declared topics with the cluster's, create them, or export the declaration.

    \b
    Example:
      mqlstream topics plan && mqlstream topics apply
    """


@command.command()
@config_option
@format_option
def plan(config_file: Path | None, format_: str) -> int:
    """Print what differs between the declaration and the cluster; exit 1 if anything has to be done.

    \b
    What would be done:
      create   the topic is missing
      alter    a setting of the topic differs
      by hand  differs, and changing it could lose data: yours to decide
      leave    differs, and may: nothing to do

    \b
    Example:
      mqlstream topics plan --config mqlstream.yaml
    """
    from mqlstream.topics import cluster

    settings = load(config_file, os.environ)
    differences = _asked(cluster.plan(settings), settings)
    _print(differences, format_)
    waiting = [difference for difference in differences if difference.action != cluster.LEAVE]
    if not waiting:
        click.echo("All topics are as declared.", err=True)
    return 1 if waiting else 0


@command.command()
@config_option
@format_option
def apply(config_file: Path | None, format_: str) -> int:
    """Create missing topics and alter settings that differ. Deletes nothing and changes no partition count.

    Prints what was done; exit 1 if something is left that has to be put right by hand.

    \b
    Example:
      MQLSTREAM_REPLICATION_FACTOR=1 mqlstream topics apply
    """
    from mqlstream.topics import cluster

    settings = load(config_file, os.environ)
    done, left = _asked(cluster.apply(settings), settings)
    by_hand = [difference for difference in left if difference.action == cluster.BY_HAND]
    _print([*done, *by_hand], format_)
    created = sum(difference.action == cluster.CREATE for difference in done)
    click.echo(
        f"{counted(created, 'topic')} created, {counted(len(done) - created, 'setting')} changed, {len(by_hand)} left to you.", err=True
    )
    return 1 if by_hand else 0


@command.command()
@config_option
@click.option("--as", "as_", type=click.Choice(("strimzi", "asyncapi", "script")), required=True, help="The format to print.")
@click.option("--cluster", default="kafka", show_default=True, help="With strimzi: the name of the Kafka resource.")
def export(config_file: Path | None, as_: str, cluster: str) -> None:
    """Print the declared topics as Strimzi resources, as an AsyncAPI document or as a shell script.

    \b
    Example:
      mqlstream topics export --as strimzi > topics.yaml
    """
    from mqlstream.topics import export as formats

    settings = load(config_file, os.environ)
    if as_ == "strimzi":
        click.echo(formats.strimzi(settings, cluster), nl=False)
    elif as_ == "asyncapi":
        click.echo(formats.asyncapi(settings), nl=False)
    else:
        click.echo(formats.script(settings), nl=False)


def _asked(question: Coroutine[Any, Any, _Result], settings: Settings) -> _Result:
    """What the cluster answers. Raises `UnreachableError`, with the likely cause where the broker lacks a request."""
    from aiokafka.errors import IncompatibleBrokerVersion

    try:
        return asyncio.run(question)
    except UnreachableError as error:
        if not isinstance(error.__context__, IncompatibleBrokerVersion):
            raise
        servers = ",".join(settings.kafka.bootstrap_servers)
        raise UnreachableError(
            f"{servers}: the broker lacks a request that is needed ({error.__context__}); likely it is the embedded broker of "
            "`mqlstream demo`, or a very old one; expected a Kafka broker that has all of them"
        ) from None


def _print(differences: Sequence[Any], format_: str) -> None:
    emit([asdict(difference) for difference in differences], format_, columns=_COLUMNS)
