"""Signatures that stand in one header with their time: Calendly's, Mailchimp's and Livestorm's.

- Calendly: https://developer.calendly.com/api-docs/4c305798a61d3-webhook-signatures (`Calendly-Webhook-Signature`: `t=` epoch seconds,
  `v1=` the hex HMAC-SHA256 of time, a full stop and the body, under the subscription's signing key). Its samples take 3 minutes; no other
  window is documented.
- Mailchimp, of an audience's webhooks whose signing is switched on: https://mailchimp.com/developer/marketing/api-concepts/webhooks/
  (`X-Mailchimp-Signature`: the same as Calendly's, 5 minutes old at most; while the secret changes there are two `v1=`).
- Livestorm: https://developers.livestorm.co/docs/webhook-signatures (`x-livestorm-signature`: epoch seconds, a comma, the hex SHA-256 of
  time, secret and body, one after the other). Only webhooks made through its API are signed.

A plain hash whose secret does not come last lets whoever has seen a call sign another: the same body with bytes behind it, the first of
them 0x80, which no JSON text holds outside of a string. So a body that is not one JSON value is refused for Livestorm.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from mqlstream.doors.signatures.base import (
    WINDOW,
    Call,
    Check,
    Denied,
    Scheme,
    check_one_of,
    check_time,
    shown,
    window_ms,
)

CALENDLY_SIGNATURE = "Calendly-Webhook-Signature"
MAILCHIMP_SIGNATURE = "X-Mailchimp-Signature"
LIVESTORM_SIGNATURE = "x-livestorm-signature"
_WINDOW_S = 300
_SIGNATURES_MAX = 5


def _stamped(header: str) -> Callable[[Mapping[str, Any], Sequence[bytes]], Check]:
    def prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
        window = window_ms(options, _WINDOW_S)

        def check(call: Call) -> None:
            words = [word.strip().split("=", 1) for word in shown(call, header)[:2_000].split(",") if "=" in word]
            times, given = ([value for name, value in words if name == wanted and value] for wanted in ("t", "v1"))
            if len(times) != 1 or not 1 <= len(given) <= _SIGNATURES_MAX:
                raise Denied(403, f"{header}: expected t=SECONDS,v1=SIGNATURE")
            check_time(header, times[0], call, window)
            message = times[0].encode() + b"." + call.body
            signed = [hmac.digest(secret, message, "sha256").hex().encode() for secret in secrets]
            check_one_of([each.lower().encode(errors="replace") for each in given], signed, "the signature does not match the call")

        return check

    return prepare


def _livestorm(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    window = window_ms(options, _WINDOW_S)

    def check(call: Call) -> None:
        time, _, given = shown(call, LIVESTORM_SIGNATURE).partition(",")
        check_time(LIVESTORM_SIGNATURE, time.strip(), call, window)
        signed = [sha256(time.strip().encode() + secret + call.body).hexdigest().encode() for secret in secrets]
        check_one_of([given.strip().lower().encode(errors="replace")], signed, "the signature does not match the call")
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
    prepare=_stamped(CALENDLY_SIGNATURE),
    options=(WINDOW,),
)
MAILCHIMP = Scheme(
    name="mailchimp",
    title="Mailchimp",
    pages=("https://mailchimp.com/developer/marketing/api-concepts/webhooks/",),
    secret="the signing secret of the webhook, which is shown once, when it is made with signing switched on",
    looks_at=f"`{MAILCHIMP_SIGNATURE}`: `t=` and `v1=`, HMAC-SHA256 of time and body; 5 minutes old at most",
    prepare=_stamped(MAILCHIMP_SIGNATURE),
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
