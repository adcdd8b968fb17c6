"""Records that nobody can use, and why: what a platform team's broken systems may write, one way after the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import orjson

LARGEST = 1_048_000  # bytes of a value that the input topics still take


class Bad(NamedTuple):
    """A value, and the reason for which it is refused on any input topic."""

    value: bytes | None
    reason: str


def _event(number: int, **fields: object) -> bytes:
    """An event that would be in order on any topic, but for the fields given."""
    sound = {"id": f"bad-{number}", "source": "broken", "kind": "web_visit", "time": 1_750_000_000_000, "lead_id": f"victim-{number % 7}"}
    return orjson.dumps({name: value for name, value in (sound | fields).items() if value is not ...})


def _nested(depth: int) -> bytes:
    return b'{"id": "deep", "x": ' + b"[" * depth + b"]" * depth + b"}"


WAYS: tuple[Callable[[random.Random, int], Bad], ...] = (
    lambda rng, n: Bad(None, "empty"),
    lambda rng, n: Bad(b"", "empty"),
    lambda rng, n: Bad(rng.randbytes(rng.randrange(1, 400)) + b"\xff", "not_json"),
    lambda rng, n: Bad(_event(n)[: rng.randrange(1, 60)], "not_json"),
    lambda rng, n: Bad(b'{"id": NaN}', "not_json"),
    lambda rng, n: Bad(b'{"id": "\\ud800"}', "not_json"),
    lambda rng, n: Bad(b"\x00" * rng.randrange(1, 50), "not_json"),
    lambda rng, n: Bad(rng.choice((b"null", b"42", b'"text"', b"[]", b'[{"id": 1}]', b"true")), "not_an_object"),
    lambda rng, n: Bad(_nested(rng.choice((65, 200, 900))), "too_deep"),
    lambda rng, n: Bad(_nested(rng.choice((2_000, 100_000))), "too_deep"),
    lambda rng, n: Bad(_event(n, id=...), "missing_field"),
    lambda rng, n: Bad(_event(n, id=n), "bad_field"),
    lambda rng, n: Bad(_event(n, id="x" * 5_000), "bad_field"),
    lambda rng, n: Bad(_event(n, lead_id=["a", "b"]), "bad_field"),
    lambda rng, n: Bad(_event(n, lead_id=..., email="nobody"), "bad_field"),
    lambda rng, n: Bad(_event(n, machine="yes"), "bad_field"),
    lambda rng, n: Bad(_event(n, url={"a": 1}), "bad_field"),
    lambda rng, n: Bad(_event(n, url="u" * 20_000), "bad_field"),
    lambda rng, n: Bad(_event(n, **{f"f{i}": i for i in range(4_000)}), "bad_field"),
    lambda rng, n: Bad(_event(n, kind="web-visit"), "unknown_kind"),
    lambda rng, n: Bad(_event(n, kind=[]), "unknown_kind"),
    lambda rng, n: Bad(_event(n, time="yesterday"), "bad_time"),
    lambda rng, n: Bad(_event(n, time=17), "bad_time"),
    lambda rng, n: Bad(_event(n, time=rng.choice((2**63, -1, 1.5))), "bad_time"),
    lambda rng, n: Bad(_event(n, time=...), "missing_field"),
    lambda rng, n: Bad(_event(n, kind="profile"), "missing_field"),
    lambda rng, n: Bad(_event(n, kind="profile", attributes=[1]), "bad_field"),
    lambda rng, n: Bad(_event(n, kind="feedback"), "missing_field"),
    lambda rng, n: Bad(_event(n, kind="command", do="explode"), "bad_field"),
)
HUGE: tuple[Callable[[random.Random, int], Bad], ...] = (
    lambda rng, n: Bad(_event(n, title="t" * (LARGEST - 200)), "too_large"),
    lambda rng, n: Bad(rng.randbytes(1_000) * (LARGEST // 1_000), "too_large"),
    lambda rng, n: Bad(_event(n, title="t" * 990_000), "bad_field"),
    lambda rng, n: Bad(b'{"id": "n", "x": [' + b"1E5," * 240_000 + b"1]}", "missing_field"),
    lambda rng, n: Bad(_event(n, x=...)[:-1] + b', "x": [' + b"1E5," * 240_000 + b"1]}", "too_large"),
    lambda rng, n: Bad(_nested(400_000), "too_deep"),
)


def bad_value(rng: random.Random, number: int) -> Bad:
    """One that is not huge; all ways come up in turn."""
    return WAYS[number % len(WAYS)](rng, number)


def huge_value(rng: random.Random, number: int) -> Bad:
    """One of a megabyte."""
    return HUGE[number % len(HUGE)](rng, number)
