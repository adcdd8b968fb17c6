"""Mailgun's webhooks: an HMAC over a timestamp and a token, both in the body.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks (`signature`: `timestamp token signature`, hex
HMAC-SHA256 of timestamp and token under the webhook signing key; for subaccounts `parent-signature`) and .../webhooks/webhook-retries (200
is success, 406 is not tried again, everything else is, for 8 hours; so 200 is the answer, and half a day the window).

The signature says nothing of the event beside it. So a token is good for one body: the same one again (Mailgun did not hear
our answer) is let in, another one is not. Tokens are remembered for the window, by this worker alone, the newest `TOKENS` of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from mqlstream.doors.signatures.base import WINDOW, Call, Check, Denied, Scheme, check_hmac, check_time, window_ms

TOKENS = 100_000
_WINDOW_S = 43_200
_LONGEST_TOKEN = 100  # characters; Mailgun's have 50


class Tokens:
    """The tokens of calls that were let in, each with a digest of its body; at most ``limit``, the oldest go first."""

    def __init__(self, limit: int = TOKENS) -> None:
        self._limit = limit
        self._bodies: dict[str, bytes] = {}

    def fits(self, token: str, body: bytes) -> bool:
        """Whether the token is new, or came with this very body before; remembers it."""
        digest = blake2b(body, digest_size=16).digest()
        if self._bodies.setdefault(token, digest) != digest:
            return False
        if len(self._bodies) > self._limit:
            del self._bodies[next(iter(self._bodies))]
        return True


def _prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    window = window_ms(options, _WINDOW_S)
    tokens = Tokens()

    def check(call: Call) -> None:
        timestamp, token, signatures = _signature(call.body)
        check_time("signature.timestamp", timestamp, call, window)
        message = f"{timestamp}{token}".encode(errors="replace")
        for last, given in enumerate(signatures, 1):
            try:
                check_hmac(given, secrets, message, "sha256", "hex")
                break
            except Denied:
                if last == len(signatures):
                    raise
        if not tokens.fits(token, call.body):
            raise Denied(403, "signature.token: came before, with another event")

    return check


def _signature(body: bytes) -> tuple[str, str, list[str]]:
    """Timestamp, token and signatures in a body; raises `Denied` when they are not there."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    signed = told.get("signature") if type(told) is dict else None
    if type(signed) is not dict:
        raise Denied(401, "signature: missing, expected an object with timestamp, token and signature")
    timestamp, token = str(signed.get("timestamp", "")), signed.get("token")
    signatures = [text for name in ("signature", "parent-signature") if type(text := signed.get(name)) is str]
    if type(token) is not str or not 0 < len(token) <= _LONGEST_TOKEN or not signatures:
        raise Denied(401, "signature: expected timestamp, token and signature")
    return timestamp, token, signatures


MAILGUN = Scheme(
    name="mailgun",
    title="Mailgun",
    pages=(
        "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
        "https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries",
    ),
    secret="the webhook signing key",
    looks_at="`signature` in the body; half a day old at most, and no token twice with different bodies",
    prepare=_prepare,
    options=(WINDOW,),
    done=200,
)
