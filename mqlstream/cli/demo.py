"""`mqlstream demo`: the whole way, from touches to MQLs, on this machine. What happens is in `mqlstream.demo`."""

from __future__ import annotations

import logging
import signal
import time
from typing import NoReturn

import click

from mqlstream.cli.options import Number, Whole


@click.command("demo")
@click.option("--leads", type=Whole(1, 100_000), default=200, show_default=True, metavar="N", help="People in the market.")
@click.option("--seconds", type=Number(1, 86_400), default=30, show_default=True, metavar="S", help="How long the market is open.")
@click.option("--keep", is_flag=True, help="At the end leave broker, worker and metrics up until Ctrl-C.")
def command(leads: int, seconds: float, keep: bool) -> None:
    """See mqlstream work, with nothing to install: an embedded broker, a worker, simulated buyers, and a sales team.

    Prints each MQL as sales hears of it, on a line that begins with MQL, with the reasons below it; at the end a summary.

    \b
    Example:
      mqlstream demo --leads 500 --seconds 60
    """
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    from mqlstream.demo.play import Plan, play

    try:
        play(Plan(leads, seconds, keep), lambda line: click.echo(line), begun)
    except KeyboardInterrupt:
        if not keep:
            raise


def _terminate(*_: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
