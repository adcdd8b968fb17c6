"""The door for webhooks, through real HTTP and the embedded broker: who is let in, what stands on the topic, what is told to whom."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from mqlstream import metrics
from mqlstream.config import load
from mqlstream.demo.broker import PARTITIONS, EmbeddedBroker
from mqlstream.doors.producing import Writer
from mqlstream.doors.signatures.registry import Verifier, verifier_of
from mqlstream.doors.webhooks import HEADER_BYTES, kept_headers, webhooks_of
from mqlstream.errors import UnreachableError, UsageError
from mqlstream.ingest.adapters.reading import read
from mqlstream.ingest.adapters.registry import source_of
from mqlstream.ingest.results import Anonymous
from mqlstream.web import webhooks
from mqlstream.web.listening import Listener
from mqlstream.web.webhooks import CALL_BYTES, WebhookPage
from tests.doors import sns

SECRET = "a-secret-of-nobody-s"
SITE = "https://www.acme.example"
DOORS: Mapping[str, Verifier] = {
    "acme.segment": verifier_of({"verify": "segment"}, SECRET),
    "acme.zoom": verifier_of({"verify": "zoom"}, SECRET),
    "acme.mailgun": verifier_of({"verify": "mailgun"}, SECRET),
    "acme.hubspot": verifier_of({"verify": "hubspot", "url": "https://hooks.acme.example/v1/ingest/acme.hubspot"}, SECRET),
    "acme.sns": verifier_of({"verify": "sns", "topics": [sns.TOPIC]}, None),
    "acme.bearer": verifier_of({"verify": "bearer"}, SECRET),
    "acme.pages": verifier_of({"verify": "origin", "origins": [SITE]}, None),
}
BEARER = {"Authorization": f"Bearer {SECRET}"}
BODY = b'{ "type":"track",\n"event":"Signed up" }\n'
VISIT = {
    "kind": "web_visit",
    "id": "0" * 32,
    "time": 1_790_000_000_000,
    "anonymous_id": "1" * 32,
    "url": f"{SITE}/pricing",
    "duration_seconds": 12,
}


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    with EmbeddedBroker(DOORS) as broker:
        yield broker.bootstrap


@asynccontextmanager
async def serving(bootstrap: str, answer_s: float = 15.0, **bounds: Any) -> AsyncIterator[ClientSession]:
    page = WebhookPage(DOORS, Writer({"bootstrap_servers": bootstrap}, 1_048_588, answer_s), **bounds)
    application = web.Application()
    application.router.add_routes(page.routes())
    listener = Listener("127.0.0.1:0", "MQLSTREAM_INGEST_BIND", application, public=True)
    await listener.start()
    try:
        async with ClientSession(listener.url) as session:
            yield session
            assert page.held == 0, "what was held is given back"
    finally:
        await listener.stop()
        await page.close()


async def post(session: ClientSession, source: str, body: Any = BODY, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    async with session.post(f"/v1/ingest/{source}", data=body, headers=headers) as response:
        return response.status, await response.json()


async def stored(bootstrap: str, topic: str) -> list[ConsumerRecord]:
    """Every record on the topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord] = []
        for place, end in ends.items():
            consumer.seek(place, 0)
            here: list[ConsumerRecord] = []
            while len(here) < end:
                here += (await consumer.getmany(place, timeout_ms=500)).get(place, ())
            found += here
        return found
    finally:
        await consumer.stop()


def segment(body: bytes) -> dict[str, str]:
    return {"X-Signature": hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()}


def zoom(body: bytes, at_s: float) -> dict[str, str]:
    proof = hmac.new(SECRET.encode(), f"v0:{at_s:.0f}:".encode() + body, hashlib.sha256).hexdigest()
    return {"x-zm-signature": f"v0={proof}", "x-zm-request-timestamp": f"{at_s:.0f}"}


async def test_what_is_accepted_stands_on_the_sources_topic_byte_by_byte_with_the_headers_that_adapters_want(bootstrap: str) -> None:
    headers = {**segment(BODY), "Content-Type": "application/json", "ce-id": "7", "CE-Type": "x", "User-Agent": "Segment", "X-Other": "no"}
    async with serving(bootstrap) as session:
        assert await post(session, "acme.segment", BODY, headers) == (202, {"accepted": True})
    (record,) = await stored(bootstrap, "acme.segment")
    assert (record.key, record.value) == (None, BODY)
    assert sorted(record.headers) == [("ce-id", b"7"), ("ce-type", b"x"), ("content-type", b"application/json"), ("user-agent", b"Segment")]


