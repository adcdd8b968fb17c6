"""Every setting there is, described once: what is parsed, documented and shown comes from this table.

How a value is read lives in `mqlstream.config.values`, where values come from in `mqlstream.config.load`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PREFIX = "MQLSTREAM_"


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. ``name`` is its key in a file (with a dot: a key within a section).

    ``kind`` is one of text, whole (number), yes_no, one_of, texts (a list), map, sources, webhooks, secrets (a map), path, address.
    ``choices`` belong to one_of, ``low`` and ``high`` (inclusive) to whole. ``default_text`` is shown where the default has no one value.
    """

    name: str
    kind: str
    default: Any
    description: str
    example: str
    secret: bool = False
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    default_text: str = ""

    @property
    def variable(self) -> str:
        return PREFIX + self.name.replace(".", "_").upper()


PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

FIELDS = (
    # The cluster
    Field("bootstrap_servers", "texts", ("localhost:9092",), "Kafka brokers to begin with, host:port each.", "kafka-1:9092,kafka-2:9092"),
    Field("security_protocol", "one_of", "PLAINTEXT", "How to talk to the brokers.", "SASL_SSL", choices=PROTOCOLS),
    Field("sasl_mechanism", "one_of", "PLAIN", "How to log in, with a SASL_* protocol.", "SCRAM-SHA-512", choices=MECHANISMS),
    Field("sasl_plain_username", "text", None, "User name, for every mechanism.", "mqlstream"),
    Field("sasl_plain_password", "text", None, "Password, for every mechanism.", "not-in-a-file-under-version-control", secret=True),
    Field("ssl_cafile", "path", None, "Certificates of the authorities to trust (PEM); default: the system's.", "/etc/kafka/ca.pem"),
    Field("ssl_certfile", "path", None, "The client's certificate (PEM), where brokers ask for one.", "/etc/kafka/client.pem"),
    Field("ssl_keyfile", "path", None, "The key of the client's certificate (PEM).", "/etc/kafka/client.key"),
    Field("ssl_password", "text", None, "The password of that key.", "not-in-a-file-under-version-control", secret=True),
    Field("ssl_check_hostname", "yes_no", True, "Whether a broker's certificate must name the broker.", "true"),
    # The application and its topics
    Field("app_id", "text", "mqlstream", "First part of the names of consumer groups and transactional ids.", "mqlstream-eu"),
    Field(
        "topic_prefix",
        "text",
        "mql.",
        "First part of every topic's name; in a file it may be empty, an empty variable counts as not set.",
        "eu.mql.",
    ),
    Field("partitions", "whole", 12, "Partitions of the internal topics, fixed when they are created.", "12", low=1, high=1_000),
    Field("replication_factor", "whole", 3, "Copies of each partition; used by `topics apply`.", "3", low=1, high=100),
    # The work
    Field(
        "definitions",
        "texts",
        (),
        "Files or folders of definitions, in force until a version of that definition is pushed.",
        "b2b-default.yaml",
    ),
    Field(
        "commit_interval_ms",
        "whole",
        100,
        "Longest time between the transactions of a task with work.",
        "100",
        low=1,
        high=60_000,
    ),
    Field("publish_scores", "yes_no", False, "Whether the scores topic is written.", "true"),
    Field(
        "state_dir",
        "path",
        None,
        "Folder for local snapshots. This version makes none.",
        "/var/lib/mqlstream",
        default_text="a folder of the platform's choice",
    ),
    Field(
        "http_bind",
        "address",
        "127.0.0.1:8080",
        "Where metrics, health, lookups and web pages are served; [::1]:8080 for IPv6.",
        "0.0.0.0:8080",
    ),
    Field(
        "http_advertise",
        "address",
        None,
        "Where the other workers reach this one, to ask about its leads; default: the address it is bound to.",
        "10.0.3.7:8080",
    ),
    Field(
        "http_token",
        "text",
        None,
        "What lookups and feedback must present when the address is beyond this machine; the same for all workers.",
        "not-in-a-file-under-version-control",
        secret=True,
    ),
    # What comes in
    Field(
        "sources",
        "sources",
        {},
        "Topics of payloads that are not canonical, and the adapter that reads each; `mqlstream adapters list` has them all.",
        "acme.segment=segment,acme.forms=typeform",
    ),
    Field(
        "ingest.form_attributes",
        "map",
        {},
        "Which field of a form fills which attribute of the lead; nothing is mapped by default.",
        "job_title=title,company=company",
    ),
    Field(
        "ingest.disposable_domains",
        "texts",
        (),
        "Domains of throw-away email besides the shipped ones; one with ! in front is taken out.",
        "trash.example,!notrash.example",
    ),
    Field(
        "ingest.role_names",
        "texts",
        (),
        "Names before the @ that belong to a role, besides the shipped ones; one with ! in front is taken out.",
        "buyers,!office",
    ),
    Field(
        "ingest.free_domains",
        "texts",
        (),
        "Domains of free email besides the shipped ones; one with ! in front is taken out.",
        "provider.example",
    ),
    Field(
        "ingest.mailbox_rules",
        "map",
        {},
        "Domains where a tag after a plus sign (plus) or dots in a name (dots) make no other lead of an address: plus, dots or plus_dots.",
        "gmail.com=plus_dots,acme.example=plus",
    ),
    Field(
        "ingest.waiting_events",
        "whole",
        200,
        "How many events of a visitor wait until it is known as a lead; the newest do.",
        "200",
        low=1,
        high=5_000,
    ),
    Field(
        "ingest.waiting_days",
        "whole",
        90,
        "For how many days they wait, and how long before the link to the lead an event may lie to count.",
        "90",
        low=1,
        high=730,
    ),
    Field(
        "ingest.bind",
        "address",
        None,
        "Where webhooks are taken, at /v1/ingest/TOPIC; without it nowhere. Part of the role web.",
        "0.0.0.0:8081",
    ),
    Field(
        "ingest.webhooks",
        "webhooks",
        {},
        "The sources that take webhooks, and how each proves who calls: docs/webhooks.md has them all.",
        "acme.mail=sendgrid,acme.forms=typeform",
    ),
    Field(
        "ingest.webhook_secrets",
        "secrets",
        {},
        "The secret of each of these. As a file: a folder that holds one file a topic, one secret a line; any of them will do.",
        "acme.forms=not-in-a-file-under-version-control",
        secret=True,
    ),
    # What machines do
    Field("machines.crawlers", "yes_no", True, "Whether a crawler's user agent makes a visit, a click or an activity a machine's.", "true"),
    Field(
        "machines.burst_ms",
        "whole",
        2_000,
        "Clicks on different links of one message within this time are a mail scanner's; 0: never.",
        "2000",
        low=0,
        high=86_400_000,
    ),
    Field(
        "machines.after_delivery_ms",
        "whole",
        5_000,
        "Clicks within this time of the message's delivery are a mail scanner's; 0: never.",
        "5000",
        low=0,
        high=86_400_000,
    ),
    Field(
        "machines.honeypots",
        "texts",
        (),
        "Texts within the urls of links that no person can see: whoever clicks there is a machine.",
        "/hidden-offer",
    ),
    Field(
        "machines.near_ms",
        "whole",
        10_000,
        "Clicks on different links of one message within this time are a weak sign of a mail scanner, of which it takes two; 0: never.",
        "10000",
        low=0,
        high=86_400_000,
    ),
    Field(
        "machines.soon_ms",
        "whole",
        60_000,
        "Clicks within this time of the message's delivery are a weak sign; 0: never.",
        "60000",
        low=0,
        high=86_400_000,
    ),
    Field(
        "machines.visit_ms",
        "whole",
        0,
        "That no visit of the lead follows a click within this time is a weak sign; 0: never. Only where the pages tell of visits.",
        "21600000",
        low=0,
        high=43_200_000,
    ),
    Field(
        "machines.sources",
        "map",
        {},
        "The sources of email events with timings of their own: those named *_ms above.",
        "mailer=burst_ms:500 after_delivery_ms:0",
    ),
    # What goes out
    Field("handoff.attributes", "texts", (), "Attributes of the lead that a handoff carries.", "title,company,company_size"),
    Field("handoff.identity", "texts", ("email",), "What a handoff says about who the lead is: email, and attributes.", "email,first_name"),
    Field("handoff.structured", "yes_no", False, "CloudEvents in structured mode (all in the value) instead of binary mode.", "true"),
    Field(
        "handoff.timeline_url",
        "text",
        None,
        "Link to a lead's timeline that a handoff carries; {lead_id} is put in, percent-encoded.",
        "https://mql.acme.example/leads/{lead_id}",
    ),
)
BY_NAME = {field.name: field for field in FIELDS}
SECTIONS = frozenset(field.name.partition(".")[0] for field in FIELDS if "." in field.name)
