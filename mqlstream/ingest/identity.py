"""Who an event is about: normalised email addresses and the lead id. Links between visitors and leads live elsewhere."""

from __future__ import annotations

import re
import unicodedata

import idna

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
