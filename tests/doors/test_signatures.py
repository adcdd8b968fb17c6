"""The vendors' signatures on calls signed by others: SendGrid's from its own libraries, the rest by OpenSSL's command line.

Each is let in as it came, and not when a byte of it is another, when it is too old, or under another secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from multidict import CIMultiDict

from mqlstream.doors.signatures.base import Call, Denied, Handshake
from mqlstream.doors.signatures.mailgun import Tokens
from mqlstream.doors.signatures.registry import SCHEMES, Verifier, verifier_of
from tests.doors.sns import CERTIFICATE, CERTIFICATE_URL, NOTICE, TOPIC

SECRET = "a-secret-of-nobody-s"
BODY = b'{"event":"signup","email":"ann@acme.example"}'
NOW_MS = 1_790_000_000_000
CHALLENGE = b'{"event":"endpoint.url_validation","payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1790000000000}'
ANSWER = "3d79b282e2419b76882d54a8ef4fda0e9eb895c3b94b6cf28b73823838a35301"
MAILGUN_BODY = json.dumps(
    {
        "signature": {
            "timestamp": "1790000000",
            "token": "e0b5477167110d68991efc6b9f89f0a11066af27834600e123",
            "signature": "bdafd65ad877ea7e8d34eba081d4b034130a9a82fb810a95b387c6950591beb6",
        },
        "event-data": {"event": "clicked"},
    }
).encode()


class Signed(NamedTuple):
    """A call that its vendor signed. ``spoilt``: the header whose value proves it, empty where that is in the body."""

    entry: Mapping[str, Any]
    headers: Mapping[str, str]
    body: bytes = BODY
    now_ms: int = NOW_MS
    target: str = "/v1/ingest/s"
    secret: str = SECRET
    spoilt: str = ""
    window_s: int | None = None
    fetched: Mapping[str, bytes] = {}

    def verifier(self, secret: str | None = None, **more: Any) -> Verifier:
        return verifier_of({**self.entry, **more}, secret or self.secret or None)

    def call(self, **more: Any) -> Call:
        return Call("POST", self.target, CIMultiDict(self.headers), self.body, self.now_ms, self.fetched)._replace(**more)


SIGNED = {
    "sendgrid": Signed(
        {"verify": "sendgrid"},
        {
            "X-Twilio-Email-Event-Webhook-Signature": (
                "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
            ),
            "X-Twilio-Email-Event-Webhook-Timestamp": "1588788367",
        },
        b'{"category":"example_payload","event":"test_event","message_id":"message_id"}',
        1_588_788_367_000,
        secret="MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==",
        spoilt="X-Twilio-Email-Event-Webhook-Signature",
        window_s=86_400,
    ),
    "segment": Signed({"verify": "segment"}, {"X-Signature": "3025b92d199d9197cbfdf93a7fd2ab73595e4e30"}, spoilt="X-Signature"),
    "typeform": Signed(
        {"verify": "typeform"},
        {"Typeform-Signature": "sha256=V4uy35NGGqgF/2l/vZXLy7CrvHnBdsph5qCYJBLUlAs="},
        spoilt="Typeform-Signature",
    ),
    "zoom": Signed(
        {"verify": "zoom"},
        {
            "x-zm-signature": "v0=81c418419121229700e2646acd4e9039365ba60f6f960f8da3c85214e971fb47",
            "x-zm-request-timestamp": "1790000000",
        },
        spoilt="x-zm-signature",
        window_s=300,
    ),
    "hubspot": Signed(
        {"verify": "hubspot", "url": "https://hooks.acme.example/v1/ingest/hs"},
        {"X-HubSpot-Signature-v3": "QouP8INnEPHuawuSIc2TRSpM9QjQLKOPWJdkvKb9Gyk=", "X-HubSpot-Request-Timestamp": "1790000000000"},
        target="/v1/ingest/hs?a=b%3Ac%2Fd",
        spoilt="X-HubSpot-Signature-v3",
        window_s=300,
    ),
    "mailgun": Signed({"verify": "mailgun"}, {}, MAILGUN_BODY, window_s=43_200),
    "mandrill": Signed(
        {"verify": "mandrill", "url": "https://hooks.acme.example/v1/ingest/m?a=b"},
        {"X-Mandrill-Signature": "7BRiHOlk8lVmkOOjT3oF/bf6fbE="},
        b"mandrill_events=%5B%7B%22event%22%3A%22open%22%2C%22ts%22%3A1%7D%5D&extra=%2B%C3%BC",
        target="/v1/ingest/m?a=b",
        spoilt="X-Mandrill-Signature",
    ),
    "sns": Signed({"verify": "sns", "topics": [TOPIC]}, {}, NOTICE, secret="", window_s=3_600, fetched={CERTIFICATE_URL: CERTIFICATE}),
    "calendly": Signed(
        {"verify": "calendly"},
        {"Calendly-Webhook-Signature": "t=1790000000,v1=898eda5a466f8c3dfca7e9b89c7f799c40975d65ecda1d7eb8a47acbb8e306ea"},
        spoilt="Calendly-Webhook-Signature",
        window_s=300,
    ),
    "mailchimp": Signed(
        {"verify": "mailchimp"},
        {"X-Mailchimp-Signature": "t=1790000000,v1=180330d8478ad44c8b90abb538cf5130d8d10a6861c1992a5ff7ded5e5cdd560"},
        b"type=unsubscribe&data%5Bemail%5D=ann%40acme.example",
        spoilt="X-Mailchimp-Signature",
        window_s=300,
    ),
    "livestorm": Signed(
        {"verify": "livestorm"},
        {"x-livestorm-signature": "1790000000,8c16a56cb6e44236d78bcb641d087a5fb3e2e0afe924fd32d91d53d2f69077ea"},
        spoilt="x-livestorm-signature",
        window_s=300,
    ),
    "hmac": Signed(
        {
            "verify": "hmac",
            "header": "X-Acme-Signature",
            "algorithm": "sha512",
            "encoding": "base64",
            "prefix": "s=",
            "timestamp": "X-Acme-Time",
            "signed": "{timestamp}.{body}",
        },
        {
            "X-Acme-Signature": "s=h2JpVA25/pksu8zgQ7abJaykkDhUTXMhHDkqJWzKXUR2fD0QVNezrs4Ld4t1ynE5BcZEzCvo7WeYQKwooE8a9Q==",
            "X-Acme-Time": "1790000000",
        },
        spoilt="X-Acme-Signature",
        window_s=300,
    ),
    "bearer": Signed({"verify": "bearer"}, {"Authorization": f"Bearer {SECRET}"}, spoilt="Authorization"),
    "basic": Signed(
        {"verify": "basic"},
        {"Authorization": "Basic YW5uOmEtc2VjcmV0LW9mLW5vYm9keS1z"},
        secret="ann:a-secret-of-nobody-s",
        spoilt="Authorization",
    ),
    "parameter": Signed({"verify": "parameter", "name": "k"}, {}, target=f"/v1/ingest/s?k={SECRET}"),
    "origin": Signed(
        {"verify": "origin", "origins": ["https://www.acme.example"]}, {"Origin": "https://www.acme.example"}, secret="", spoilt="Origin"
    ),
}
TIMED = {name: signed for name, signed in SIGNED.items() if signed.window_s is not None}
BODY_SIGNED = [name for name in SIGNED if not SCHEMES[name].early and name not in ("mailgun", "sns")]  # byte by byte


def denied(verifier: Verifier, call: Call) -> int:
    with pytest.raises(Denied) as caught:
        verifier.check(call)
    assert SECRET not in str(caught.value)
    return caught.value.status


def test_every_scheme_has_a_call_here() -> None:
    assert set(SIGNED) == set(SCHEMES)


@pytest.mark.parametrize("name", SIGNED)
def test_a_call_is_let_in_as_it_was_signed(name: str) -> None:
    signed = SIGNED[name]
    assert signed.verifier().check(signed.call()) is None


@pytest.mark.parametrize("name", BODY_SIGNED)
def test_a_body_that_was_changed_is_not_let_in(name: str) -> None:
    signed = SIGNED[name]
    for place in (0, len(signed.body) // 2, len(signed.body) - 1):
        changed = signed.body[:place] + bytes([signed.body[place] ^ 1]) + signed.body[place + 1 :]
        assert denied(signed.verifier(), signed.call(body=changed)) == 403
    assert denied(signed.verifier(), signed.call(body=signed.body + b" ")) == 403


@pytest.mark.parametrize("name", [name for name in SIGNED if SIGNED[name].spoilt])
@pytest.mark.parametrize("spoil", ["", "x", "\udcff", "Bearer ", "v0=", "sha256=", "t=1,v1=", "1790000000,", "z" * 5_000])
def test_a_proof_that_is_missing_or_another_is_not_let_in(name: str, spoil: str) -> None:
    signed = SIGNED[name]
    headers = CIMultiDict(signed.headers)
    headers[signed.spoilt] = spoil
    assert denied(signed.verifier(), signed.call(headers=headers)) in (401, 403)
    if not spoil and name != "origin":
        assert denied(signed.verifier(), signed.call(headers=headers)) == 401


@pytest.mark.parametrize("name", [name for name in SIGNED if SCHEMES[name].secret and name != "sendgrid"])
def test_under_another_secret_it_is_not_let_in_and_under_one_of_two_it_is(name: str) -> None:
    signed = SIGNED[name]
    other = "ann:another-secret-of-nobody" if name == "basic" else "another-secret-of-nobody"
    assert denied(signed.verifier(other), signed.call()) == 403
    assert signed.verifier(f"{other}\n{signed.secret}\n").check(signed.call()) is None


def test_the_public_key_of_somebody_else_proves_nothing() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    signed = SIGNED["sendgrid"]
    assert denied(signed.verifier(b64encode(other).decode()), signed.call()) == 403
    assert signed.verifier(f"{b64encode(other).decode()}\n{signed.secret}").check(signed.call()) is None


@pytest.mark.parametrize("name", TIMED)
@pytest.mark.parametrize("side", [-1, 1])
def test_outside_its_window_a_call_is_a_replay(name: str, side: int) -> None:
    signed = TIMED[name]
    assert signed.window_s is not None
    edge = signed.now_ms + side * signed.window_s * 1000
    assert signed.verifier().check(signed.call(now_ms=edge)) is None
    assert denied(signed.verifier(), signed.call(now_ms=edge + side)) == 403
    assert signed.verifier(window_seconds=signed.window_s + 1).check(signed.call(now_ms=edge + side)) is None


@pytest.mark.parametrize("name", ["zoom", "hubspot", "sendgrid", "hmac"])  # those with a header for it
@pytest.mark.parametrize("text", ["", "-1", "1e9", "nan", "9" * 40, "\u0661\u0662"])
def test_a_time_that_is_none_lets_nobody_in(name: str, text: str) -> None:
    signed = SIGNED[name]
    headers = {header: text if "imestamp" in header or "Time" in header else value for header, value in signed.headers.items()}
    assert headers != signed.headers
    assert denied(signed.verifier(), signed.call(headers=CIMultiDict(headers))) in (401, 403)


def test_hubspots_signature_is_for_one_address_and_method() -> None:
    signed = SIGNED["hubspot"]
    assert denied(signed.verifier(url="https://hooks.other.example/v1/ingest/hs"), signed.call()) == 403
    assert denied(signed.verifier(), signed.call(target="/v1/ingest/hs")) == 403
    assert denied(signed.verifier(), signed.call(method="PUT")) == 403


def test_a_batch_of_segments_is_refused_for_only_its_first_event_is_signed() -> None:
    signed = SIGNED["segment"]
    assert denied(signed.verifier(), signed.call(body=b" [" + BODY + b"]")) == 403


def test_zooms_challenge_is_answered_when_it_is_signed() -> None:
    signed = SIGNED["zoom"]
    headers = CIMultiDict({**signed.headers, "x-zm-signature": "v0=bc48650147cba3384d36dc6f1b5fa7c461de8868abe88cffc35299fba28ebcc3"})
    answer = signed.verifier("another-secret-of-nobody\n" + SECRET).check(signed.call(body=CHALLENGE, headers=headers))
    assert isinstance(answer, Handshake)
    assert json.loads(answer.body) == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": ANSWER}
    assert denied(signed.verifier(), signed.call(body=CHALLENGE)) == 403


def test_the_answer_to_a_challenge_signs_nothing_else() -> None:
    signed = SIGNED["zoom"]
    for token in ("v0:1790000000:{}", "", "a b", "a" * 257, 7, None):
        body = json.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}}).encode()
        proof = "v0=" + hmac.new(SECRET.encode(), b"v0:1790000000:" + body, hashlib.sha256).hexdigest()
        assert denied(signed.verifier(), signed.call(body=body, headers=CIMultiDict({**signed.headers, "x-zm-signature": proof}))) == 403


def test_mandrill_signs_the_fields_by_name_in_whatever_order_they_stand() -> None:
    signed = SIGNED["mandrill"]
    first, _, second = signed.body.partition(b"&")
    assert signed.verifier().check(signed.call(body=second + b"&" + first)) is None
    assert denied(signed.verifier(), signed.call(body=signed.body + b"&extra=")) == 403
    assert denied(signed.verifier(url="https://hooks.acme.example/v1/ingest/m"), signed.call()) == 403


@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b"a=%ff&" * 60, b"=&=", b"[" * 100_000])
def test_any_body_is_an_answer_of_mandrills(body: bytes) -> None:
    signed = SIGNED["mandrill"]
    assert denied(signed.verifier(), signed.call(body=body)) == 403


def test_while_mailchimps_secret_changes_either_signature_will_do():
    signed = SIGNED["mailchimp"]
    header = signed.headers["X-Mailchimp-Signature"]
    both = signed.call(headers=CIMultiDict({"X-Mailchimp-Signature": header.replace("v1=", f"v1={'0' * 64},v1=")}))
    assert signed.verifier().check(both) is None
    many = signed.call(headers=CIMultiDict({"X-Mailchimp-Signature": header + ",v1=0" * 5}))
    assert denied(signed.verifier(), many) == 403


@pytest.mark.parametrize("header", ["t=1790000000", "v1=00", "t=,v1=", "t=now,v1=00", "1790000000", ",,,", "=", "t=1790000000,v1=\udcff"])
def test_what_is_no_signature_of_calendlys_is_said(header: str) -> None:
    signed = SIGNED["calendly"]
    assert denied(signed.verifier(), signed.call(headers=CIMultiDict({"Calendly-Webhook-Signature": header}))) == 403


def test_a_hash_that_was_gone_on_with_brings_nothing_in_as_livestorms() -> None:
    """Whoever knows SHA-256 of something knows it of that, its padding and more: a call is signed so, and is no JSON."""
    signed = SIGNED["livestorm"]
    length = len("1790000000") + len(SECRET) + len(BODY)
    padding = b"\x80" + b"\0" * ((55 - length) % 64) + (length * 8).to_bytes(8, "big")
    body = BODY + padding + b"{}"
    proof = "1790000000," + hashlib.sha256(b"1790000000" + SECRET.encode() + body).hexdigest()
    assert denied(signed.verifier(), signed.call(body=body, headers=CIMultiDict({"x-livestorm-signature": proof}))) == 403


def test_mailguns_token_is_good_for_one_body() -> None:
    signed = SIGNED["mailgun"]
    verifier = signed.verifier()
    assert [verifier.check(signed.call()) for _ in range(3)] == [None] * 3, "Mailgun tries again until it hears 200"
    other = signed.body.replace(b"clicked", b"opened ")
    assert denied(verifier, signed.call(body=other)) == 403


def test_mailgun_signs_for_subaccounts_in_another_place() -> None:
    told = json.loads(MAILGUN_BODY)
    told["signature"] |= {"parent-signature": told["signature"]["signature"], "signature": "0" * 64}
    signed = SIGNED["mailgun"]
    assert signed.verifier().check(signed.call(body=json.dumps(told).encode())) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"signature": []}',
        b'{"signature": {"timestamp": 1790000000}}',
        b"[" * 100_000,
        b'{"signature": {"token": ""}}',
    ],
)
def test_a_body_without_mailguns_signature_is_not_let_in(body: bytes) -> None:
    signed = SIGNED["mailgun"]
    assert denied(signed.verifier(), signed.call(body=body)) == 401


def test_no_more_tokens_are_remembered_than_there_is_room_for() -> None:
    tokens = Tokens(limit=2)
    assert all(tokens.fits(token, b"one") for token in ("a", "b", "a", "c"))
    assert not tokens.fits("c", b"two")
    assert not tokens.fits("b", b"two")
    assert tokens.fits("a", b"two"), "the oldest is forgotten"


@pytest.mark.parametrize(
    ("entry", "secret", "error"),
    [
        ({}, None, f"verify: missing, expected one of {' '.join(SIGNED)}"),
        ({"verify": "sendgird"}, SECRET, 'verify: got "sendgird", expected one of '),
        ({"verify": "zoom"}, None, "no secret, expected one under `webhook_secrets`: the app's secret token"),
        ({"verify": "zoom", "windows": 3}, SECRET, "windows: no option of zoom, expected some of window_seconds"),
        ({"verify": "zoom", "window_seconds": 0}, SECRET, "window_seconds: expected a whole number of seconds from 1 to 604800"),
        ({"verify": "zoom", "window_seconds": True}, SECRET, "window_seconds: expected a whole number of seconds from 1 to 604800"),
        ({"verify": "typeform", "header": "x"}, SECRET, "header: no option of typeform, expected none"),
        (
            {"verify": "sendgrid"},
            SECRET,
            "the secret is no elliptic-curve public key, expected the verification key as SendGrid shows it: base64",
        ),
        ({"verify": "hubspot"}, SECRET, "url: expected the address that HubSpot calls, such as "),
        ({"verify": "mandrill"}, SECRET, "url: expected the address as it was entered at Mandrill, such as "),
        ({"verify": "sns"}, None, "topics: expected a list of up to 100 ARNs, such as [arn:aws:sns:eu-west-1:123456789012:mail]"),
        ({"verify": "sns", "topics": []}, None, "topics: expected a list of up to 100 ARNs"),
        (
            {"verify": "sns", "topics": ["arn:aws:sns:s3-us-west-2:123456789012:mail"]},
            None,
            "topics: got 'arn:aws:sns:s3-us-west-2:1234567",
        ),
        ({"verify": "sns", "topics": [TOPIC]}, SECRET, "got a secret, expected none for sns"),
        ({"verify": "hmac"}, SECRET, "header: missing, expected the name of the header with the signature, such as X-Signature"),
        ({"verify": "hmac", "header": "X", "algorithm": "md5"}, SECRET, "algorithm: expected one of sha1 sha256 sha512"),
        (
            {"verify": "hmac", "header": "X", "signed": "{timestamp}{body}"},
            SECRET,
            "signed: expected a text with {body} once, and with {timestamp} ",
        ),
        ({"verify": "hmac", "header": "X", "timestamp": "Y"}, SECRET, "signed: expected a text with {body} once, and with {timestamp} "),
        ({"verify": "hmac", "header": "X", "window_seconds": 5}, SECRET, "window_seconds: expected `timestamp` with it"),
        ({"verify": "bearer"}, "short", "the secret is too short, expected 16 characters or more"),
        ({"verify": "basic"}, SECRET, "the secret has no colon, expected USER:PASSWORD"),
        ({"verify": "origin"}, None, "origins: expected a list of the sites that may send, such as [https://www.acme.example]"),
        ({"verify": "origin", "origins": ["https://*.acme.example"]}, None, "origins: expected a list of the sites that may send"),
        ({"verify": "origin", "origins": ["https://a.example"]}, SECRET, "got a secret, expected none for origin"),
    ],
)
def test_settings_that_cannot_work_are_refused_without_the_secret(entry: dict[str, Any], secret: str | None, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        verifier_of(entry, secret)
    assert str(caught.value).startswith(error)
    assert SECRET not in str(caught.value)
