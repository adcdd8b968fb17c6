"""Amazon SNS, as SES uses it: messages signed under a certificate that SNS shows, and subscriptions that want to be confirmed.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html (`SignatureVersion` 1: RSA with SHA-1, 2: with SHA-256, over
names and values of the fields below, a line each), .../http-subscription-confirmation-json.html and .../sns-message-delivery-retries.html
(a call is tried again for an hour at most, which is the window here; 5xx and 429 are tried again).

Anybody with an account at Amazon has messages signed by SNS. So only topics that the settings name are let in, and they alone say where
certificates and confirmations are asked for: at SNS in the topic's region, by https. No address in a call leads anywhere else, whatever
is signed and by whom: nobody can have this worker call a machine of theirs, or of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_pem_x509_certificate

from mqlstream.doors.signatures.base import WINDOW, Call, Check, Denied, Fetch, Handshake, Scheme, base64_bytes, window_ms
from mqlstream.ingest.adapters.base import Option

NOTIFICATION, CONFIRMATION = "Notification", "SubscriptionConfirmation"
_NOTICE = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED = {NOTIFICATION: _NOTICE, CONFIRMATION: _HANDSHAKE, "UnsubscribeConfirmation": _HANDSHAKE}  # fields, in the order of signing
_OPTIONAL = frozenset({"Subject"})
_HASHES: Mapping[str, Callable[[], SHA1 | SHA256]] = {"1": SHA1, "2": SHA256}
_WINDOW_S = 3_600
_MOST_TOPICS = 100
_KEPT = 16  # certificates; SNS changes them about once a year
_ASKED_AT_MOST = 10  # certificates a minute: made-up names cost Amazon and us no more than that
_MINUTE_MS = 60_000

_arn = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?").fullmatch
_certificate = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]{1,100}\.pem").fullmatch
_confirmation = re.compile(r"/\?Action=ConfirmSubscription&[A-Za-z0-9_.:%=&-]{1,2000}").fullmatch


class _Keys:
    """The certificates of SNS that were asked for, by address; at most `_KEPT`."""

    def __init__(self) -> None:
        self._there: dict[str, Certificate] = {}
        self._asked_ms: list[int] = []

    def of(self, url: str, call: Call) -> Certificate | Fetch:
        """The certificate at an address, or the wish to have it fetched."""
        found = self._there.get(url)
        if found is None:
            data = call.fetched.get(url)
            if data is None:
                self._asked_ms = [at for at in self._asked_ms if at > call.now_ms - _MINUTE_MS]
                if len(self._asked_ms) >= _ASKED_AT_MOST:
                    raise Denied(429, "SigningCertURL: too many unknown certificates, expected to come again")
                self._asked_ms.append(call.now_ms)
                return Fetch(url)
            found = _loaded(data)
            while len(self._there) >= _KEPT:
                del self._there[next(iter(self._there))]
            self._there[url] = found
        if not found.not_valid_before_utc <= datetime.fromtimestamp(call.now_ms / 1000, UTC) <= found.not_valid_after_utc:
            raise Denied(403, "SigningCertURL: the certificate there is not valid now")
        return found


def _prepare(options: Mapping[str, Any], secrets: Sequence[bytes]) -> Check:
    hosts = _hosts(options.get("topics"))
    window = window_ms(options, _WINDOW_S)
    keys = _Keys()

    def check(call: Call) -> Handshake | Fetch | None:
        told = _message(call.body)
        host = hosts.get(told["TopicArn"])
        if host is None:
            raise Denied(403, "TopicArn: not a topic of this source, expected one of its option `topics`")
        _check_timestamp(told["Timestamp"], call, window)
        certificate = keys.of(_at(host, "SigningCertURL", told["SigningCertURL"], _certificate), call)
        if isinstance(certificate, Fetch):
            return certificate
        _check_signature(certificate, told)
        if told["Type"] != CONFIRMATION:
            return None
        url = _at(host, "SubscribeURL", told["SubscribeURL"], _confirmation)
        return Handshake(orjson.dumps({"confirmed": True})) if url in call.fetched else Fetch(url)

    return check


def _hosts(topics: Any) -> dict[str, str]:
    """Where SNS answers for each topic."""
    if not isinstance(topics, list) or not 0 < len(topics) <= _MOST_TOPICS:
        raise ValueError(f"topics: expected a list of up to {_MOST_TOPICS} ARNs, such as [arn:aws:sns:eu-west-1:123456789012:mail]")
    hosts = {}
    for topic in topics:
        parts = _arn(topic) if isinstance(topic, str) else None
        if parts is None:
            raise ValueError(
                f"topics: got {str(topic)[:60]!r}, expected the ARN of a topic such as arn:aws:sns:eu-west-1:123456789012:mail"
            )
        hosts[topic] = f"sns.{parts[2]}.amazonaws.com{'.cn' if parts[1] == 'aws-cn' else ''}"
    return hosts


def _message(body: bytes) -> dict[str, str]:
    """The message in a body: what is signed, and the signature; all texts."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    if type(told) is not dict or type(told.get("Signature")) is not str:
        raise Denied(401, "Signature: missing, expected a message of SNS (turn raw message delivery off: it is not signed)")
    fields = SIGNED.get(told["Type"]) if type(told.get("Type")) is str else None
    if fields is None:
        raise Denied(403, f"Type: expected one of {' '.join(SIGNED)}")
    for name in ("SignatureVersion", "SigningCertURL", *fields):
        if type(told.get(name)) is not str and not (name in _OPTIONAL and told.get(name) is None):
            raise Denied(403, f"{name}: expected a text")
    found: dict[str, str] = told
    return found


