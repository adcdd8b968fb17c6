"""What can be checked without a broker: the settings, and the definitions in files."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mqlstream.app.worker import definition_files
from mqlstream.config import Settings, kafka_kwargs
from mqlstream.definition.findings import ERROR
from mqlstream.definition.model import Definition
from mqlstream.definition.parse import parse_file
from mqlstream.doctor.finding import OK, PROBLEM, WARNING, Check, counted
from mqlstream.doors.webhooks import webhooks_of
from mqlstream.errors import UsageError
from mqlstream.program import ingest_options, machine_rules
from mqlstream.web.guard import is_local

SETTINGS = "settings"
DEFINITIONS = "definitions"


def settings_checks(settings: Settings) -> list[Check]:
    """What `run` would refuse of settings that could be read, and what is risky in them."""
    asked: tuple[Callable[[Settings], Any], ...] = (kafka_kwargs, ingest_options, machine_rules, webhooks_of)
    found = []
    for read in asked:
        try:
            read(settings)
        except UsageError as error:
            found.append(Check(SETTINGS, PROBLEM, "", str(error), mend="mqlstream config show"))
    if settings.ingest.bind is not None and not settings.ingest.webhooks:
        mend = "set MQLSTREAM_INGEST_WEBHOOKS, or leave MQLSTREAM_INGEST_BIND unset"
        found.append(Check(SETTINGS, PROBLEM, "MQLSTREAM_INGEST_BIND", "set, and no source takes webhooks", "some", mend))
    found += [*_risks_of_http(settings), *_risks_of_kafka(settings)]
    given = sum(origin != "default" for origin in settings.origins.values())
    told = f"{counted(given, 'setting')} given, the others at their defaults" if given else "all at their defaults"
    return found or [Check(SETTINGS, OK, "", told)]


def _risks_of_http(settings: Settings) -> list[Check]:
    found = []
    if not is_local(settings.http_host) and settings.http_token is None:
        told = f"{settings.http_bind} is beyond this machine and there is no token: lookups, feedback and commands are refused to everybody"
        found.append(Check(SETTINGS, WARNING, "MQLSTREAM_HTTP_BIND", told, "a token, the same for all workers", "set MQLSTREAM_HTTP_TOKEN"))
    if settings.http_everywhere and settings.http_advertise is None:
        told = f"not set: other workers cannot reach this one at {settings.http_bind} to ask about its leads"
        found.append(Check(SETTINGS, WARNING, "MQLSTREAM_HTTP_ADVERTISE", told, "host:port by which others reach it"))
    return found


def _risks_of_kafka(settings: Settings) -> list[Check]:
    kafka = settings.kafka
    found = []
    if kafka.security_protocol == "SASL_PLAINTEXT" and kafka.sasl_mechanism == "PLAIN":
        told = "SASL_PLAINTEXT with PLAIN sends the password readable"
        found.append(Check(SETTINGS, WARNING, "MQLSTREAM_SECURITY_PROTOCOL", told, "SASL_SSL beyond this machine"))
    if kafka.security_protocol.endswith("SSL") and not kafka.ssl_check_hostname:
        told = "off: any certificate of a trusted authority passes for the broker's"
        found.append(Check(SETTINGS, WARNING, "MQLSTREAM_SSL_CHECK_HOSTNAME", told, "true"))
    return found


def definition_checks(settings: Settings) -> tuple[list[Check], dict[str, tuple[Path, Definition]]]:
    """What is wrong or doubtful in the files of MQLSTREAM_DEFINITIONS; and those that can be read, by id, with their files."""
    try:
        files = definition_files(settings.definitions)
    except UsageError as error:
        mend = "set MQLSTREAM_DEFINITIONS; mqlstream lint FILE tells whether one is sound"
        return [Check(DEFINITIONS, PROBLEM, "", str(error), mend=mend)], {}
    today = datetime.fromtimestamp(time.time(), UTC).date()
    checks: list[Check] = []
    found: dict[str, tuple[Path, Definition]] = {}
    for file in files:
        try:
            definition, findings = parse_file(file, today=today)
        except UsageError as error:
            checks.append(Check(DEFINITIONS, PROBLEM, "", str(error), mend="put MQLSTREAM_DEFINITIONS right"))
            continue
        for finding in findings:
            status, about = PROBLEM if finding.severity == ERROR else WARNING, f"{finding.file}:{finding.line}:{finding.column}"
            checks.append(Check(DEFINITIONS, status, about, f"{finding.code} {finding.message}", mend=finding.hint))
        if definition is None:
            continue
        if definition.id in found:
            told = f"definition {definition.id!r} stands in {found[definition.id][0]} too"
            checks.append(Check(DEFINITIONS, PROBLEM, str(file), told, "each once", "take one of the files away"))
            continue
        found[definition.id] = (file, definition)
        if not findings:
            checks.append(Check(DEFINITIONS, OK, str(file), f"{definition.id} version {definition.version}, no findings"))
    return checks, found
