"""Topics: what is declared (topics/topics.yaml), what they are called, and what a cluster has of them.

    topics = Topics(settings.topic_prefix)
    topics.lead_events, topics.inputs, topics.kinds[topics.web_visits]

Comparing with a cluster and changing it lives in `mqlstream.topics.cluster`, other tools' formats in `mqlstream.topics.export`.
"""

from mqlstream.topics.declared import Declared, declared, schema, schemas
from mqlstream.topics.names import Topics, largest_message_bytes

__all__ = ["Declared", "Topics", "declared", "largest_message_bytes", "schema", "schemas"]
