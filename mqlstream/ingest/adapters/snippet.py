"""Visits as the script of the door for webhooks tells them (`mqlstream/web/snippet.js`): the project's own format.

Anybody can send what a page sends. So nothing is taken but what that script says, of a visitor with a random id: no lead, no
address, no kind but a visit. The user agent is that of the call.
"""

from __future__ import annotations

import re
from typing import Any

from mqlstream.ingest.adapters.base import Adapter, Found, Headers, Parts, an_object, json_object
from mqlstream.ingest.adapters.values import told
from mqlstream.ingest.fields import bad_field, missing

_random = re.compile(r"[0-9a-f]{32}").fullmatch


def _open(value: bytes, headers: Headers, options: Any) -> Parts:
    agents = [content for name, content in headers if name == "user-agent" and content is not None]
    return Parts((json_object(value),), None, agents[0].decode(errors="replace") if agents else None)


def _read(item: Any, shared: Any, options: Any) -> Found:
    get = an_object(item).get
    return told(
        kind="web_visit",
        id=_id("id", get("id")),
        time=get("time"),
        anonymous_id=_id("anonymous_id", get("anonymous_id")),
        url=get("url"),
        title=get("title"),
        referrer=get("referrer") or None,
        duration_seconds=get("duration_seconds"),
        user_agent=shared,
    )


def _id(name: str, value: Any) -> str:
    if type(value) is str and _random(value):
        return value
    expected = "32 hexadecimal digits, as the script makes them"
    raise missing(name, expected) if value is None else bad_field(name, value, expected)


SNIPPET = Adapter(
    name="snippet",
    title="Page snippet",
    pages=(),
    takes="one visit, as the script served at `/v1/mqlstream.js` sends it",
    kinds=("web_visit",),
    identity="`anonymous_id`, a random one; nothing else is taken",
    event_id="`id`, a random one",
    time="`time`: epoch milliseconds by the visitor's clock",
    machine="none; the call's user agent is `user_agent`",
    ignored="every field that the script does not send",
    open=_open,
    read=_read,
)
