"""`mqlstream feedback`: sales' answer to a handoff, from the command line. How it is written is `mqlstream.doors.writing`'s."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mqlstream.cli.naming import named
from mqlstream.cli.options import config_option
from mqlstream.cli.output import format_option
from mqlstream.cli.writing import SOURCE, write
from mqlstream.config import load
from mqlstream.doors.writing import FEEDBACK
from mqlstream.topics import Topics


@click.command("feedback")
@click.argument("lead")
@click.argument("decision", metavar="DECISION")
@click.option("--handoff", metavar="ID", help="The handoff that is answered (handoff_id). Default: the lead's open one.")
@click.option("--definition", metavar="ID", help="Whose open handoff is answered, where several definitions are in force.")
@click.option("--reason", metavar="TEXT", help="Why, in sales' words.")
@click.option("--by", metavar="WHO", help="Who says so.")
@click.option("--time", "time_", metavar="T", help="When it was decided: epoch ms or RFC 3339. Default: now.")
@click.option("--id", "event_id", metavar="ID", help="Of the event: the same id again is no second answer. Default: made up.")
@click.option("--source", default=SOURCE, show_default=True, metavar="NAME", help="Where the answer comes from; ids are unique within.")
@config_option
@format_option
def command(
    lead: str,
    decision: str,
    handoff: str | None,
    definition: str | None,
    reason: str | None,
    by: str | None,
    time_: str | None,
    event_id: str | None,
    source: str,
    config_file: Path | None,
    format_: str,
) -> None:
    """Tell what sales made of a lead: accepted, rejected, recycled, qualified, opportunity, won, lost or disqualified.

    Writes one event to the feedback topic and tells where it stands; the lead moves when the workers get to it. With --handoff,
    the same answer given again is the same event. LEAD is an id, or the lead's address in any spelling.

    \b
    Examples:
      mqlstream feedback ann@acme.example accepted --by sam
      mqlstream feedback ann@acme.example rejected --definition b2b-saas --reason "no budget this year"
    """
    settings = load(config_file, os.environ)
    given: dict[str, Any] = {
        "lead_id": named(lead, settings),
        "decision": decision,
        "handoff_id": handoff,
        "definition": definition,
        "reason": reason,
        "by": by,
        "time": time_,
        "id": event_id,
        "source": source,
    }
    write(settings, FEEDBACK, given, Topics(settings.topic_prefix).feedback, format_)
