"""What an event's url says: host, path, query and campaign parameters. No network, no normalising beyond the case of the host."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

MAX_PARAMETERS = 200  # of one query; the rest is not read


def derive(body: dict[str, Any], url: str) -> None:
    """Put ``host path query utm`` of ``url`` into ``body`` where they are missing or null.

    ``host`` is lower case, without user and port, and is left out of a relative url; ``path`` is as written (never
    decoded), `/` when empty; ``query`` maps each parameter to its last value, decoded; ``utm`` has the ``utm_``
    parameters without that prefix. ``query`` and ``utm`` are left out when empty. An explicit ``query`` is also what
    ``utm`` is read from.
    """
    host, path, query_text = split(url)
    if body.get("host") is None and host:
        body["host"] = host
    if body.get("path") is None:
        body["path"] = path
    query = body.get("query")
    if query is None and query_text:
        query = parameters(query_text)
        body["query"] = query
    if query and body.get("utm") is None:
        utm = {name[4:]: value for name, value in query.items() if name.startswith("utm_") and len(name) > 4}
        if utm:
            body["utm"] = utm


def split(url: str) -> tuple[str, str, str]:
    """Host, path and query text of an absolute or relative url; a text that is no url is all path."""
    rest, _, _ = url.strip().partition("#")
    rest, _, query = rest.partition("?")
    scheme, found, tail = rest.partition("://")
    if found and "/" not in scheme:
        rest = tail
    elif rest.startswith("//"):
        rest = rest[2:]
    else:
        return "", rest or "/", query
    authority, slash, path = rest.partition("/")
    return _host(authority), slash + path or "/", query


def _host(authority: str) -> str:
    host = authority.rpartition("@")[2]
    if host.startswith("["):  # an IPv6 address; its colons are no port
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def parameters(text: str) -> dict[str, str]:
    """The parameters of a query, the last value of each name; at most `MAX_PARAMETERS` of them are read."""
    found: dict[str, str] = {}
    for pair in text.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        if pair:
            name, _, value = pair.partition("=")
            found[_decoded(name)] = _decoded(value)
    return found


def _decoded(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text
