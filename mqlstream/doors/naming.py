"""Whom a name means that somebody gives: the lead of exactly that id, else the lead of that email address. As `lead show` has it.

Ids are texts of the sources' and are taken letter by letter; people write an address as they like.
"""

from __future__ import annotations

from mqlstream.doors.asking import PATIENCE_S, ask
from mqlstream.errors import CheckFailed
from mqlstream.ingest.identity import normalise_email


def other_spelling(name: str) -> str | None:
    """The address that a name is in another spelling; None when it is none, or spelled as addresses are kept."""
    address = normalise_email(name)
    return address if address != name else None


async def lead_of(worker: str, name: str, token: str | None, patience_s: float = PATIENCE_S) -> str:
    """The id that the name means. A worker is asked only where the name is an address in another spelling.

    Raises `UsageError` and `UnreachableError`, as `ask` does, when no worker says whether there is a lead of exactly that id.
    """
    address = other_spelling(name)
    if address is None:
        return name
    try:
        told = await ask(worker, name, {}, token, patience_s)
    except CheckFailed:
        return address  # nobody has heard of either
    return name if told.get("lead_id") == name else address
