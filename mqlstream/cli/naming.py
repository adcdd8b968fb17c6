"""The LEAD of a command that writes: an id, or an address in any spelling. Whom it means is `mqlstream.doors.naming`'s."""

from __future__ import annotations

import asyncio

import click

from mqlstream.cli.reaching import worker_address
from mqlstream.cli.telling import plain
from mqlstream.config import Settings
from mqlstream.doors.naming import lead_of, other_spelling
from mqlstream.errors import MqlstreamError


def named(name: str, settings: Settings) -> str:
    """The lead's id; says so on stderr where it is not what was typed.

    While no worker answers an address in another spelling is taken for the address.
    """
    address = other_spelling(name)
    if address is None:
        return name
    try:
        lead = asyncio.run(lead_of(worker_address(settings), name, settings.http_token))
    except MqlstreamError as error:
        click.echo(f"Note: {plain(name)} is taken for {plain(address)}; whether a lead has exactly that id is not known: {error}", err=True)
        return address
    if lead != name:
        click.echo(f"Note: {plain(name)} is taken for {plain(lead)}", err=True)
    return lead
