"""What a long-running command logs."""

from __future__ import annotations

import logging

from mqlstream.cli.logs import QUIET_SECONDS, Sparing


def record(name: str, at_s: float, text: str = "no node %d") -> logging.LogRecord:
    made = logging.LogRecord(name, logging.ERROR, "", 0, text, (1,), None)
    made.created = at_s
    return made


def test_a_client_that_repeats_itself_is_heard_once_in_a_while_with_the_number() -> None:
    sparing = Sparing()
    assert sparing.filter(record("aiokafka", 100.0))
    assert not sparing.filter(record("aiokafka", 100.1))
    assert not sparing.filter(record("aiokafka", 100.2))
    assert sparing.filter(record("aiokafka", 100.3, "another %d"))
    later = record("aiokafka", 100.0 + QUIET_SECONDS)
    assert sparing.filter(later)
    assert later.getMessage() == "no node 1 (and 2 more like this since the last one)"


def test_what_the_client_will_try_again_is_no_error_of_ours() -> None:
    told = [record(name, 100.0) for name in ("aiokafka.consumer.group_coordinator", "asyncio", "mqlstream.engine.task")]
    assert all(Sparing().filter(each) for each in told)
    assert [each.levelname for each in told] == ["WARNING", "ERROR", "ERROR"]


def test_our_own_lines_always_pass() -> None:
    sparing = Sparing()
    assert all(sparing.filter(record("mqlstream.engine.task", 100.0)) for _ in range(3))
