"""How long somebody was there, from the times of joining and leaving. No vendor's names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from mqlstream.ingest.fields import time_ms


class Watched(NamedTuple):
    """The first moment, and the seconds of all stays together; stays on two devices at once count once."""

    first_ms: int
    seconds: int


def watched(stays: Iterable[tuple[object, object]]) -> Watched | None:
    """What stays of (joined, left) come to, each in RFC 3339 or epoch milliseconds; None when there are none.

    Raises `Refused` for what is no time. A stay that ends before it begins, or has no end, takes no time.
    """
    spans = []
    for joined, left in stays:
        begin = time_ms(joined)
        spans.append((begin, max(begin, begin if left is None or left == "" else time_ms(left))))
    if len(spans) < 2:
        return Watched(spans[0][0], (spans[0][1] - spans[0][0]) // 1000) if spans else None
    spans.sort()
    total, reached = 0, spans[0][0]
    for begin, end in spans:
        if end > reached:
            total += end - max(begin, reached)
            reached = end
    return Watched(spans[0][0], total // 1000)
