"""What a scheme is: how a source's settings become a check of calls. And what the schemes have in common. No vendor's names."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mqlstream.ingest.adapters.base import Option

LONGEST_WINDOW_S = 7 * 86_400
_ENCODINGS: Mapping[str, Callable[[bytes], bytes]] = {"hex": lambda digest: digest.hex().encode(), "base64": b64encode}


class Call(NamedTuple):
    """A request as it came. ``target`` is the path with the query, not decoded; ``headers`` look names up in any case.

    ``body`` is empty where a scheme looks at none. ``fetched`` is what stood at the addresses that its check has asked for.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    now_ms: int
    fetched: Mapping[str, bytes] = {}


class Denied(Exception):
    """The call is not let in. ``status`` is 401 where nothing was shown, 403 where it was wrong, 429 where it may come again.

    The text is for the caller.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handshake(NamedTuple):
    """A call that wants an answer (a JSON body) and is no event."""

    body: bytes


class Fetch(NamedTuple):
    """The check needs what a GET of this address answers; with that in ``fetched`` it is to be asked again.

    A check names only addresses that no caller can choose.
    """

    url: str


Check = Callable[[Call], Handshake | Fetch | None]  # raises `Denied`


@dataclass(frozen=True, slots=True)
class Scheme:
    """One manner of proving who calls. The texts are what docs/webhooks.md says of it.

    ``prepare`` makes the check of a source's options and secrets, any of which will do; it raises ValueError with the text
    for the user. ``secret`` says what the secret is, empty: there is none. ``early``: the body is not looked at, so the check
    comes before it is read. ``done`` is the status that tells the vendor that the event has arrived.
    """

    name: str
    title: str
    pages: tuple[str, ...]
    secret: str
    looks_at: str
    prepare: Callable[[Mapping[str, Any], Sequence[bytes]], Check]
    options: tuple[Option, ...] = ()
    early: bool = False
    done: int = 202


WINDOW = Option("window_seconds", "any", "How far the call's timestamp may be from now.", "300")


def window_ms(options: Mapping[str, Any], default_s: int) -> int:
    """How old a call may be, in milliseconds."""
    value = options.get(WINDOW.name, default_s)
    if type(value) is not int or not 1 <= value <= LONGEST_WINDOW_S:
        raise ValueError(f"{WINDOW.name}: expected a whole number of seconds from 1 to {LONGEST_WINDOW_S}")
    return value * 1000


def shown(call: Call, name: str) -> str:
    """A header that proves something; raises `Denied` when it is not there."""
    value = call.headers.get(name, "")
    if not value:
        raise Denied(401, f"{name}: missing, expected the signature of this source")
    return value


def check_time(name: str, text: str, call: Call, window: int, unit_ms: int = 1000) -> None:
    """Raise `Denied` unless ``text`` is a time within ``window`` milliseconds of now: what is older may be a replay."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise Denied(403, f"{name}: got no time, expected epoch {'seconds' if unit_ms == 1000 else 'milliseconds'}")
    if abs(call.now_ms - int(text) * unit_ms) > window:
        raise Denied(403, f"{name}: too far from now, expected within {window // 1000} seconds")


def check_hmac(given: str, secrets: Sequence[bytes], message: bytes, algorithm: str, encoding: str, prefix: str = "") -> None:
    """Raise `Denied` unless ``given`` is the HMAC of ``message`` under one of the secrets. The time it takes tells nothing."""
    told = given.lower() if encoding == "hex" else given
    expected = [prefix.encode() + _ENCODINGS[encoding](hmac.digest(secret, message, algorithm)) for secret in secrets]
    check_one_of([told.encode(errors="replace")], expected, "the signature does not match the call")


def check_one_of(given: Sequence[bytes], expected: Sequence[bytes], denial: str) -> None:
    """Raise `Denied` unless one of those given is one of those expected; all are looked at, so that the time it takes tells nothing."""
    if sum(hmac.compare_digest(one, each) for one in given for each in expected) == 0:
        raise Denied(403, denial)


def base64_bytes(text: str) -> bytes | None:
    """What a base64 text holds; None when it is none."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
