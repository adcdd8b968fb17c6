"""All adapters by name, and a configured source from what the settings say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mqlstream.ingest.adapters.base import Adapter, Option, Source
from mqlstream.ingest.adapters.calendly import CALENDLY
from mqlstream.ingest.adapters.cloudevents import CLOUDEVENTS
from mqlstream.ingest.adapters.generic_json import JSON
from mqlstream.ingest.adapters.gotowebinar import GOTOWEBINAR
from mqlstream.ingest.adapters.gravity_forms import GRAVITY_FORMS
from mqlstream.ingest.adapters.hubspot import HUBSPOT
from mqlstream.ingest.adapters.livestorm import LIVESTORM
from mqlstream.ingest.adapters.mailchimp import MAILCHIMP
from mqlstream.ingest.adapters.mailgun import MAILGUN
from mqlstream.ingest.adapters.mandrill import MANDRILL
from mqlstream.ingest.adapters.posthog import POSTHOG
from mqlstream.ingest.adapters.postmark import POSTMARK
from mqlstream.ingest.adapters.rudderstack import RUDDERSTACK
from mqlstream.ingest.adapters.segment import SEGMENT
from mqlstream.ingest.adapters.sendgrid import SENDGRID
from mqlstream.ingest.adapters.ses import SES
from mqlstream.ingest.adapters.snippet import SNIPPET
from mqlstream.ingest.adapters.snowplow import SNOWPLOW
from mqlstream.ingest.adapters.typeform import TYPEFORM
from mqlstream.ingest.adapters.zoom import ZOOM
from mqlstream.ingest.fields import MAX_ID, nearest

_ALL = (
    JSON,
    CLOUDEVENTS,
    SNIPPET,
    SEGMENT,
    RUDDERSTACK,
    SNOWPLOW,
    POSTHOG,
    HUBSPOT,
    TYPEFORM,
    GRAVITY_FORMS,
    CALENDLY,
    SENDGRID,
    MAILGUN,
    POSTMARK,
    SES,
    MAILCHIMP,
    MANDRILL,
    ZOOM,
    GOTOWEBINAR,
    LIVESTORM,
)
ADAPTERS: Mapping[str, Adapter] = {adapter.name: adapter for adapter in _ALL}

COMMON = (Option("source", "text", "The `source` of the events; left out: the topic's name.", "website"),)


def source_of(entry: Mapping[str, Any]) -> Source:
    """The source of ``{"adapter": name, **options}``. Raises ValueError: what was got and what was expected, in one line."""
    name = entry.get("adapter")
    adapter = ADAPTERS.get(name) if isinstance(name, str) else None
    if adapter is None:
        got = "missing" if name is None else f"got {_short(name)}"
        raise ValueError(f"adapter: {got}, expected one of {' '.join(ADAPTERS)}{nearest(str(name), ADAPTERS)}")
    known = {option.name: option for option in (*COMMON, *adapter.options)}
    options = {name: value for name, value in entry.items() if name != "adapter"}
    for word, value in options.items():
        if word not in known:
            raise ValueError(
                f"{_short(word)}: no option of the adapter {adapter.name}, expected some of {' '.join(known)}{nearest(word, known)}"
            )
        _check(known[word], value)
    source = options.pop("source", None)
    if source is not None and len(source) > MAX_ID:
        raise ValueError(f"source: got a text of {len(source)} characters, expected at most {MAX_ID}")
    digest = orjson.dumps(dict(entry), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str).decode()
    return Source(adapter, source, adapter.prepare(options), digest)


def _check(option: Option, value: Any) -> None:
    if option.kind == "text" and not (isinstance(value, str) and value):
        raise ValueError(f"{option.name}: got {_short(value)}, expected text such as {option.example}")
    if option.kind == "map" and not _texts(value):
        raise ValueError(f"{option.name}: got {_short(value)}, expected a map of texts such as {option.example}")


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(side, str) and side for pair in value.items() for side in pair)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return f'"{text if len(text) <= 60 else text[:57] + "..."}"'
