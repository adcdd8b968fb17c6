"""The sources that take webhooks, from the settings: which topic, which check, which headers go along. Nothing here listens or writes."""

from __future__ import annotations

from collections.abc import Iterable

from mqlstream.config import Settings
from mqlstream.doors.signatures.registry import Verifier, verifier_of
from mqlstream.errors import UsageError
from mqlstream.program import sources_of

HEADER_BYTES = 16_384  # of a request that go along with its body
_KEPT = ("content-type", "user-agent")  # and CloudEvents' ce-*
_PUBLIC = "snippet"  # the one adapter whose events name nobody


def webhooks_of(settings: Settings) -> dict[str, Verifier]:
    """How calls for each source with webhooks are checked, by its topic.

    Raises `UsageError` for a source that is none, or whose check is not as its scheme wants it.
    """
    ingest = settings.ingest
    sources = sources_of(settings)
    found = {}
    for topic, entry in ingest.webhooks.items():
        where = f"{settings.origins.get('ingest.webhooks', 'ingest.webhooks')}: ingest.webhooks.{topic}"
        if topic not in sources:
            raise UsageError(f"{where}: there is no such source, expected one of those under `sources`: {' '.join(sources) or 'none'}")
        try:
            verifier = verifier_of(entry, ingest.webhook_secrets.get(topic))
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
        # A page has no secret: anybody can send what it sends. So nothing may come of it but visits of visitors that made up their ids.
        if verifier.origins and sources[topic].adapter.name != _PUBLIC:
            raise UsageError(f"{where}: anybody could send events of any lead; expected the adapter {_PUBLIC}, or another `verify`")
        found[topic] = verifier
    for topic in ingest.webhook_secrets:
        if topic not in found:
            where = settings.origins.get("ingest.webhook_secrets", "ingest.webhook_secrets")
            raise UsageError(f"{where}: {topic}: there is a secret and no such entry under ingest.webhooks")
    return found


def kept_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, bytes]]:
    """Those of a request's headers that an adapter looks at, with lower-case names; the first `HEADER_BYTES` of them."""
    kept = []
    room = HEADER_BYTES
    for name, text in headers:
        word, value = name.lower(), text.encode(errors="replace")
        if word not in _KEPT and not word.startswith("ce-"):
            continue
        room -= len(word) + len(value)
        if room < 0:
            break
        kept.append((word, value))
    return kept
