"""Whom an event names: normalised email addresses, and visitors. Links between visitors and leads live in `mqlstream.ingest.visitors`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import idna

from mqlstream.ingest.fields import MAX_ID

MAX_EMAIL = 254  # characters of a whole address, as mail servers take them
MAX_LOCAL = 64

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)+(?![0-9]+$){_LABEL}"
_plain = re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,{MAX_LOCAL}}}@{_DOMAIN}").fullmatch
_domain = re.compile(_DOMAIN).fullmatch


def normalise_email(text: str) -> str | None:
    """The one spelling of an email address, or None when it is no address.

    White space around it goes, letters become lower case, a domain in another script becomes its IDNA form (ASCII) and
    loses a final dot. Dots and ``+tags`` in the local part stay: they are different mailboxes at most providers. An
    address has one ``@``, a local part of 1 to 64 characters without spaces or control characters, and a domain of two
    labels at least. Addresses in quotes and with an IP literal are not taken.
    """
    address = text.strip().lower()
    if len(address) > MAX_EMAIL:
        return None
    if _plain(address):
        return address
    local, _, domain = address.rpartition("@")
    local = unicodedata.normalize("NFC", local)
    if not 0 < len(local) <= MAX_LOCAL or not _readable(local):
        return None
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode().lower()
        except (idna.IDNAError, UnicodeError):
            return None
    domain = domain.removesuffix(".")
    address = f"{local}@{domain}"
    return address if _domain(domain) and len(address) <= MAX_EMAIL else None


def _readable(local: str) -> bool:
    """A local part beyond ASCII is taken when it has neither spaces nor control characters, quotes, brackets or another @."""
    return not any(c in '@"(),:;<>[\\]' or c.isspace() or not c.isprintable() for c in local)


MAILBOX_RULES = ("plus", "dots", "plus_dots")


def mailbox(address: str, rules: Mapping[str, str]) -> str:
    """The mailbox that a normalised address reaches, by its provider's rule: what is lead id where no other is told.

    ``rules``: domain -> `plus` (what follows a plus sign is a tag), `dots` (dots in the name make no difference), or both.
    """
    local, _, domain = address.rpartition("@")
    rule = rules.get(domain)
    if rule is None:
        return address
    if "plus" in rule:
        local = local.partition("+")[0] or local
    if "dots" in rule:
        local = local.replace(".", "") or local
    return f"{local}@{domain}"


def visitors_of(fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The visitor that an event names, and another visitor that is the same person; None where there is none.

    The visitor is ``user_id``, else ``anonymous_id``; with both, the anonymous one is the other. An id beyond the length of ids,
    and one that begins with a NUL character, is none.
    """
    user, anonymous = _visitor(fields.get("user_id")), _visitor(fields.get("anonymous_id"))
    if user is None:
        return anonymous, None
    return user, anonymous if anonymous != user else None


def _visitor(value: str | None) -> str | None:
    return value if value and len(value) <= MAX_ID and value[0] != "\0" else None
