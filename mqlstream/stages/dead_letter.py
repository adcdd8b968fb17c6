"""A record that could not be used, as it goes to the dead letters: untouched, with the reason in headers.

The headers named ``__connect.errors.*`` are those of Kafka Connect's dead letters, so that tools made for these can
show ours. Every stage writes its dead letters through here.
"""

from __future__ import annotations

from collections.abc import Sequence

from mqlstream.core.outcome import Reason
from mqlstream.engine.interfaces import Output, Record
from mqlstream.engine.unpacking import UNPACKED
from mqlstream.ingest.results import Rejected

LIMIT_BYTES = 16_000_000  # key, value and headers together: under the topic's max.message.bytes, with room for framing
MAX_KEY_BYTES = 65_536  # a key that is kept when a record must be cut
_MAX_DETAIL = 1_000  # characters

FIRST = "__connect.errors.topic"  # begins the block of headers that a dead letter has besides its own
REASON = "mqlstream.reason"
DETAIL = "mqlstream.detail"
STAGE = "mqlstream.stage"
TIMESTAMP = "mqlstream.timestamp"
TRUNCATED = "mqlstream.truncated"
PLACES = "mqlstream.places"  # which parts of a batch are meant, counted from 0; the others were taken


def dead_letter(
    topic: str,
    stage: str,
    record: Record,
    reason: Reason,
    detail: str,
    *,
    failure: str = "",
    places: Sequence[int] = (),
    limit: int = LIMIT_BYTES,
) -> Output:
    """The dead letter of ``record`` on the topic ``topic``: its key, value and headers as they came, and why it is there.

    ``detail`` says what was got and expected, ``failure`` names the exception where the handler itself failed, ``places``
    are the parts of a batch that could not be used. A
    record too large for the topic is cut, its headers first, then its value, then its key; `mqlstream.truncated` says
    what was cut and how long it was. The whole record stands at the topic, partition and offset that the headers name.
    """
    reasons = _reasons(stage, record, reason, detail, failure)
    if places:
        reasons.append((PLACES, ",".join(map(str, places)).encode()))
    key, value, headers = record.key, record.value, list(record.headers)
    room = limit - _size(reasons)
    if len(key or b"") + len(value or b"") + _size(headers) > room:
        cut = []
        if headers:
            cut.append(f"headers={_size(headers)}")
            headers = []
        if key is not None and len(key) > MAX_KEY_BYTES:
            cut.append(f"key={len(key)}")
            key = key[:MAX_KEY_BYTES]
        left = room - len(key or b"") - 200  # 200: for this header itself
        if value is not None and len(value) > left:
            cut.append(f"value={len(value)}")
            value = value[: max(left, 0)]
        reasons.append((TRUNCATED, ",".join(cut).encode()))
    return Output(topic, key, value, (*headers, *reasons))


def why_empty(record: Record, rejected: Rejected) -> Rejected:
    """A record without a value that stands for a batch which was too large to be read is no empty one."""
    told = dict(record.headers).get(UNPACKED) if rejected.reason is Reason.EMPTY else None
    return rejected if told is None else rejected._replace(reason=Reason.TOO_LARGE, detail=told.decode(errors="replace"))


def _reasons(stage: str, record: Record, reason: Reason, detail: str, failure: str) -> list[tuple[str, bytes]]:
    told = detail[:_MAX_DETAIL].encode(errors="backslashreplace")
    return [
        (FIRST, record.topic.encode()),
        ("__connect.errors.partition", b"%d" % record.partition),
        ("__connect.errors.offset", b"%d" % record.offset),
        ("__connect.errors.connector.name", b"mqlstream"),
        ("__connect.errors.task.id", b"%d" % record.partition),
        ("__connect.errors.stage", stage.encode()),
        ("__connect.errors.exception.class.name", (failure or f"mqlstream.{reason.value}").encode()),
        ("__connect.errors.exception.message", told),
        (REASON, reason.value.encode()),
        (DETAIL, told),
        (STAGE, stage.encode()),
        (TIMESTAMP, b"%d" % record.timestamp),
    ]


def _size(headers: list[tuple[str, bytes]]) -> int:
    # Ten bytes a header for its two lengths, at most.
    return sum(len(name.encode(errors="replace")) + len(value or b"") + 10 for name, value in headers)
