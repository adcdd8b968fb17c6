"""What an event's url says: host, path, query and campaign parameters. No network, no normalising beyond the case of the host."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

MAX_PARAMETERS = 200  # of one query; the rest is not read

PAGELESS = frozenset({"mailto", "tel", "sms", "javascript", "data", "about", "blob"})  # schemes


def derive(body: dict[str, Any], url: str) -> None:
    """Put ``host path query utm`` of ``url`` into ``body`` where they are missing or null.

    ``host`` is lower case, without user and port, and is left out of a relative url; ``path`` is as written (never
    decoded), `/` when empty, and left out of a url that leads to no page (``mailto:``); ``query`` maps each parameter to
    its last value, decoded; ``utm`` has the ``utm_`` parameters without that prefix. ``query`` and ``utm`` are left out
    when empty. An explicit ``query`` is also what ``utm`` is read from.
    """
    host, path, text = split(url)
    if host and body.get("host") is None:
        body["host"] = host
    if path and body.get("path") is None:
        body["path"] = path
    query = body.get("query")
    if query is None:
        if not text:
            return
        query = body["query"] = parameters(text)
        if "utm_" not in text and "%" not in text:
            return
    if body.get("utm") is None:
        utm = {name[4:]: value for name, value in query.items() if name[:4] == "utm_" and len(name) > 4}
        if utm:
            body["utm"] = utm


def split(url: str) -> tuple[str, str, str]:
    """Host, path and query text of an absolute or relative url; a text that is no url is all path.

    The path is empty where the scheme is one of those that lead to no page.
    """
    rest = url.strip()
    query = ""
    if "#" in rest:
        rest = rest.partition("#")[0]
    if "?" in rest:
        rest, _, query = rest.partition("?")
    scheme, found, tail = rest.partition("//")
    if not found or (scheme and (scheme[-1] != ":" or "/" in scheme)):
        return "", "" if _pageless(rest) else rest or "/", query
    host, slash, path = tail.partition("/")
    if "@" in host or ":" in host:
        host = _without_user_and_port(host)
    return host.lower(), slash + path or "/", query


def _pageless(text: str) -> bool:
    """Whether a text begins with a scheme after which comes an address, a number or a script."""
    return ":" in text and text[: text.index(":")].lower() in PAGELESS


def _without_user_and_port(authority: str) -> str:
    host = authority.rpartition("@")[2]
    if host.startswith("["):  # an IPv6 address; its colons are no port
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def parameters(text: str) -> dict[str, str]:
    """The parameters of a query, decoded, the last value of each name; at most `MAX_PARAMETERS` of them are read."""
    pairs = text.split("&", MAX_PARAMETERS)
    del pairs[MAX_PARAMETERS:]
    encoded = "%" in text or "+" in text
    found: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if encoded:
            name, value = unquote_plus(name), unquote_plus(value)
        if name:
            found[name] = value
    return found
