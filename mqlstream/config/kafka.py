"""Settings as the arguments of a Kafka client. Nothing here connects."""

from __future__ import annotations

import ssl
from typing import Any

from mqlstream.config.settings import KafkaSettings, Settings
from mqlstream.errors import UsageError


def kafka_kwargs(settings: Settings) -> dict[str, Any]:
    """The connection arguments of aiokafka's clients: bootstrap_servers, client_id, security_protocol, ssl_context, sasl_*.

    Raises `UsageError` when a certificate or key cannot be read.
    """
    kafka = settings.kafka
    kwargs: dict[str, Any] = {
        "bootstrap_servers": list(kafka.bootstrap_servers),
        "client_id": settings.app_id,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL_"):
        kwargs |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_plain_username,
            "sasl_plain_password": kafka.sasl_plain_password,
        }
    if kafka.security_protocol.endswith("SSL"):
        kwargs["ssl_context"] = _ssl_context(kafka)
    return kwargs


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
    except (OSError, ValueError) as error:
        raise UsageError(f"MQLSTREAM_SSL_CAFILE: cannot use {kafka.ssl_cafile}: {_cause(error)}; expected certificates (PEM)") from None
    context.check_hostname = kafka.ssl_check_hostname
    if kafka.ssl_certfile is not None:
        # Without a password OpenSSL would ask for one on the terminal, in the middle of a start.
        password = kafka.ssl_password or ""
        try:
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, password=lambda: password)
        except (OSError, ValueError) as error:
            files = " and ".join(str(path) for path in (kafka.ssl_certfile, kafka.ssl_keyfile) if path)
            raise UsageError(f"MQLSTREAM_SSL_CERTFILE: cannot use {files}: {_cause(error)}; expected a certificate and its key") from None
    return context


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error)
