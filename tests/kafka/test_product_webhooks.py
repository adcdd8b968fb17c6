"""The door for webhooks on a real broker: whatever is answered with 202 is in the topic, also when the worker is killed at work.

And what only a real broker shows of dead letters that are given back: what an aborted transaction held was never there.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import ClientError, ClientSession
from confluent_kafka.admin import AdminClient, NewTopic

from mqlstream.core.outcome import Reason
from mqlstream.dead_letters.reading import Wanted, find
from mqlstream.dead_letters.retrying import Outcome, Rules, retry
from mqlstream.errors import UnreachableError
from mqlstream.stages.dead_letter import dead_letter
from tests.cli.test_dlq import Read
from tests.kafka.installation import Installation, Sent, Worker, eventually, free_port

pytestmark = pytest.mark.kafka

SECRET = "a-secret-of-nobody-s"
CALLERS = 16


@pytest.fixture
def topic(kafka: str) -> str:
    """The topic of a source of the test's own."""
    name = f"hooks-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka})  # it must outlive its answers
    for done in admin.create_topics([NewTopic(name, 4, 1)]).values():
        done.result()
    return name


@pytest.fixture
def installation(kafka: str, tmp_path: Path, topic: str) -> Iterator[Installation]:
    settings = {
        "MQLSTREAM_SOURCES": f"{topic}=json",
        "MQLSTREAM_INGEST_WEBHOOKS": f"{topic}=bearer",
        "MQLSTREAM_INGEST_WEBHOOK_SECRETS": f"{topic}={SECRET}",
    }
    made = Installation(kafka, tmp_path, more=settings)
    yield made
    made.clear_away()


class Door(Worker):
    """A worker that takes webhooks, and scores nothing."""

    def __init__(self, name: str, environ: Mapping[str, str], folder: Path) -> None:
        port = free_port()
        super().__init__(name, {**environ, "MQLSTREAM_INGEST_BIND": f"127.0.0.1:{port}"}, folder, "--roles", "web")
        self.door = f"http://127.0.0.1:{port}"


async def call(door: Door, topic: str, accepted: list[str], statuses: Counter[int], stop: asyncio.Event) -> None:
    """Call one after the other until told to stop, or until nobody answers."""
    async with ClientSession(door.door, headers={"Authorization": f"Bearer {SECRET}"}) as session:
        while not stop.is_set():
            number = uuid4().hex
            try:
                async with session.post(f"/v1/ingest/{topic}", json={"id": number, "text": "x" * 500}) as response:
                    statuses[response.status] += 1
                    if response.status == 202:
                        accepted.append(number)
            except (ClientError, OSError):
                return


async def test_every_call_that_was_accepted_is_in_the_topic_after_the_worker_was_killed(installation: Installation, topic: str) -> None:
    installation.apply_topics()
    door = Door("door", installation.environ, installation.folder)
    installation.workers.append(door)
    accepted: list[str] = []
    statuses: Counter[int] = Counter()
    for end in (signal.SIGKILL, signal.SIGTERM):  # in the middle, and as a deployment would
        door.start()
        await door.ready()
        before = len(accepted)
        stop = asyncio.Event()
        calling = [asyncio.create_task(call(door, topic, accepted, statuses, stop)) for _ in range(CALLERS)]
        await eventually(lambda before=before: len(accepted) > before + 300, "nothing is accepted", door.log.read_text)
        door.send(end)
        assert await door.ended() == (-signal.SIGKILL if end is signal.SIGKILL else 0)
        stop.set()
        await asyncio.gather(*calling)
    stored = Counter(json.loads(record.value or b"")["id"] for record in installation.read(topic))
    assert set(accepted) - set(stored) == set()
    assert max(stored.values()) == 1, "an idempotent producer writes nothing twice"
    assert set(statuses) <= {202, 503}
    assert door.complaints() == []
    assert SECRET not in door.log.read_text()


