"""Feedback and commands over HTTP, on the embedded broker: what is taken, what is refused with the reason, and that 202 means written."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry

from mqlstream.core.event import Event
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.doors import writing
from mqlstream.doors.writing import COMMAND, FEEDBACK, MAX_AT_ONCE, Door
from mqlstream.ingest.canonical import canonical
from mqlstream.ingest.fields import DECISIONS
from mqlstream.topics import Topics, largest_message_bytes
from mqlstream.web.guard import Guard, refused
from mqlstream.web.server import BODY_BYTES, WebServer
from mqlstream.web.writing import WritingPage

TOPIC, COMMANDS = Topics().feedback, Topics().commands
TIME = 1_793_610_000_000


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker([TOPIC, COMMANDS]) as broker:
        yield broker.bootstrap


@asynccontextmanager
async def serving(bootstrap: str, token: str | None = None, leads: Sequence[str] = (), status: int = 404) -> AsyncIterator[ClientSession]:
    """A server whose lookups know the leads, and answer of all others with the status."""

    async def told(request: web.Request) -> web.Response:
        assert guard.refusal(request) is None
        lead = request.match_info["lead"]
        return web.json_response({"lead_id": lead}) if lead in leads else refused(status, "no such lead")

    door = Door({"bootstrap_servers": bootstrap}, TOPIC, largest_message_bytes())
    guard = Guard("127.0.0.1", token)
    page = WritingPage("/v1/feedback", FEEDBACK, door, guard)
    orders = WritingPage("/v1/commands", COMMAND, Door({"bootstrap_servers": bootstrap}, COMMANDS, largest_message_bytes()), guard)
    server = WebServer("127.0.0.1:0", list, CollectorRegistry(), [*page.routes(), *orders.routes(), web.get("/v1/leads/{lead}", told)])
    await server.start()
    try:
        async with ClientSession(server.url) as session:
            yield session
    finally:
        await server.stop()
        await page.close()
        await orders.close()


async def post(session: ClientSession, body: Any, path: str = "/v1/feedback") -> tuple[int, Any]:
    async with session.post(path, json=body) as response:
        return response.status, await response.json()


async def stored(bootstrap: str, topic: str = TOPIC) -> dict[tuple[int, int], tuple[bytes, dict[str, Any]]]:
    """Key and JSON of every record on the topic, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: dict[tuple[int, int], tuple[bytes, dict[str, Any]]] = {}
        for place, end in ends.items():
            consumer.seek(place, 0)
            while len([key for key in found if key[0] == place.partition]) < end:
                for record in (await consumer.getmany(place, timeout_ms=500)).get(place, ()):
                    found[record.partition, record.offset] = (record.key, json.loads(record.value))
        return found
    finally:
        await consumer.stop()


async def test_what_is_accepted_stands_on_the_topic_where_the_answer_says_and_is_an_event_that_ingest_takes(bootstrap: str) -> None:
    given = {"lead_id": "ann", "decision": "accepted", "definition": "first", "id": "a1", "source": "crm", "time": TIME, "by": "sam"}
    async with serving(bootstrap) as session:
        status, told = await post(session, given)
        assert (status, [(each["id"], each["topic"]) for each in told["accepted"]]) == (202, [("a1", TOPIC)])
        place = told["accepted"][0]["partition"], told["accepted"][0]["offset"]
    key, value = (await stored(bootstrap))[place]
    assert (key, value) == (b"ann", {**given, "kind": "feedback"})
    event = canonical(value)
    assert isinstance(event, Event)
    assert (event.kind, event.lead, event.time, event.source, event.id) == ("feedback", "ann", TIME, "crm", "a1")


async def test_a_list_is_written_in_its_order_for_each_lead(bootstrap: str) -> None:
    given = [{"email": "Bob@Acme.example", "decision": word, "time": TIME + at} for at, word in enumerate(("accepted", "qualified", "won"))]
    async with serving(bootstrap) as session:
        status, told = await post(session, given)
    assert status == 202
    records = await stored(bootstrap)
    written = [records[each["partition"], each["offset"]] for each in told["accepted"]]
    assert [(key, value["decision"]) for key, value in written] == [(b"bob@acme.example", each["decision"]) for each in given]
    assert [each["offset"] for each in told["accepted"]] == sorted(each["offset"] for each in told["accepted"])


