"""Proofs that are the secret itself, and a browser's word about its page: for vendors that sign nothing.

Postmark and Amazon SNS keep user name and password in the address they call (basic), Mailchimp a secret in its query
(https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/). Whoever reads such a call can make others: TLS is a must.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from mqlstream.doors.signatures.base import Call, Check, Denied, Scheme, base64_bytes, check_one_of
from mqlstream.ingest.adapters.base import Option

_LEAST = 16  # characters: what can be guessed protects nothing
_origin = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?").fullmatch


def _long_enough(secrets: Sequence[bytes]) -> None:
    if any(len(secret) < _LEAST for secret in secrets):
        raise ValueError(f"the secret is too short, expected {_LEAST} characters or more")


def _check_one(given: bytes, secrets: Sequence[bytes]) -> None:
    check_one_of([given], secrets, "the secret does not match")


def _credentials(call: Call, scheme: str) -> str:
    word, _, given = call.headers.get("Authorization", "").partition(" ")
    if word.lower() != scheme or not given.strip():
        raise Denied(401, f"Authorization: missing, expected {scheme.capitalize()} with the secret of this source")
    return given.strip()


def _bearer(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    _long_enough(secrets)
    return lambda call: _check_one(_credentials(call, "bearer").encode(errors="replace"), secrets)


def _basic(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    if any(b":" not in secret for secret in secrets):
        raise ValueError("the secret has no colon, expected USER:PASSWORD")
    _long_enough(secrets)
    return lambda call: _check_one(base64_bytes(_credentials(call, "basic")) or b"", secrets)


def _parameter(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    name = options.get("name", "key")
    _long_enough(secrets)

    def check(call: Call) -> None:
        try:
            query = dict(parse_qsl(call.target.partition("?")[2], max_num_fields=50))
        except ValueError:
            query = {}
        if not query.get(name):
            raise Denied(401, f"{name}: missing in the address, expected the secret of this source")
        _check_one(query[name].encode(errors="replace"), secrets)

    return check


def _of_origin(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    origins = options.get("origins")
    if not isinstance(origins, list) or not origins or not all(isinstance(each, str) and _origin(each) for each in origins):
        raise ValueError("origins: expected a list of the sites that may send, such as [https://www.acme.example]")
    allowed = frozenset(origins)

    def check(call: Call) -> None:
        if call.headers.get("Origin") not in allowed:
            raise Denied(403, "Origin: not a site that may send to this source")

    return check


BEARER = Scheme(
    name="bearer",
    title="Bearer",
    pages=(),
    secret="the token",
    looks_at="`Authorization: Bearer`",
    prepare=_bearer,
    early=True,
)
BASIC = Scheme(
    name="basic",
    title="Basic",
    pages=(),
    secret="`user:password`, as they stand in the address before the @",
    looks_at="`Authorization: Basic`",
    prepare=_basic,
    early=True,
)
PARAMETER = Scheme(
    name="parameter",
    title="A secret in the address",
    pages=("https://mailchimp.com/developer/marketing/guides/sync-audience-data-webhooks/",),
    secret="the parameter's value",
    looks_at="a parameter of the query. Addresses end up in logs: only for vendors that can do nothing else",
    prepare=_parameter,
    options=(Option("name", "text", "The parameter's name; `key` by default.", "key"),),
    early=True,
)
ORIGIN = Scheme(
    name="origin",
    title="Pages of your own sites",
    pages=(),
    secret="",
    looks_at="`Origin`, which browsers tell truly and other programs do not: only for the adapter `snippet`",
    prepare=_of_origin,
    options=(Option("origins", "any", "The sites; needed.", "[https://www.acme.example]"),),
    early=True,
)
