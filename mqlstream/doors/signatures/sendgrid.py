"""SendGrid's signed event webhook: ECDSA over timestamp and body, under the public key that SendGrid shows.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
(`X-Twilio-Email-Event-Webhook-Signature`: base64 of a DER signature, SHA-256; `X-Twilio-Email-Event-Webhook-Timestamp`: epoch seconds; the
key is base64 of a DER public key). No window is documented, and SendGrid tries again for a day; so that is the default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mqlstream.doors.signatures.base import WINDOW, Call, Check, Denied, Scheme, base64_bytes, check_time, shown, window_ms

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
_WINDOW_S = 86_400


def _prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    keys = [_key(secret) for secret in secrets]
    window = window_ms(options, _WINDOW_S)

    def check(call: Call) -> None:
        signature = base64_bytes(shown(call, SIGNATURE))
        timestamp = shown(call, TIMESTAMP)
        check_time(TIMESTAMP, timestamp, call, window)
        message = timestamp.encode() + call.body
        if signature is None or not any(_verifies(key, signature, message) for key in keys):
            raise Denied(403, "the signature does not match the call")

    return check


def _key(text: bytes) -> EllipticCurvePublicKey:
    data = base64_bytes(text.decode())
    try:
        key = load_der_public_key(data or b"")
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("the secret is no elliptic-curve public key, expected the verification key as SendGrid shows it: base64")
    return key


def _verifies(key: EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


SENDGRID = Scheme(
    name="sendgrid",
    title="SendGrid",
    pages=("https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",),
    secret="the verification key of the signed event webhook (a public key, base64)",
    looks_at=f"`{SIGNATURE}`: ECDSA of `{TIMESTAMP}` and the body; a day old at most",
    prepare=_prepare,
    options=(WINDOW,),
)