async def test_what_a_worker_takes_at_its_door_becomes_an_event_and_what_nobody_understands_a_dead_letter(
    installation: Installation, topic: str
) -> None:
    installation.apply_topics()
    door = Door("door", installation.environ, installation.folder)
    reader = installation.worker("reader", "--roles", "ingest,web")
    installation.workers.append(door)
    door.start()
    await door.ready()
    await reader.ready()
    async with ClientSession(door.door, headers={"Authorization": f"Bearer {SECRET}"}) as session:
        for body in (b'{"kind": "form_fill", "id": "f1", "time": 1793610000000, "lead_id": "ann", "form": "demo"}', b"{"):
            async with session.post(f"/v1/ingest/{topic}", data=body) as response:
                assert response.status == 202
    dead_letters = installation.topics.dead_letters

    def both() -> bool:
        return len(events()) == 1 and len(installation.read(dead_letters)) == 1

    def events() -> list[Any]:
        return [record for record in installation.read(installation.topics.lead_events) if record.key == b"ann"]

    await eventually(both, "the calls do not come through", lambda: reader.log.read_text()[-2000:])
    told = installation.command("dlq", "retry", "--reason", "not_json", "--format", "jsonl")
    assert (told.returncode, json.loads(told.stdout)["outcome"]) == (0, "retried"), told.stderr
    # It is as broken as before, and comes back once, with its history.
    await eventually(lambda: len(installation.read(dead_letters)) == 3, "the record does not come back")
    rows = [json.loads(line) for line in installation.command("dlq", "list", "--format", "jsonl").stdout.splitlines()]
    assert [(row["retried"], row["retries"]) for row in rows] == [(True, 0), (False, 1)]


async def test_a_dead_letter_that_is_refused_holds_no_other_up_and_leaves_no_note(installation: Installation, topic: str) -> None:
    installation.apply_topics()
    letters = installation.topics.dead_letters
    values = [b'{"id": 1}', b"x" * 50_000, b'{"id": 2}']
    made = [dead_letter(letters, "ingest", Read(topic, value), Reason.FAILED, "") for value in values]
    installation.write(Sent(letters, each.value, each.key, 0, headers=tuple(each.headers)) for each in made)
    kafka = {"bootstrap_servers": installation.bootstrap}
    given = retry(kafka, f"{installation.name}-dlq-retry", letters, Wanted(), Rules(), 10_000)
    outcomes = [each async for batch in given for each in batch]
    assert [(each.letter.place.offset, each.why) for each in outcomes] == [
        (0, ""),
        (1, "the broker refused it: MessageSizeTooLargeError"),
        (2, ""),
    ]
    assert [record.value for record in installation.read(topic)] == [values[0], values[2]]
    assert {place.offset for place in (await find(kafka, letters, Wanted())).retried} == {0, 2}


async def test_of_two_retries_at_once_one_ends_the_other_and_nothing_goes_back_twice(installation: Installation, topic: str) -> None:
    installation.apply_topics()
    letters = installation.topics.dead_letters
    values = [b"%d" % number for number in range(250)]
    made = [dead_letter(letters, "ingest", Read(topic, value), Reason.FAILED, "") for value in values]
    installation.write(Sent(letters, each.value, each.key, 0, headers=tuple(each.headers)) for each in made)

    def run() -> AsyncGenerator[list[Outcome], None]:
        kafka = {"bootstrap_servers": installation.bootstrap}
        return retry(kafka, f"{installation.name}-dlq-retry", letters, Wanted(), Rules(), 10_000)

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    first, second = run(), run()
    done = len(await anext(first))
    assert 0 < done < len(values)
    told = [outcome for batch in [batch async for batch in second] for outcome in batch]
    with pytest.raises(UnreachableError, match="another retry was started meanwhile, and this one ended"):
        await anext(first)
    assert sum(not outcome.why for outcome in told) == len(values) - done
    assert Counter(record.value for record in installation.read(topic)) == Counter(values)
    del first, second
    gc.collect()
    assert complaints == [], "no failure is left behind for the event loop to complain of"
