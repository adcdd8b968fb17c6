"""Messages of Amazon SNS: let in as they were signed, confirmed where that is wanted, and nobody is called but SNS itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from multidict import CIMultiDict

from mqlstream.doors.signatures.base import Call, Denied, Fetch, Handshake
from mqlstream.doors.signatures.registry import Verifier, verifier_of
from tests.doors.sns import (
    CERTIFICATE,
    CERTIFICATE_URL,
    CONFIRMATIONS,
    HOST,
    NOTICE,
    NOW,
    SUBSCRIBE_URL,
    TOPIC,
    WITH_SUBJECT,
    certificate,
    changed,
    confirmation,
)

NOW_MS = round(NOW.timestamp() * 1000)
SUBSCRIBERS_WORD = Handshake(b'{"confirmed":true}')


def verifier(*topics: str) -> Verifier:
    return verifier_of({"verify": "sns", "topics": list(topics) or [TOPIC]}, None)


def call(body: bytes, now_ms: int = NOW_MS, fetched: Mapping[str, bytes] = {}) -> Call:
    return Call("POST", "/v1/ingest/s", CIMultiDict(), body, now_ms, {CERTIFICATE_URL: CERTIFICATE, **fetched})


def denied(body: bytes, door: Verifier | None = None, **more: Any) -> Denied:
    with pytest.raises(Denied) as caught:
        (door or verifier()).check(call(body, **more))
    return caught.value


@pytest.mark.parametrize("body", [NOTICE, WITH_SUBJECT])
def test_both_versions_of_signatures_are_let_in_and_with_a_subject_too(body: bytes) -> None:
    assert verifier().check(call(body)) is None


@pytest.mark.parametrize("body", [NOTICE, WITH_SUBJECT, *CONFIRMATIONS])
def test_no_field_that_is_signed_can_be_changed(body: bytes) -> None:
    told = json.loads(body)
    for name in set(told) - {"Signature", "SignatureVersion", "SigningCertURL", "TopicArn", "Type", "Timestamp"}:
        assert denied(changed(body, **{name: told[name] + "x"})).args == ("the signature does not match the call",)
    assert denied(changed(body, Timestamp="2026-09-21T14:13:21.000Z")).args == ("the signature does not match the call",)
    assert denied(changed(body, SignatureVersion="1" if told["SignatureVersion"] == "2" else "2")).status == 403
    assert denied(changed(body, SignatureVersion="3")).args == ("SignatureVersion: expected one of 1 2",)
    for signature in ("", "x", "AAAA", "\u00fc"):
        assert denied(changed(body, Signature=signature)).args == ("the signature does not match the call",)


def test_a_subject_cannot_be_added_or_taken_away() -> None:
    assert denied(changed(NOTICE, Subject="hello")).status == 403
    assert denied(changed(WITH_SUBJECT, Subject=None)).status == 403


def test_the_certificate_is_asked_for_once_and_then_known() -> None:
    door = verifier()
    bare = call(NOTICE)._replace(fetched={})
    assert door.check(bare) == Fetch(CERTIFICATE_URL)
    assert door.check(call(NOTICE)) is None
    assert door.check(bare) is None


@pytest.mark.parametrize("body", CONFIRMATIONS)
def test_a_subscription_that_is_signed_is_confirmed_at_its_address(body: bytes) -> None:
    door = verifier()
    assert door.check(call(body)) == Fetch(SUBSCRIBE_URL)
    assert door.check(call(body, fetched={SUBSCRIBE_URL: b"<ConfirmSubscriptionResponse/>"})) == SUBSCRIBERS_WORD


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace("https", "http"),
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-01.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-01.pem",
        "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-01.pem",
        "https://evil.example/?https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-01.pem",
        f"{HOST}:444/SimpleNotificationService-01.pem",
        f"{HOST}/SimpleNotificationService-01.pem?x=.pem",
        f"{HOST}/../SimpleNotificationService-01.pem",
        f"{HOST}/SimpleNotificationService-01.pem\n",
        f"{HOST}\\@evil.example/SimpleNotificationService-01.pem",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "",
    ],
)
def test_no_certificate_is_asked_for_anywhere_else(url: str) -> None:
    refused = denied(changed(NOTICE, SigningCertURL=url))
    assert (refused.status, str(refused)) == (
        403,
        f"SigningCertURL: not an address of SNS in the topic's region, expected one at {HOST}/",
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1/?Action=ConfirmSubscription&Token=1",
        SUBSCRIBE_URL.replace("https", "http"),
        SUBSCRIBE_URL.replace("eu-west-1.amazonaws", "us-east-1.amazonaws"),
        SUBSCRIBE_URL.replace("amazonaws.com/", "amazonaws.com@127.0.0.1/"),
        f"{HOST}/?Action=DeleteTopic&TopicArn={TOPIC}",
        f"{HOST}/?Action=ConfirmSubscription&Token=1#x",
        f"{HOST}/?Action=ConfirmSubscription&Token=1\r\nHost: evil",
    ],
)
def test_whoever_signs_it_nothing_is_confirmed_anywhere_else(url: str) -> None:
    own = {CERTIFICATE_URL: certificate()}
    assert verifier().check(call(confirmation(SUBSCRIBE_URL), fetched=own)) == Fetch(SUBSCRIBE_URL), "such a message would do"
    assert str(denied(confirmation(url), fetched=own)).startswith("SubscribeURL: not an address of SNS in the topic's region")


def test_a_topic_that_is_not_named_is_not_let_in_though_sns_signed_it() -> None:
    other = TOPIC.replace("123456789012", "210987654321")
    assert str(denied(NOTICE, verifier(other))) == "TopicArn: not a topic of this source, expected one of its option `topics`"
    assert denied(confirmation(SUBSCRIBE_URL, other), fetched={CERTIFICATE_URL: certificate()}).status == 403
    assert verifier(other, TOPIC).check(call(NOTICE)) is None


def test_topics_of_china_are_asked_for_in_china() -> None:
    arn = "arn:aws-cn:sns:cn-north-1:123456789012:mail.fifo"
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-01.pem"
    assert verifier(arn).check(call(changed(NOTICE, TopicArn=arn, SigningCertURL=url))) == Fetch(url)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (certificate(since=NOW + timedelta(seconds=1)), "SigningCertURL: the certificate there is not valid now"),
        (certificate(since=NOW - timedelta(days=2)), "SigningCertURL: the certificate there is not valid now"),
        (certificate(ec.generate_private_key(ec.SECP256R1())), "SigningCertURL: no certificate with an RSA key is there"),
        (b"<html>", "SigningCertURL: no certificate with an RSA key is there"),
        (b"", "SigningCertURL: no certificate with an RSA key is there"),
        (certificate(), "the signature does not match the call"),
    ],
)
def test_a_certificate_that_is_none_or_another_proves_nothing(data: bytes, error: str) -> None:
    assert str(denied(NOTICE, fetched={CERTIFICATE_URL: data})) == error


def test_made_up_certificates_are_asked_for_ten_times_a_minute_and_true_ones_are_known_meanwhile() -> None:
    door = verifier()
    assert door.check(call(NOTICE)) is None
    for number in range(10):
        url = f"{HOST}/SimpleNotificationService-{number}.pem"
        assert door.check(call(changed(NOTICE, SigningCertURL=url))) == Fetch(url)
    unknown = changed(NOTICE, SigningCertURL=f"{HOST}/SimpleNotificationService-x.pem")
    assert denied(unknown, door).status == 429
    assert door.check(call(NOTICE)) is None
    assert isinstance(door.check(call(unknown, now_ms=NOW_MS + 60_000)), Fetch)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"eventType": "Click"}',
        changed(NOTICE, Signature=None),
        changed(NOTICE, Message="\ud800"),
        b"\xff",
    ],
)
def test_what_is_not_signed_is_not_let_in(body: bytes) -> None:
    refused = denied(body)
    assert (refused.status, str(refused)[:23]) == (401, "Signature: missing, exp")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"Type": "Other"}, "Type: expected one of Notification SubscriptionConfirmation UnsubscribeConfirmation"),
        ({"Type": ["Notification"]}, "Type: expected one of "),
        ({"Message": {"a": 1}}, "Message: expected a text"),
        ({"MessageId": None}, "MessageId: expected a text"),
        ({"Subject": 7}, "Subject: expected a text"),
        ({"TopicArn": 7}, "TopicArn: expected a text"),
        ({"Timestamp": "now"}, "Timestamp: got no time, expected one such as 2026-11-04T09:00:00.000Z"),
        ({"Timestamp": "2026-09-21T14:13:20"}, "Timestamp: got no time"),
        ({"Timestamp": "0001-01-01T00:00:00+23:59"}, "Timestamp: "),
        ({"Timestamp": "2026-09-21T13:13:19.999Z"}, "Timestamp: too far from now, expected within 3600 seconds"),
    ],
)
def test_what_is_wrong_with_a_message_is_said(fields: dict[str, Any], error: str) -> None:
    assert str(denied(changed(NOTICE, **fields))).startswith(error)
