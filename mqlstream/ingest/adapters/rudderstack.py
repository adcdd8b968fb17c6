"""RudderStack speaks Segment's language (`mqlstream.ingest.adapters.segment`), with times of its own and a person's traits in the context.

Field names from https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/ and .../identify/, the snake_case ones from
https://www.rudderstack.com/docs/destinations/warehouse-destinations/warehouse-schema/.
"""

from __future__ import annotations

from dataclasses import replace

from mqlstream.ingest.adapters.segment import SEGMENT

RUDDERSTACK = replace(
    SEGMENT,
    name="rudderstack",
    title="RudderStack",
    pages=(
        "https://www.rudderstack.com/docs/event-spec/standard-events/common-fields/",
        "https://www.rudderstack.com/docs/event-spec/standard-events/identify/",
        "https://www.rudderstack.com/docs/destinations/warehouse-destinations/warehouse-schema/",
        "https://www.rudderstack.com/docs/event-spec/standard-events/merge/",
    ),
    checked="common fields and their times, and that an identify has its traits in `context.traits`, against the first two pages, the "
    "snake_case spelling against the third, `merge` against the fourth",
)
