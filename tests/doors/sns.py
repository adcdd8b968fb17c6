"""Messages of Amazon SNS in its own form, signed by OpenSSL's command line under a certificate made for the tests (valid in 2026).

And messages and certificates of a test's own, under a key that is made anew each time.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)  # of the messages that are signed already

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e2425c464d"
CERTIFICATE = b"""\
-----BEGIN CERTIFICATE-----
MIICsTCCAZmgAwIBAgIBATANBgkqhkiG9w0BAQsFADAcMRowGAYDVQQDDBFzbnMu
YW1hem9uYXdzLmNvbTAeFw0yNjAxMDEwMDAwMDBaFw0yNzAxMDEwMDAwMDBaMBwx
GjAYBgNVBAMMEXNucy5hbWF6b25hd3MuY29tMIIBIjANBgkqhkiG9w0BAQEFAAOC
AQ8AMIIBCgKCAQEAk1ODhdQCALLVAl4KkzHJMCb0OO1S7pTzgeIjRiorCHcmT7No
m8fQzj5wFMZSAPSs1kGENvfxMylYE4xMgn6LD3hSpQgjQscPjQnphmNv215BdOPr
/uCca56DF/R8VQF5iUhE92PhlTyzv58E0DdHcgy+43XJfjnBiQvTq/Zv2MuIin3O
EgcjRzx4gRNKNLLjUwb5FqBmJD8mm3qpA7hFr7OzlRuznRheYF4PPcldcQ02jDiB
r+O0A8XO1TN2HX53xu+JKzPiyAiHL5IGqXk9n/lNy7bRUtKk7ylnDCnokXFbec//
L/LbW1r2emfqg3Hh7nU6rOhN1q/6bQv3uUY95wIDAQABMA0GCSqGSIb3DQEBCwUA
A4IBAQBwndBf1oqQbgDJpYMQ54GJu3KIFDgvGW5Z5wcW9SWsqaiKQ6TcCrO7smVZ
aK90gCWeE2MjISLzqhfE88nlkH+xDi/BLwK1LSzAu90Fu/mI468gyqUMJ8XOEsmX
Xe1DCjNp31gnkbwUmHcxQJlbM5eiPdeOuaZcjpjKJqn2jKw+qleOq0fFtDjM4n5n
gml6Lwtc5tZNvOxUYrKhwR4mxW2H4RlRhwyriC5CtDWe6T+yke4vhdbUxieglaAF
cO+hc1qyRXYDkAsU1bvmaUNqalzFaKDRoalDNL6tBFsEuWYSjsmtAdYJT/nNOUeo
ZMdby8+ZPd6kcpjI317bcLkLRRMC
-----END CERTIFICATE-----
"""
_NOTICE_1 = (
    "MCJIYkLXAkzCAHM2K6YV7AHVpyA4/eFBH0HbqVMebPO92xMcq5fqm0Xnh43X6znhg6yKzn00PXAZp9pO+7UjHjdwjEZXsOwgA/G12cJ66xwwOE"
    "9MdbbBzEiuHafDv7NnFHai12njG1R/f0OkSUJOi+uS+ivcFaj5JmMSjiVU5+7d1+JqTT5Z9pHnKbWfIWfJAhEcwHUdi6Qf2hRhw76fTu2EVljH"
    "m2hRYbX6TOFaeps5JBC6JMwpqNK7WmBKPM5S78NbGmntl4b4xMeB+kfZ5s0KWfFKGk6vnfEgvbzPEg3+ELnape/colLOyThL9v5A1fZWdFQPDr"
    "LAjZ4p5PXXfw=="
)
_NOTICE_2 = (
    "dAKq9aBILQdHJFDA+PEQnTG3KnOR/oR6SwLkPX9JaDU9Sof+++wRdjAeasEBg2FciHQ6ejXNaRJq6dQcNrM8bDj95wPREvJCyzGT+Z2IqTOy5K"
    "a3eKDpLLWo1MZSdcEp1hD4KkX19WxfVioXbvXFFD2B1QdoKcw2zsfhhX3VuOf5T2J/rqmxe07Dfz01UWkCSRNQpg9nLIqOUO5ZV/Romx2EEMis"
    "Y0N1FAzWys5vXwjtPtp5V9dy8owaU7RgBwOG7ahN1eEi0saXCm0SfbUI10jwGrlNMMxusTnjAz1tbLdwsd84YxLzr+qXVw98mz6QJ8FJKon/X9"
    "tREtyFXm5m2g=="
)
_CONFIRMATION_1 = (
    "eN7KvgtxjnIyDTDcMrkXHZRsEEmdW2nLmEvKgyio05caaEcxB9HMntELzYy9gNFeCywSyj8cDFKRw4s49t1qy9op8DzemLWW1VDrw4ytkPHRow"
    "7c3dU8E9TtLkxguQcQeQKVTTl0wOb1V2/uYxfJNayQrSK36JizlmLJyxg6E8G4/tyxKvYFTw9THA65p6z/yVV5W0f8HBjeCWGOUJNuWs55qy6p"
    "lykozzoU+HbnqAJnPWIxcB3D1btLEhAxtsiEOZOP9CO2skJxUJPtNTIvTogGyBME5zy6CnkIazGS/pNmQVz2hgXg5szdzQlvVZygpE8bVVzMvr"
    "Ubk+T1fQpnTQ=="
)
_CONFIRMATION_2 = (
    "DS+hUSor4nlW4AfdK+IdF7ke0EbUOcg92YPEtihQfFuyQp2OdCj8qp9MtuVNk1srqzb3E57hNC04KgYFx5lRM5g7iAdo5bc0IFICwvV6kiXpZD"
    "n58r8gfN5ee2gjTsX4UtkqjEHu+WpE9f4FZz5yQr4tF8gzUntJaYMo4NZv8el19m3nQdm8qWQdunp/zMzmUZEjwLK6qHo6joXlBKSssnguVJRl"
    "FGBwkNanCPbpksB+eBHF6Mw0J4aI1bpCDw5/zETC3hW7qUMgJ+IdsnBXFVI4iIlgnng4vJl9loMdCKF/TppcGga1u+N7Tp4iaUePKBwwSxqzVA"
    "H7p3TS+88w0Q=="
)
_SAME = {"Timestamp": "2026-09-21T14:13:20.000Z", "TopicArn": TOPIC, "SigningCertURL": CERTIFICATE_URL}


def _message(version: str, signature: str, **fields: str) -> bytes:
    return json.dumps({**fields, **_SAME, "SignatureVersion": version, "Signature": signature}).encode()


def changed(body: bytes, **fields: Any) -> bytes:
    """The message with other fields, under the signature it had; those that are None are gone."""
    return json.dumps({name: value for name, value in {**json.loads(body), **fields}.items() if value is not None}).encode()


_TEXT = '{"eventType":"Click"}\nünd'
NOTICE = _message("1", _NOTICE_1, Type="Notification", MessageId="m-1", Message=_TEXT)
WITH_SUBJECT = _message("2", _NOTICE_2, Type="Notification", MessageId="m-1", Message=_TEXT, Subject="hello")
_CONFIRMATION = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "m-2",
    "Message": "confirm?",
    "Token": "2336412f37fb687f5d51e6e2425c464d",
    "SubscribeURL": SUBSCRIBE_URL,
}
CONFIRMATIONS = [_message("1", _CONFIRMATION_1, **_CONFIRMATION), _message("2", _CONFIRMATION_2, **_CONFIRMATION)]

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY, since: datetime = NOW) -> bytes:
    """A certificate of a key, for a day."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, since, since + timedelta(days=1)).sign(key, SHA256())
    return made.public_bytes(Encoding.PEM)


def confirmation(url: str, arn: str = TOPIC, at: datetime = NOW) -> bytes:
    """A subscription to be confirmed at ``url``, signed under `KEY`."""
    told = {"Message": "m", "MessageId": "1", "SubscribeURL": url, "Timestamp": at.isoformat(), "Token": "t", "TopicArn": arn}
    return _signed(told | {"Type": "SubscriptionConfirmation"})


def notice(text: str, at: datetime) -> bytes:
    """A notification, signed under `KEY`."""
    return _signed({"Message": text, "MessageId": "1", "Timestamp": at.isoformat(), "TopicArn": TOPIC, "Type": "Notification"})


def _signed(told: dict[str, str]) -> bytes:
    text = "".join(f"{name}\n{value}\n" for name, value in told.items())
    proof = b64encode(KEY.sign(text.encode(), PKCS1v15(), SHA256())).decode()
    return json.dumps({**told, "SignatureVersion": "2", "SigningCertURL": CERTIFICATE_URL, "Signature": proof}).encode()
