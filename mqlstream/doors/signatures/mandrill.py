"""Mandrill's signature: an HMAC over the address and the fields of the HTML form that it posts.

https://mailchimp.com/developer/transactional/guides/track-respond-activity-webhooks/ and
https://mandrill.zendesk.com/hc/en-us/articles/205583257-How-to-Authenticate-Webhook-Requests (`X-Mandrill-Signature`: base64, HMAC-SHA1
under the webhook's key, of the address as it was entered at Mandrill, then name and value of each field, by name, with nothing between).

The address is that which was entered; behind a proxy nothing in a request proves it, so the settings say it. There is no time in the
signature: a call that somebody has seen can be made again for ever, and is an event that came twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from mqlstream.doors.signatures.base import Call, Check, Denied, Scheme, check_hmac, shown
from mqlstream.ingest.adapters.base import Option

SIGNATURE = "X-Mandrill-Signature"
_FIELDS = 50


def _prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    url = options.get("url")
    if url is None or not url.startswith(("https://", "http://")) or "#" in url:
        raise ValueError(
            "url: expected the address as it was entered at Mandrill, such as https://hooks.acme.example/v1/ingest/acme.mandrill"
        )

    def check(call: Call) -> None:
        given = shown(call, SIGNATURE)
        message = url.encode() + b"".join(name + value for name, value in _fields(call.body))
        check_hmac(given, secrets, message, "sha1", "base64")

    return check


def _fields(body: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of the form, by name; bytes that are no text stay as they are."""
    try:
        found = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="surrogateescape", max_num_fields=_FIELDS)
    except ValueError:
        raise Denied(403, "the body is no HTML form, and so not what Mandrill signs") from None
    pairs = [(name.encode(errors="surrogateescape"), value.encode(errors="surrogateescape")) for name, value in found]
    return sorted(pairs, key=lambda pair: pair[0])


MANDRILL = Scheme(
    name="mandrill",
    title="Mailchimp Transactional (Mandrill)",
    pages=("https://mandrill.zendesk.com/hc/en-us/articles/205583257-How-to-Authenticate-Webhook-Requests",),
    secret="the webhook's key",
    looks_at=f"`{SIGNATURE}`: HMAC-SHA1 of address and form, base64. It holds no time: what was seen once can be sent again",
    prepare=_prepare,
    options=(
        Option("url", "text", "The address as it was entered at Mandrill; needed.", "https://hooks.acme.example/v1/ingest/acme.mandrill"),
    ),
    done=200,
)
