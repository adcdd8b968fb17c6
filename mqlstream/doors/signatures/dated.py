"""Signatures that stand in one header with their time: Calendly's and Livestorm's.

- Calendly: https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures (`Calendly-Webhook-Signature`: `t=` epoch seconds,
  `v1=` the hex HMAC-SHA256 of time, a full stop and the body, under the subscription's signing key). Its samples take 3 minutes; no other
  window is documented.
- Livestorm: https://developers.livestorm.co/docs/webhook-signatures (`x-livestorm-signature`: epoch seconds, a comma, the hex SHA-256 of
  time, secret and body, one after the other). Only webhooks made through its API are signed.

A plain hash whose secret does not come last lets whoever has seen a call sign another: the same body with bytes behind it, the first of
them 0x80, which no JSON text holds outside of a string. So a body that is not one JSON value is refused for Livestorm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from mqlstream.doors.signatures.base import (
    WINDOW,
    Call,
    Check,
    Denied,
    Scheme,
    check_hmac,
    check_one_of,
    check_time,
    shown,
    window_ms,
)

CALENDLY_SIGNATURE = "Calendly-Webhook-Signature"
LIVESTORM_SIGNATURE = "x-livestorm-signature"
_WINDOW_S = 300


def _calendly(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    window = window_ms(options, _WINDOW_S)

    def check(call: Call) -> None:
        words = dict(word.strip().split("=", 1) for word in shown(call, CALENDLY_SIGNATURE)[:2_000].split(",") if "=" in word)
        if not words.get("t") or not words.get("v1"):
            raise Denied(403, f"{CALENDLY_SIGNATURE}: expected t=SECONDS,v1=SIGNATURE")
        check_time(CALENDLY_SIGNATURE, words["t"], call, window)
        check_hmac(words["v1"], secrets, words["t"].encode() + b"." + call.body, "sha256", "hex")

    return check


def _livestorm(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    window = window_ms(options, _WINDOW_S)

    def check(call: Call) -> None:
        time, _, given = shown(call, LIVESTORM_SIGNATURE).partition(",")
        check_time(LIVESTORM_SIGNATURE, time.strip(), call, window)
        signed = [sha256(time.strip().encode() + secret + call.body).hexdigest().encode() for secret in secrets]
        check_one_of(given.strip().lower().encode(errors="replace"), signed, "the signature does not match the call")
        try:
            orjson.loads(call.body)
        except orjson.JSONDecodeError:
            raise Denied(403, "the body is no JSON, and so not what Livestorm signs") from None

    return check


CALENDLY = Scheme(
    name="calendly",
    title="Calendly",
    pages=("https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures",),
    secret="the signing key of the webhook subscription",
    looks_at=f"`{CALENDLY_SIGNATURE}`: `t=` and `v1=`, HMAC-SHA256 of time and body; 5 minutes old at most",
    prepare=_calendly,
    options=(WINDOW,),
)
LIVESTORM = Scheme(
    name="livestorm",
    title="Livestorm",
    pages=("https://developers.livestorm.co/docs/webhook-signatures",),
    secret="the secret of the webhook, made through the API: others are not signed",
    looks_at=f"`{LIVESTORM_SIGNATURE}`: time and SHA-256 of time, secret and body; 5 minutes old at most",
    prepare=_livestorm,
    options=(WINDOW,),
)
