"""What a long-running command logs, and where: to stderr, for people and log collectors alike. Data goes to stdout."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_SECONDS = 30.0


class Sparing(logging.Filter):
    """Passes what others log once in `QUIET_SECONDS` for each message, and then says how many there were. The client's errors are warnings.

    While a broker is away, each client complains several times a second: some 150 lines a second in one worker.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], tuple[float, int]] = {}  # (logger, message) -> when, and how many since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.split(".")[0] == "mqlstream":
            return True
        if record.name.split(".")[0] == "aiokafka" and record.levelno == logging.ERROR:
            # What it cannot do now it does again. Whether a person is needed, the tasks say, after having tried.
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        key = (record.name, str(record.msg))
        passed_s, since = self._passed.get(key, (float("-inf"), 0))
        if record.created - passed_s < QUIET_SECONDS:
            self._passed[key] = (passed_s, since + 1)
            return False
        if len(self._passed) > 1000:  # a library that writes its values into the message itself
            self._passed.clear()
        self._passed[key] = (record.created, 0)
        if since:
            record.msg = f"{record.msg} (and {since} more like this since the last one)"
        return True


def configure() -> None:
    """Log our own INFO and others' WARNING to stderr, with UTC times; others' repetitions are summed up."""
    handler = logging.StreamHandler()
    handler.addFilter(Sparing())
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("mqlstream").setLevel(logging.INFO)


@contextmanager
def quiet_client() -> Iterator[None]:
    """Keep the Kafka client from logging what our own error is about to say."""
    client = logging.getLogger("aiokafka")
    before, nobody = client.propagate, logging.NullHandler()
    client.propagate = False  # who listens to it for the cause still hears it
    client.addHandler(nobody)
    try:
        yield
    finally:
        client.removeHandler(nobody)
        client.propagate = before
