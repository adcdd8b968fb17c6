"""The settings as the program uses them: small frozen groups. Reading them lives in `mqlstream.config.load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the cluster; `mqlstream.config.kafka_kwargs` makes a client's arguments of it."""

    bootstrap_servers: tuple[str, ...] = ("localhost:9092",)
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_plain_username: str | None = None
    sasl_plain_password: str | None = field(default=None, repr=False)
    ssl_cafile: Path | None = None
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_password: str | None = field(default=None, repr=False)
    ssl_check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """``form_attributes``: form field -> lead attribute. The lists change the shipped ones; ``!`` takes an entry out.

    ``waiting_events``, ``waiting_days``: the bounds of what waits for a visitor to become known. ``webhooks``: topic ->
    ``{"verify": scheme, **options}``, open at ``bind``; ``webhook_secrets``: topic -> its secrets, one a line.
    """

    form_attributes: Mapping[str, str] = field(default_factory=_nothing)
    disposable_domains: tuple[str, ...] = ()
    role_names: tuple[str, ...] = ()
    free_domains: tuple[str, ...] = ()
    mailbox_rules: Mapping[str, str] = field(default_factory=_nothing)
    waiting_events: int = 200
    waiting_days: int = 90
    bind: str | None = None
    webhooks: Mapping[str, Mapping[str, Any]] = field(default_factory=_nothing)
    webhook_secrets: Mapping[str, str] = field(default_factory=_nothing, repr=False)


@dataclass(frozen=True, slots=True)
class MachineSettings:
    """What gives a machine away. ``sources``: source -> its timings as words; what they may say is not checked here."""

    crawlers: bool = True
    burst_ms: int = 2_000
    after_delivery_ms: int = 5_000
    honeypots: tuple[str, ...] = ()
    near_ms: int = 10_000
    soon_ms: int = 60_000
    visit_ms: int = 0
    sources: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class HandoffSettings:
    """What a handoff carries, and how: ``structured`` puts all of the CloudEvent into the value."""

    attributes: tuple[str, ...] = ()
    identity: tuple[str, ...] = ("email",)
    structured: bool = False
    timeline_url: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. ``origins`` tells of each name where its value came from: a variable, FILE:LINE or `default`.

    ``sources``: topic -> ``{"adapter": name, **options}``; whether there is such an adapter is not checked here.
    """

    kafka: KafkaSettings = KafkaSettings()
    app_id: str = "mqlstream"
    topic_prefix: str = "mql."
    partitions: int = 12
    replication_factor: int = 3
    definitions: tuple[Path, ...] = ()
    commit_interval_ms: int = 100
    publish_scores: bool = False
    state_dir: Path = Path("mqlstream-state")
    http_bind: str = "127.0.0.1:8080"
    http_advertise: str | None = None
    http_token: str | None = field(default=None, repr=False)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=_nothing)
    ingest: IngestSettings = IngestSettings()
    machines: MachineSettings = MachineSettings()
    handoff: HandoffSettings = HandoffSettings()
    origins: Mapping[str, str] = field(default_factory=_nothing, compare=False, repr=False)

    @property
    def http_host(self) -> str:
        """The address part of ``http_bind``, an IPv6 one without its brackets."""
        return self.http_bind.rpartition(":")[0].strip("[]")

    @property
    def http_port(self) -> int:
        return int(self.http_bind.rpartition(":")[2])

    @property
    def http_everywhere(self) -> bool:
        """Whether ``http_bind`` means all addresses of the machine, by which nobody reaches it from another."""
        return self.http_host in ("0.0.0.0", "::")

    @property
    def http_url(self) -> str:
        """Where other workers find this one."""
        return f"http://{self.http_advertise or self.http_bind}"
