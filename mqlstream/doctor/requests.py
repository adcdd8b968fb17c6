"""Three questions to a broker that aiokafka cannot put: as they stand on the wire. All of them only ask.

Metadata with what the principal may do (it asks by name, and forbids the broker to create what it does not know), groups with the same
(aiokafka reads their answer with the wrong schema), and the quorum, whose answer carries the controller's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Bytes, CompactArray, CompactString, Int16, Int32, Int64, Schema, String, TaggedFields

_PARTITION = (
    ("error", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", Array(Int32)),
    ("in_sync", Array(Int32)),
    ("offline", Array(Int32)),
)


class _MetadataAnswer(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_ms", Int32),
        ("brokers", Array(("node", Int32), ("host", String()), ("port", Int32), ("rack", String()))),
        ("cluster", String()),
        ("controller", Int32),
        (
            "topics",
            Array(("error", Int16), ("name", String()), ("internal", Boolean), ("partitions", Array(*_PARTITION)), ("rights", Int32)),
        ),
        ("cluster_rights", Int32),
    )


class _Metadata8(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataAnswer
    SCHEMA = Schema(("topics", Array(String())), ("create", Boolean), ("cluster_rights", Boolean), ("topic_rights", Boolean))


class Metadata(Request[_Metadata8]):  # type: ignore[misc]
    """Brokers, and these topics with their partitions and the principal's rights. Creates none of them."""

    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)

    def build(self, form: type[_Metadata8]) -> Any:
        return form(self._topics, False, False, True)


_MEMBER = (("member", String()), ("client", String()), ("host", String()), ("metadata", Bytes), ("assignment", Bytes))
_GROUP = (("error", Int16), ("group", String()), ("state", String()), ("kind", String()), ("protocol", String()))


class _GroupsAnswer(Response):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    SCHEMA = Schema(("throttle_ms", Int32), ("groups", Array(*_GROUP, ("members", Array(*_MEMBER)), ("rights", Int32))))


class _Groups3(RequestStruct):  # type: ignore[misc]
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = _GroupsAnswer
    SCHEMA = Schema(("groups", Array(String())), ("rights", Boolean))


class Groups(Request[_Groups3]):  # type: ignore[misc]
    """State, members and the principal's rights of one group, asked of its coordinator."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, form: type[_Groups3]) -> Any:
        return form([self._group], True)


_TAGS = ("tags", TaggedFields)
_REPLICA = (("node", Int32), ("end", Int64), ("fetched_ms", Int64), ("caught_up_ms", Int64), _TAGS)
_REPLICAS = (("voters", CompactArray(*_REPLICA)), ("observers", CompactArray(*_REPLICA)))
_QUORUM = (("partition", Int32), ("error", Int16), ("leader", Int32), ("leader_epoch", Int32), ("high_watermark", Int64), *_REPLICAS, _TAGS)


class _QuorumAnswer(Response):  # type: ignore[misc]
    API_KEY = 55
    API_VERSION = 1
    SCHEMA = Schema(
        ("error", Int16), ("topics", CompactArray(("name", CompactString()), ("partitions", CompactArray(*_QUORUM)), _TAGS)), _TAGS
    )


class _Quorum1(RequestStruct):  # type: ignore[misc]
    API_KEY = 55
    API_VERSION = 1
    RESPONSE_TYPE = _QuorumAnswer
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("name", CompactString()), ("partitions", CompactArray(("partition", Int32), _TAGS)), _TAGS)), _TAGS
    )


class Quorum(Request[_Quorum1]):  # type: ignore[misc]
    """Where the replicas of the cluster's metadata stand. The leader counts as caught up now: by its own clock."""

    API_KEY = 55

    def build(self, form: type[_Quorum1]) -> Any:
        return form([("__cluster_metadata", [(0, {})], {})], {})
