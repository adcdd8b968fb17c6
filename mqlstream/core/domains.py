"""Whose a domain is: the part of it that somebody has registered, by the public suffix list. No lists of mail providers."""

from __future__ import annotations

from functools import cache, lru_cache

from publicsuffixlist import PublicSuffixList


@lru_cache(maxsize=10_000)
def registrable(domain: str) -> str | None:
    """``mail.acme.co.uk`` -> ``acme.co.uk``; None for a domain that nobody can own, such as ``co.uk``.

    The list is the one that the installed package `publicsuffixlist` brings along, those suffixes included under which companies
    let others register (``github.io``). An unknown top level counts as a suffix.
    """
    return _list().privatesuffix(domain)


@cache
def _list() -> PublicSuffixList:
    return PublicSuffixList()
