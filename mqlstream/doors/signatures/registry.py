"""All schemes by name, and a source's check from what the settings say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mqlstream.doors.signatures.base import Check, Scheme
from mqlstream.doors.signatures.dated import CALENDLY, LIVESTORM, MAILCHIMP
from mqlstream.doors.signatures.hmacs import HMAC, SEGMENT, TYPEFORM
from mqlstream.doors.signatures.hubspot import HUBSPOT
from mqlstream.doors.signatures.mailgun import MAILGUN
from mqlstream.doors.signatures.mandrill import MANDRILL
from mqlstream.doors.signatures.sendgrid import SENDGRID
from mqlstream.doors.signatures.sns import SNS
from mqlstream.doors.signatures.tokens import BASIC, BEARER, ORIGIN, PARAMETER
from mqlstream.doors.signatures.zoom import ZOOM
from mqlstream.ingest.fields import nearest

_ALL = (
    SENDGRID,
    SEGMENT,
    TYPEFORM,
    ZOOM,
    HUBSPOT,
    MAILGUN,
    MANDRILL,
    SNS,
    CALENDLY,
    MAILCHIMP,
    LIVESTORM,
    HMAC,
    BEARER,
    BASIC,
    PARAMETER,
    ORIGIN,
)
SCHEMES: Mapping[str, Scheme] = {scheme.name: scheme for scheme in _ALL}


class Verifier(NamedTuple):
    """How calls for one source are checked. ``origins`` are the sites whose pages may read the answers."""

    scheme: Scheme
    check: Check
    origins: frozenset[str] = frozenset()


def verifier_of(entry: Mapping[str, Any], secret: str | None) -> Verifier:
    """The check of ``{"verify": name, **options}``. ``secret`` has one secret a line, any of which will do: that is how they are changed.

    Raises ValueError: what was got and what was expected, in one line, without the secret.
    """
    name = entry.get("verify")
    scheme = SCHEMES.get(name) if isinstance(name, str) else None
    if scheme is None:
        got = "missing" if name is None else f'got "{str(name)[:60]}"'
        raise ValueError(f"verify: {got}, expected one of {' '.join(SCHEMES)}{nearest(str(name), SCHEMES)}")
    options = {word: value for word, value in entry.items() if word != "verify"}
    known = {option.name: option for option in scheme.options}
    for word, value in options.items():
        if word not in known:
            some = f"expected {'some of ' + ' '.join(known) if known else 'none'}{nearest(word, known)}"
            raise ValueError(f"{word[:60]}: no option of {scheme.name}, {some}")
        if known[word].kind == "text" and not (isinstance(value, str) and value.isascii() and value.isprintable() and value):
            raise ValueError(f"{word}: expected text such as {known[word].example}")
    secrets = [line.strip().encode() for line in (secret or "").splitlines() if line.strip()]
    if scheme.secret and not secrets:
        raise ValueError(f"no secret, expected one under `webhook_secrets`: {scheme.secret}")
    if secrets and not scheme.secret:
        raise ValueError(f"got a secret, expected none for {scheme.name}")
    return Verifier(
        scheme, scheme.prepare(options, secrets), frozenset(options.get("origins", ())) if scheme.name == "origin" else frozenset()
    )
