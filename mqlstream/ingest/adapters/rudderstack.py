"""RudderStack speaks Segment's language (`mqlstream.ingest.adapters.segment`), with times of its own.

Field names from https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/.
"""

from __future__ import annotations

from dataclasses import replace

from mqlstream.ingest.adapters.segment import SEGMENT

RUDDERSTACK = replace(
    SEGMENT,
    name="rudderstack",
    title="RudderStack",
    pages=("https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/",),
)