async def test_a_tampered_body_and_a_missing_signature_are_refused_and_nothing_is_written(bootstrap: str) -> None:
    before = await stored(bootstrap, "acme.segment")
    async with serving(bootstrap) as session:
        status, told = await post(session, "acme.segment", BODY + b" ", segment(BODY))
        assert (status, told) == (403, {"error": "the signature does not match the call"})
        status, told = await post(session, "acme.segment")
        assert (status, told) == (401, {"error": "X-Signature: missing, expected the signature of this source"})
    assert await stored(bootstrap, "acme.segment") == before


async def test_an_old_call_is_a_replay_and_the_challenge_is_answered_and_not_written(bootstrap: str) -> None:
    challenge = b'{"event": "endpoint.url_validation", "payload": {"plainToken": "abc"}}'
    async with serving(bootstrap) as session:
        status, told = await post(session, "acme.zoom", BODY, zoom(BODY, time.time() - 400))
        assert (status, told["error"]) == (403, "x-zm-request-timestamp: too far from now, expected within 300 seconds")
        status, told = await post(session, "acme.zoom", challenge, zoom(challenge, time.time()))
        assert (status, told) == (200, {"plainToken": "abc", "encryptedToken": hmac.new(SECRET.encode(), b"abc", "sha256").hexdigest()})
        assert await stored(bootstrap, "acme.zoom") == []
        assert (await post(session, "acme.zoom", BODY, zoom(BODY, time.time())))[0] == 200, "what Zoom takes for success"
    assert [record.value for record in await stored(bootstrap, "acme.zoom")] == [BODY]


async def test_mailguns_token_comes_twice_only_with_the_same_event(bootstrap: str) -> None:
    timestamp, token = f"{time.time():.0f}", "t" * 50
    proof = hmac.new(SECRET.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    bodies = [
        json.dumps({"signature": {"timestamp": timestamp, "token": token, "signature": proof}, "event-data": {"event": word}})
        for word in ("clicked", "unsubscribed")
    ]
    async with serving(bootstrap) as session:
        assert [(await post(session, "acme.mailgun", body))[0] for body in (bodies[0], bodies[0], bodies[1])] == [200, 200, 403]
    assert [record.value for record in await stored(bootstrap, "acme.mailgun")] == [bodies[0].encode()] * 2


async def test_hubspot_signs_the_address_it_called_with_its_query(bootstrap: str) -> None:
    at_ms = time.time_ns() // 1_000_000
    message = b"POSThttps://hooks.acme.example/v1/ingest/acme.hubspot?portal=a/b" + BODY + str(at_ms).encode()
    from base64 import b64encode

    proof = b64encode(hmac.digest(SECRET.encode(), message, "sha256")).decode()
    headers = {"X-HubSpot-Signature-v3": proof, "X-HubSpot-Request-Timestamp": str(at_ms)}
    async with serving(bootstrap) as session:
        assert (await post(session, "acme.hubspot?portal=a%2Fb", BODY, headers))[0] == 202
        assert (await post(session, "acme.hubspot?portal=a%2Fc", BODY, headers))[0] == 403


async def test_a_subscription_of_sns_is_confirmed_and_its_messages_are_taken_and_nobody_else_is_called(bootstrap: str) -> None:
    now = datetime.now(UTC)
    there = {sns.CERTIFICATE_URL: sns.certificate(since=now - timedelta(hours=1)), sns.SUBSCRIBE_URL: b"<ConfirmSubscriptionResponse/>"}
    asked: list[str] = []

    async def amazon(url: str) -> bytes:
        asked.append(url)
        if url not in there:
            raise UnreachableError("not there")
        return there[url]

    async with serving(bootstrap, fetch=amazon) as session:
        made_up = sns.changed(sns.notice("{}", now), SigningCertURL=sns.CERTIFICATE_URL.replace("0123", "9999"))
        async with session.post("/v1/ingest/acme.sns", data=made_up) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "5")
        evil = sns.changed(sns.confirmation(sns.SUBSCRIBE_URL, at=now), SubscribeURL="http://127.0.0.1:9/")
        assert (await post(session, "acme.sns", evil))[0] == 403
        assert (await post(session, "acme.sns", sns.confirmation("http://127.0.0.1:9/", at=now)))[0] == 403, "though it is signed"
        assert await post(session, "acme.sns", sns.confirmation(sns.SUBSCRIBE_URL, at=now)) == (202, {"confirmed": True})
        assert await stored(bootstrap, "acme.sns") == []
        for _ in range(2):
            assert await post(session, "acme.sns", sns.notice('{"eventType":"Click"}', now)) == (202, {"accepted": True})
    assert asked[1:] == [sns.CERTIFICATE_URL, sns.SUBSCRIBE_URL], "the certificate once"
    assert [json.loads(record.value or b"")["Message"] for record in await stored(bootstrap, "acme.sns")] == ['{"eventType":"Click"}'] * 2


