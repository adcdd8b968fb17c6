"""Signatures that are an HMAC over the body in a header: Segment's, Typeform's, and any other as the settings describe it.

- Segment: https://www.twilio.com/docs/segment/connections/destinations/catalog/actions-webhook (`X-Signature`: hex, SHA-1, shared secret).
  Where it sends batches only the first event is signed
  (https://support.twilio.com/hc/en-us/articles/51193799782171-How-Segment-Computes-x-signature-for-Batched-Webhooks), so a batch would let
  anybody who has seen one signed event add others to it: batches are refused.
- Typeform: https://www.typeform.com/developers/webhooks/secure-your-webhooks/ (`Typeform-Signature`: `sha256=`, base64).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mqlstream.doors.signatures.base import WINDOW, Call, Check, Denied, Scheme, check_hmac, check_time, shown, window_ms
from mqlstream.ingest.adapters.base import Option

ALGORITHMS = ("sha1", "sha256", "sha512")
ENCODINGS = ("hex", "base64")
_WINDOW_S = 300


def _segment(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    def check(call: Call) -> None:
        given = shown(call, "X-Signature")
        if call.body.lstrip()[:1] == b"[":
            raise Denied(403, "got a batch, of which Segment signs only the first event; expected single events: turn batching off")
        check_hmac(given, secrets, call.body, "sha1", "hex")

    return check


def _typeform(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    def check(call: Call) -> None:
        check_hmac(shown(call, "Typeform-Signature"), secrets, call.body, "sha256", "base64", "sha256=")

    return check


def _any(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    header = options.get("header")
    if header is None:
        raise ValueError("header: missing, expected the name of the header with the signature, such as X-Signature")
    algorithm = _one_of(options, "algorithm", ALGORITHMS, "sha256")
    encoding = _one_of(options, "encoding", ENCODINGS, "hex")
    prefix = options.get("prefix", "")
    timestamp = options.get("timestamp")
    before, body, after = options.get("signed", "{body}").partition("{body}")
    if not body or "{body}" in after or ("{timestamp}" in before + after) != (timestamp is not None):
        raise ValueError("signed: expected a text with {body} once, and with {timestamp} exactly where `timestamp` names its header")
    window = window_ms(options, _WINDOW_S)
    if timestamp is None and WINDOW.name in options:
        raise ValueError(f"{WINDOW.name}: expected `timestamp` with it, the name of the header that has the time")

    def check(call: Call) -> None:
        given = shown(call, header)
        time = "" if timestamp is None else shown(call, timestamp)
        if timestamp is not None:
            check_time(timestamp, time, call, window)
        message = before.replace("{timestamp}", time).encode() + call.body + after.replace("{timestamp}", time).encode()
        check_hmac(given, secrets, message, algorithm, encoding, prefix)

    return check


def _one_of(options: Mapping[str, Any], name: str, words: Sequence[str], default: str) -> str:
    value: str = options.get(name, default)
    if value not in words:
        raise ValueError(f"{name}: expected one of {' '.join(words)}")
    return value


SEGMENT = Scheme(
    name="segment",
    title="Segment",
    pages=("https://www.twilio.com/docs/segment/connections/destinations/catalog/actions-webhook",),
    secret="the shared secret of the destination",
    looks_at="`X-Signature`: HMAC-SHA1 of the body, hex. Batches are refused: Segment signs only their first event",
    prepare=_segment,
)
TYPEFORM = Scheme(
    name="typeform",
    title="Typeform",
    pages=("https://www.typeform.com/developers/webhooks/secure-your-webhooks/",),
    secret="the webhook's secret",
    looks_at="`Typeform-Signature`: `sha256=` and HMAC-SHA256 of the body, base64",
    prepare=_typeform,
)
HMAC = Scheme(
    name="hmac",
    title="Any HMAC",
    pages=(),
    secret="the key of the HMAC",
    looks_at="the header named by `header`: an HMAC of the body, or of `signed`",
    prepare=_any,
    options=(
        Option("header", "text", "The header with the signature.", "X-Hub-Signature-256"),
        Option("algorithm", "text", "`sha1`, `sha256` (the default) or `sha512`.", "sha256"),
        Option("encoding", "text", "`hex` (the default) or `base64`.", "hex"),
        Option("prefix", "text", "What stands before the signature in the header.", "sha256="),
        Option("timestamp", "text", "The header with the time of the call, in epoch seconds.", "X-Request-Timestamp"),
        Option("signed", "text", "What is signed, where it is more than the body.", "{timestamp}.{body}"),
        WINDOW,
    ),
)