@pytest.mark.parametrize("named", [{"handoff_id": "h1"}, {"definition": "first", "time": TIME}])
async def test_the_same_answer_sent_again_has_the_same_id_and_another_one_has_not(bootstrap: str, named: dict[str, Any]) -> None:
    given = {"lead_id": "ann", "decision": "accepted", **named}
    async with serving(bootstrap) as session:
        ids = [
            (await post(session, each))[1]["accepted"][0]["id"]
            for each in (given, given, {**given, "decision": "won"}, {**given, "lead_id": "bob"})
        ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


async def test_answers_that_name_neither_handoff_nor_time_are_answers_of_their_own(bootstrap: str) -> None:
    given = {"lead_id": "ann", "decision": "accepted"}
    async with serving(bootstrap) as session:
        _, told = await post(session, [given, given])
    assert len({each["id"] for each in told["accepted"]}) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"decision": "accepted"}, "lead_id: missing, expected the lead that the feedback is about"),
        (
            {"lead_id": "ann", "decision": "acepted"},
            f'decision: got "acepted", expected one of {" ".join(DECISIONS)} (did you mean accepted?)',
        ),
        ({"kind": "command", "do": "erase", "lead_id": "ann"}, 'kind: got "command", expected feedback'),
        ({"lead_id": "ann", "decision": "won", "by": 7}, "by: got 7, expected text"),
        ({"lead_id": "ann", "decision": "won", "id": ""}, "id: missing, expected a text that is unique within the source"),
        ({"lead_id": "a" * 513, "decision": "won"}, "lead_id: got a text of 513 characters, expected at most 512"),
        ("accepted", 'got "accepted", expected an object'),
        (None, "got null, expected an object"),
    ],
)
async def test_what_is_no_feedback_is_refused_with_its_place_and_nothing_is_written(bootstrap: str, given: Any, error: str) -> None:
    before = await stored(bootstrap)
    async with serving(bootstrap) as session:
        status, told = await post(session, [{"lead_id": "ann", "decision": "won"}, given])
    assert (status, told["problems"]) == (400, [{"index": 1, "error": error}])
    assert await stored(bootstrap) == before


@pytest.mark.parametrize(
    ("data", "kind", "status", "error"),
    [
        (b"{", "application/json", 400, "body: "),
        (b"[]", "application/json", 400, f"body: got a list of 0, expected 1 to {MAX_AT_ONCE} objects"),
        (b"[" + b",".join([b"{}"] * 501) + b"]", "application/json", 400, "body: got a list of 501, expected 1 to 500 objects"),
        (b"[" * 100_000, "application/json", 400, "body: "),
        (b'{"lead_id": "ann", "decision": "won"}', "text/plain", 415, "got content of type text/plain, expected application/json"),
        (b" " * (BODY_BYTES + 1), "application/json", 413, f"got a body of more than {BODY_BYTES} bytes"),
    ],
)
async def test_a_body_of_another_form_is_refused(bootstrap: str, data: bytes, kind: str, status: int, error: str) -> None:
    async with serving(bootstrap) as session, session.post("/v1/feedback", data=data, headers={"Content-Type": kind}) as response:
        assert response.status == status
        assert (await response.json())["error"].startswith(error)


async def test_without_the_token_nothing_is_taken(bootstrap: str) -> None:
    async with serving(bootstrap, "no-token-of-anyone-s") as session:
        assert (await post(session, {"lead_id": "ann", "decision": "won"}))[0] == 401
        session.headers["Authorization"] = "Bearer no-token-of-anyone-s"
        assert (await post(session, {"lead_id": "ann", "decision": "won"}))[0] == 202


async def test_a_broker_that_cannot_be_reached_is_told_with_the_ids_to_send_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_ANSWER_S", 2.0)
    with EmbeddedBroker([TOPIC]) as broker:
        async with serving(broker.bootstrap) as session:
            given = {"lead_id": "ann", "decision": "won", "handoff_id": "h1"}
            status, told = await post(session, given)
            assert status == 202
            broker.close()
            for _ in range(2):  # a connection that broke, and one that cannot be made
                status, again = await post(session, given)
                assert (status, again["ids"]) == (503, [told["accepted"][0]["id"]])
                assert again["error"].startswith(f"cannot write to topic {TOPIC}: ")


async def test_a_command_stands_on_its_topic_and_is_an_event_that_ingest_takes(bootstrap: str) -> None:
    given = {"lead_id": "ann", "do": "retract", "event_source": "web", "event_id": "f1", "by": "sam", "reason": "a test"}
    async with serving(bootstrap) as session:
        first, again = [(await post(session, given, "/v1/commands"))[1]["accepted"][0] for _ in range(2)]
    assert (first["topic"], first["id"]) == (COMMANDS, again["id"]), "an event is retracted once"
    key, value = (await stored(bootstrap, COMMANDS))[first["partition"], first["offset"]]
    event = canonical(value)
    assert isinstance(event, Event)
    assert (key, event.kind, event.lead, event.body) == (b"ann", "command", "ann", {name: given[name] for name in list(given)[1:]})