async def test_any_bytes_at_the_door_are_an_answer_and_no_defect(bootstrap: str, caplog: pytest.LogCaptureFixture) -> None:
    """Bodies, headers and whole requests that nobody would send, at every scheme; what is let in is on the topic."""
    rng = random.Random(20261122)
    deep = b"[" * 200_000
    bodies = [
        b"\xff",
        b"{}",
        b"[]",
        b'"',
        b"\0" * 500,
        deep,
        b'{"a":' * 50_000,
        b"a=%zz&&=&" * 500,
        gzip.compress(b"\0" * 10_000_000),
        BODY,
    ]
    headers = {
        "X-Signature": ["\xff", "0" * 40, "\u00e9"],
        "x-zm-signature": ["v0=", "v0=" + "f" * 64],
        "x-zm-request-timestamp": ["1" * 400, "-1", f"{time.time():.0f}"],
        "X-HubSpot-Signature-v3": ["====", "AAAA"],
        "X-HubSpot-Request-Timestamp": [f"{time.time() * 1000:.0f}", "NaN"],
        "Authorization": ["Bearer", "Bearer \xff", "Basic ????", "Bearer " + "x" * 7_000],
        "Origin": ["null", "\xff"],
        "Content-Type": ["text/plain; charset=\xff", "x" * 3_000],
        "ce-id": ["\xff" * 3_000],
    }
    async with serving(bootstrap) as session:
        for source in DOORS:
            for body in bodies:
                chosen = {name: rng.choice(values) for name, values in headers.items() if rng.random() < 0.6}
                assert (await post(session, source, body, chosen))[0] in (400, 401, 403), (source, body[:20], chosen)
        for number in range(150):
            noise = rng.randbytes(rng.randrange(1, 200))
            head = rng.choice(
                [
                    b"",
                    b"POST /v1/ingest/acme.segment HTTP/1.1\r\n",
                    b"POST /v1/ingest/acme.sns HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n",
                ]
            )
            told = await until_closed(session, head + noise + b"\r\n\r\n")
            assert told[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 401", b"HTTP/1.1 403", b"HTTP/1.1 408"), (
                number,
                told[:200],
            )
        assert (await post(session, "acme.bearer", BODY, BEARER))[0] == 202, "and it goes on"
    assert [record for record in caplog.records if record.name.startswith(("aiohttp", "mqlstream"))] == []


async def until_closed(session: ClientSession, request: bytes) -> bytes:
    """All that is answered to bytes after which nothing more is sent."""
    base = session._base_url
    assert base is not None
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(request)
    writer.write_eof()
    try:
        async with asyncio.timeout(30.0):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_source_that_is_none_is_not_found_and_no_label_is_made_of_it(bootstrap: str) -> None:
    async with serving(bootstrap) as session:
        assert (await post(session, "acme.other", BODY, BEARER))[0] == 404
        assert (await session.get("/v1/ingest/acme.other")).status == 404
        assert (await session.get("/v1/ingest/acme.segment")).status == 200
        assert (await session.head("/v1/ingest/acme.segment")).status == 200
        assert (await session.put("/v1/ingest/acme.segment")).status == 405
    topics = {sample.labels["topic"] for metric in metrics.WEBHOOKS.collect() for sample in metric.samples}
    assert "acme.other" not in topics
    assert "" in topics


