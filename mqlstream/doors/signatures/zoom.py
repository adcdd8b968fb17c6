"""Zoom's webhooks: an HMAC over version, timestamp and body; and its challenge, which wants the answer to a token.

https://developers.zoom.us/docs/api/webhooks (`x-zm-signature`: `v0=` and the hex HMAC-SHA256 of `v0:{timestamp}:{body}`;
`x-zm-request-timestamp`: epoch seconds; `endpoint.url_validation`: `payload.plainToken`, answered with `plainToken` and `encryptedToken`).
It wants 200 or 204 (https://developers.zoom.us/blog/webhook-delays). No window is documented.

The answer to the challenge is made with the key that signs events. So a challenge must be signed itself, and its token may
hold nothing that would make the answer a signature of something: letters, digits, dashes and underscores alone.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from mqlstream.doors.signatures.base import WINDOW, Call, Check, Denied, Handshake, Scheme, check_hmac, check_time, shown, window_ms

SIGNATURE = "x-zm-signature"
TIMESTAMP = "x-zm-request-timestamp"
CHALLENGE = "endpoint.url_validation"
_WINDOW_S = 300
_token = re.compile(r"[A-Za-z0-9_-]{1,256}").fullmatch


def _prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    window = window_ms(options, _WINDOW_S)

    def check(call: Call) -> Handshake | None:
        given, timestamp = shown(call, SIGNATURE), shown(call, TIMESTAMP)
        check_time(TIMESTAMP, timestamp, call, window)
        signing = []
        for secret in secrets:  # the challenge is answered with the secret that signed it
            try:
                check_hmac(given, [secret], b"v0:%b:%b" % (timestamp.encode(), call.body), "sha256", "hex", "v0=")
                signing.append(secret)
            except Denied as denied:
                wrong = denied
        if not signing:
            raise wrong
        return _challenge(call.body, signing[0]) if CHALLENGE.encode() in call.body else None

    return check


def _challenge(body: bytes, secret: bytes) -> Handshake | None:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(told) is not dict or told.get("event") != CHALLENGE:
        return None
    payload = told.get("payload")
    token = payload.get("plainToken") if type(payload) is dict else None
    if type(token) is not str or not _token(token):
        raise Denied(403, "payload.plainToken: expected up to 256 letters, digits, dashes and underscores")
    return Handshake(orjson.dumps({"plainToken": token, "encryptedToken": hmac.digest(secret, token.encode(), "sha256").hex()}))


ZOOM = Scheme(
    name="zoom",
    title="Zoom",
    pages=("https://developers.zoom.us/docs/api/webhooks", "https://developers.zoom.us/blog/webhook-delays"),
    secret="the app's secret token",
    looks_at=f"`{SIGNATURE}` and `{TIMESTAMP}`; answers `{CHALLENGE}`",
    prepare=_prepare,
    options=(WINDOW,),
    done=200,
)