def _check_timestamp(text: str, call: Call, window: int) -> None:
    try:
        moment = datetime.fromisoformat(text) if len(text) <= 40 and text.isascii() else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Denied(403, "Timestamp: got no time, expected one such as 2026-11-04T09:00:00.000Z")
    if abs(call.now_ms - moment.timestamp() * 1000) > window:
        raise Denied(403, f"Timestamp: too far from now, expected within {window // 1000} seconds")


def _at(host: str, name: str, url: str, path: Callable[[str], Any]) -> str:
    """The address, if it is one of this host's with such a path. Compared as text: no two parsers to disagree on it."""
    begin = f"https://{host}"
    if not url.startswith(f"{begin}/") or path(url[len(begin) :]) is None:
        raise Denied(403, f"{name}: not an address of SNS in the topic's region, expected one at {begin}/")
    return url


def _loaded(data: bytes) -> Certificate:
    try:
        certificate = load_pem_x509_certificate(data)
        rsa = isinstance(certificate.public_key(), RSAPublicKey)
    except (ValueError, UnsupportedAlgorithm):
        rsa = False
    if not rsa:
        raise Denied(403, "SigningCertURL: no certificate with an RSA key is there")
    return certificate


def _check_signature(certificate: Certificate, told: Mapping[str, str]) -> None:
    algorithm = _HASHES.get(told["SignatureVersion"])
    if algorithm is None:
        raise Denied(403, f"SignatureVersion: expected one of {' '.join(_HASHES)}")
    present = [name for name in SIGNED[told["Type"]] if told.get(name) is not None]
    message = "".join(f"{name}\n{told[name]}\n" for name in present).encode(errors="replace")
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    try:
        key.verify(base64_bytes(told["Signature"]) or b"", message, PKCS1v15(), algorithm())
    except InvalidSignature:
        raise Denied(403, "the signature does not match the call") from None


SNS = Scheme(
    name="sns",
    title="Amazon SNS (for SES)",
    pages=(
        "https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
        "https://docs.aws.amazon.com/sns/latest/dg/http-subscription-confirmation-json.html",
    ),
    secret="",
    looks_at="`Signature` in the body, versions 1 and 2, under a certificate of SNS; an hour old at most. Confirms the subscription",
    prepare=_prepare,
    options=(
        Option("topics", "any", "The ARNs of the topics that may send; needed.", "[arn:aws:sns:eu-west-1:123456789012:mail]"),
        WINDOW,
    ),
)