async def test_a_wrong_bearer_is_refused_before_the_body_is_read(bootstrap: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with serving(bootstrap) as session:
        for headers, expected in (({}, 401), ({"Authorization": "Bearer other"}, 403)):
            async with session.post("/v1/ingest/acme.bearer", data=endless(), headers=headers) as response:
                assert response.status == expected
                assert ("WWW-Authenticate" in response.headers) == (expected == 401)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_before_all_of_it_is_read(bootstrap: str, chunked: bool) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield b" " * 10_000
            await asyncio.sleep(0.001)

    headers = BEARER if chunked else {**BEARER, "Content-Length": "2000000"}
    async with serving(bootstrap, max_bytes=50_000) as session:
        async with session.post("/v1/ingest/acme.bearer", data=chunks(), headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["error"] == "got a body that is too large, expected at most 50000 bytes"
            assert sent < 200
        assert (await post(session, "acme.bearer", b" " * 50_000, BEARER))[0] == 202
        assert (await post(session, "acme.bearer", b" " * 50_001, BEARER))[0] == 413


async def raw(session: ClientSession, request: bytes) -> bytes:
    """The first lines of the answer to a request, written to a connection of its own."""
    base = session._base_url  # what the session was made for
    assert base is not None
    reader, writer = await asyncio.open_connection(base.host, base.port)
    writer.write(request)
    try:
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


async def test_who_asks_first_whether_to_send_too_much_is_told_not_to(bootstrap: str) -> None:
    head = b"POST /v1/ingest/%b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nAuthorization: Bearer " + SECRET.encode() + b"\r\n"
    async with serving(bootstrap) as session:
        assert (await raw(session, head % b"acme.bearer" + b"Content-Length: 10000000\r\n\r\n")).startswith(b"HTTP/1.1 413 ")
        assert (await raw(session, head % b"acme.other" + b"Content-Length: 5\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        assert (await raw(session, head % b"acme.bearer" + b"Content-Length: 5\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        other = head.replace(b"100-continue", b"the best") % b"acme.bearer"
        assert (await raw(session, other + b"Content-Length: 5\r\n\r\n")).startswith(b"HTTP/1.1 417 ")


async def test_compressed_and_empty_bodies_are_refused(bootstrap: str) -> None:
    async with serving(bootstrap) as session:
        assert (await post(session, "acme.bearer", BODY, {**BEARER, "Content-Encoding": "gzip"}))[0] == 415
        assert (await post(session, "acme.bearer", b"", BEARER))[0] == 400


async def test_more_at_once_than_the_door_holds_is_told_to_come_again_and_what_is_accepted_is_there(bootstrap: str) -> None:
    before = len(await stored(bootstrap, "acme.bearer"))
    async with serving(bootstrap, held_bytes=3 * (CALL_BYTES + 100_000)) as session:

        async def one() -> int:
            async with session.post("/v1/ingest/acme.bearer", data=b" " * 100_000, headers=BEARER) as response:
                assert response.status != 429 or int(response.headers["Retry-After"]) > 0
                return response.status

        statuses = [status for _ in range(3) for status in await asyncio.gather(*[one() for _ in range(40)])]
        assert set(statuses) == {202, 429}
        assert await one() == 202, "room again"
    assert len(await stored(bootstrap, "acme.bearer")) - before == statuses.count(202) + 1


async def test_a_body_that_never_ends_and_a_caller_that_goes_away_hold_nothing(bootstrap: str, caplog: pytest.LogCaptureFixture) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    before = await stored(bootstrap, "acme.bearer")
    async with serving(bootstrap, read_s=0.2) as session:
        assert (await post(session, "acme.bearer", slow(), BEARER))[0] == 408
        base = session._base_url
        assert base is not None
        _, writer = await asyncio.open_connection(base.host, base.port)
        writer.write(
            b"POST /v1/ingest/acme.bearer HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nAuthorization: Bearer "
            + SECRET.encode()
            + b"\r\n\r\n{}"
        )
        await writer.drain()
        writer.close()
        head = b"POST /v1/ingest/acme.bearer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + SECRET.encode() + b"\r\n"
        told = await raw(session, head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nno number\r\n")
        assert told.partition(b" ")[2].startswith(b"400 ")
        assert (await post(session, "acme.bearer", BODY, BEARER))[0] == 202
    assert len(await stored(bootstrap, "acme.bearer")) == len(before) + 1
    assert [record for record in caplog.records if record.name.startswith(("aiohttp", "mqlstream"))] == []


async def test_without_a_broker_it_is_503_with_a_time_to_come_again() -> None:
    with EmbeddedBroker(DOORS) as broker:
        async with serving(broker.bootstrap, answer_s=2.0) as session:
            assert (await post(session, "acme.bearer", BODY, BEARER))[0] == 202
            broker.close()
            for _ in range(2):  # a connection that broke, and one that cannot be made
                async with session.post("/v1/ingest/acme.bearer", data=BODY, headers=BEARER) as response:
                    assert (response.status, response.headers["Retry-After"]) == (503, "5")
                    assert await response.json() == {"error": "Kafka does not take it now, expected to come again"}


async def test_a_defect_of_ours_is_an_answer_and_one_line_that_tells_nothing_of_the_call(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(bootstrap) as session:
        monkeypatch.setattr(webhooks, "kept_headers", lambda headers: 1 / 0)
        assert await post(session, "acme.bearer", BODY, BEARER) == (500, {"error": "a defect of the program, more is in the worker's log"})
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().startswith("a call for acme.bearer cannot be taken: ZeroDivisionError at ")
    assert SECRET not in caplog.text


async def test_pages_of_allowed_sites_may_send_and_read_the_answer_and_others_may_not(bootstrap: str) -> None:
    async with serving(bootstrap) as session:
        for origin, status in ((SITE, 204), ("https://evil.example", 403), (SITE + ".evil.example", 403), ("null", 403)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
            async with session.options("/v1/ingest/acme.pages", headers=asked) as response:
                assert response.status == status
                assert response.headers.get("Access-Control-Allow-Origin") == (SITE if status == 204 else None)
            async with session.post("/v1/ingest/acme.pages", json=VISIT, headers={"Origin": origin}) as response:
                assert response.status == (202 if status == 204 else 403)
                assert response.headers.get("Access-Control-Allow-Origin") == (SITE if status == 204 else None)
        async with session.options("/v1/ingest/acme.segment", headers={"Origin": SITE}) as response:
            assert response.status == 403, "a source for machines"
        async with session.post("/v1/ingest/acme.pages", json=VISIT) as response:
            assert response.status == 403
    (record,) = await stored(bootstrap, "acme.pages")
    (reading,) = read(source_of({"adapter": "snippet"}), record.value, record.headers, topic="acme.pages", record_ms=record.timestamp)
    assert isinstance(reading.result, Anonymous)
    assert reading.result.event.body["anonymous_id"] == VISIT["anonymous_id"]


def test_headers_go_along_within_a_bound() -> None:
    kept = kept_headers(
        [("CE-A", "x" * 8_000), ("X-Signature", "y" * 9_000), ("ce-b", "x" * 8_000), ("ce-c", "x" * 8_000), ("Content-Type", "a")]
    )
    assert [name for name, _ in kept] == ["ce-a", "ce-b"]
    assert sum(len(name) + len(value) for name, value in kept) <= HEADER_BYTES
    assert kept_headers([("User-Agent", "\udcff")]) == [("user-agent", b"?")]


@pytest.mark.parametrize(
    ("webhooks", "secrets", "error"),
    [
        (
            "acme.x=zoom",
            "",
            "MQLSTREAM_INGEST_WEBHOOKS: ingest.webhooks.acme.x: there is no such source, expected one of those under `sources`: acme.s",
        ),
        ("acme.s=zoom", "", "MQLSTREAM_INGEST_WEBHOOKS: ingest.webhooks.acme.s: no secret, expected one under `webhook_secrets`: "),
        ("acme.s=zoom", f"acme.s={SECRET},acme.t=x", "MQLSTREAM_INGEST_WEBHOOK_SECRETS: acme.t: there is a secret and no such entry under"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(webhooks: str, secrets: str, error: str) -> None:
    environ = {"MQLSTREAM_SOURCES": "acme.s=zoom", "MQLSTREAM_INGEST_WEBHOOKS": webhooks, "MQLSTREAM_INGEST_WEBHOOK_SECRETS": secrets}
    with pytest.raises(UsageError) as caught:
        webhooks_of(load(None, environ))
    assert str(caught.value).startswith(error)


def test_a_page_may_send_nothing_but_visits_of_strangers(tmp_path: Any) -> None:
    path = tmp_path / "mqlstream.yaml"
    text = "sources: {acme.s: %s}\ningest: {webhooks: {acme.s: {verify: origin, origins: [https://www.acme.example]}}}\n"
    path.write_text(text % "json")
    with pytest.raises(UsageError, match="anybody could send events of any lead; expected the adapter snippet, or another `verify`"):
        webhooks_of(load(path, {}))
    path.write_text(text % "snippet")
    assert webhooks_of(load(path, {}))["acme.s"].origins == {SITE}