async def test_a_lead_may_be_frozen_twice(bootstrap: str) -> None:
    async with serving(bootstrap) as session:
        _, told = await post(session, [{"lead_id": "ann", "do": "freeze"}] * 2, "/v1/commands")
    assert len({each["id"] for each in told["accepted"]}) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"lead_id": "ann", "do": "adopt"}, "do: got "),
        ({"lead_id": "ann", "do": "merge"}, "into: missing, expected what the command merge is about"),
        ({"lead_id": "ann", "do": "retract", "event_id": "f1"}, "event_source: missing, expected what the command retract is about"),
        ({"do": "erase"}, "lead_id: missing, expected the lead that the command is about"),
        ({"lead_id": "ann", "do": "erase", "kind": "feedback"}, 'kind: got "feedback", expected command'),
    ],
)
async def test_what_is_no_command_is_refused_with_its_place(bootstrap: str, given: Any, error: str) -> None:
    before = await stored(bootstrap, COMMANDS)
    async with serving(bootstrap) as session:
        status, told = await post(session, [{"lead_id": "ann", "do": "erase"}, given], "/v1/commands")
    assert (status, told["error"], told["problems"][0]["index"]) == (400, "nothing was written: not all of it is command", 1)
    assert told["problems"][0]["error"].startswith(error)
    assert await stored(bootstrap, COMMANDS) == before


async def test_nobody_gives_commands_without_the_token(bootstrap: str) -> None:
    async with serving(bootstrap, "no-token-of-anyone-s") as session:
        assert (await post(session, {"lead_id": "ann", "do": "erase"}, "/v1/commands"))[0] == 401


@pytest.mark.parametrize("token", [None, "no-token-of-anyone-s"])
async def test_an_address_in_another_spelling_is_the_lead_that_lookups_find(bootstrap: str, token: str | None) -> None:
    given = [{"lead_id": lead, "decision": "accepted"} for lead in ("Ann@Acme.example", "BOB@acme.example", "EVE", "ann@acme.example")]
    async with serving(bootstrap, token, leads=["BOB@acme.example", "bob@acme.example"]) as session:
        session.headers.update({"Authorization": f"Bearer {token}"} if token else {})
        status, told = await post(session, given)
    assert status == 202
    records = await stored(bootstrap)
    written = [records[each["partition"], each["offset"]] for each in told["accepted"]]
    assert [value["lead_id"] for _, value in written] == ["ann@acme.example", "BOB@acme.example", "EVE", "ann@acme.example"]
    assert [key.decode() for key, _ in written] == [value["lead_id"] for _, value in written]


async def test_where_nobody_scores_an_address_in_another_spelling_is_the_address(bootstrap: str) -> None:
    async with serving(bootstrap, status=421) as session:
        status, told = await post(session, {"lead_id": "Ann@Acme.example", "decision": "won"})
    place = told["accepted"][0]["partition"], told["accepted"][0]["offset"]
    assert (status, (await stored(bootstrap))[place][0]) == (202, b"ann@acme.example")


async def test_while_lookups_cannot_tell_nothing_is_written_for_an_address_in_another_spelling(bootstrap: str) -> None:
    before = await stored(bootstrap)
    async with serving(bootstrap, status=503) as session:
        given = [{"lead_id": "ann@acme.example", "decision": "won"}, {"lead_id": "Ann@Acme.example", "decision": "won"}]
        status, told = await post(session, given)
    assert status == 503
    assert re.fullmatch("nothing was written: it is not known whom an address means: http://127.0.0.1:[0-9]+: no such lead", told["error"])
    assert await stored(bootstrap) == before


async def test_a_lead_is_not_merged_into_another_spelling_of_itself(bootstrap: str) -> None:
    given = {"lead_id": "a@b.example", "do": "merge", "into": "A@B.example"}
    async with serving(bootstrap) as session:
        status, told = await post(session, given, "/v1/commands")
        assert (status, [each["error"] for each in told["problems"]]) == (
            400,
            ['into: got "a@b.example", expected another lead than the one that is merged'],
        )
    async with serving(bootstrap, leads=["A@B.example"]) as session:
        assert (await post(session, given, "/v1/commands"))[0] == 202, "there are two of them"
