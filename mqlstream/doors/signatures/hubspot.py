"""HubSpot's signature, version 3: an HMAC over method, address, body and timestamp.

https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation (`X-HubSpot-Signature-v3`: base64,
HMAC-SHA256 under the app's client secret; `X-HubSpot-Request-Timestamp`: epoch milliseconds, refused when older than 5 minutes; some
characters of the address are signed decoded).

The address is that which HubSpot called. Behind a proxy nothing in a request proves it, so the settings say it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mqlstream.doors.signatures.base import WINDOW, Call, Check, Scheme, check_hmac, check_time, shown, window_ms
from mqlstream.ingest.adapters.base import Option

SIGNATURE = "X-HubSpot-Signature-v3"
TIMESTAMP = "X-HubSpot-Request-Timestamp"
_WINDOW_S = 300
_DECODED = {f"%{ord(letter):02X}": letter for letter in ":/?@!$'()*,;"}
_encoded = re.compile("|".join(_DECODED), re.IGNORECASE)


def _prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    url = options.get("url")
    if url is None or not url.startswith(("https://", "http://")) or "?" in url or "#" in url:
        raise ValueError("url: expected the address that HubSpot calls, such as https://hooks.acme.example/v1/ingest/acme.hubspot")
    window = window_ms(options, _WINDOW_S)

    def check(call: Call) -> None:
        given, timestamp = shown(call, SIGNATURE), shown(call, TIMESTAMP)
        check_time(TIMESTAMP, timestamp, call, window, unit_ms=1)
        _, mark, query = call.target.partition("?")
        address = _encoded.sub(lambda match: _DECODED[match[0].upper()], f"{url}{mark}{query}")
        message = call.method.encode() + address.encode(errors="replace") + call.body + timestamp.encode()
        check_hmac(given, secrets, message, "sha256", "base64")

    return check


HUBSPOT = Scheme(
    name="hubspot",
    title="HubSpot",
    pages=("https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation",),
    secret="the app's client secret",
    looks_at=f"`{SIGNATURE}`: HMAC-SHA256 of method, address, body and `{TIMESTAMP}`; 5 minutes old at most",
    prepare=_prepare,
    options=(
        Option("url", "text", "The address that HubSpot calls; needed.", "https://hooks.acme.example/v1/ingest/acme.hubspot"),
        WINDOW,
    ),
)
