"""`mqlstream run`: a worker on a cluster. What it does is in `mqlstream.app`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mqlstream.cli.logs import configure, quiet_client
from mqlstream.cli.options import config_option


@click.command("run")
@config_option
@click.option("--roles", default="ingest,score,insights,web", show_default=True, metavar="ROLE,...", help="What this worker does.")
def command(config_file: Path | None, roles: str) -> int:
    """Run a worker. Several of them share the work; SIGTERM drains one.

    \b
    Roles:
      ingest    reads the input topics, writes events keyed by lead
      score     scores leads, writes handoffs
      insights  counts what becomes of handoffs
      web       serves /metrics, /healthz, /readyz and what the other roles answer
    \b
    Example:
      mqlstream run --config mqlstream.yaml --roles ingest,score,web
    """
    configure()
    from mqlstream.app import worker
    from mqlstream.config import load

    settings = load(config_file, os.environ)
    with quiet_client():
        prepared = worker.prepare(settings, [role.strip() for role in roles.split(",") if role.strip()])
    return worker.run(settings, prepared)
