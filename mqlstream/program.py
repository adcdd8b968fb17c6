"""The program of a worker, or of an offline run with the same settings: definitions compiled with what the settings add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mqlstream.config import Settings
from mqlstream.core import step
from mqlstream.core.email_kinds import SHIPPED
from mqlstream.core.plan import HandoffShape, Program
from mqlstream.definition.compile import compile_program
from mqlstream.definition.model import Definition
from mqlstream.errors import UsageError
from mqlstream.ingest.adapters.base import Source
from mqlstream.ingest.adapters.registry import source_of
from mqlstream.ingest.identity import MAILBOX_RULES
from mqlstream.ingest.machines import Rules, rules_of
from mqlstream.ingest.results import IngestOptions
from mqlstream.ingest.visitors import Limits
from mqlstream.topics import Topics

NATIVE_CORE = not step.__file__.endswith(".py")
"""Whether the core runs as machine code (see ARCHITECTURE.md): the same results, faster."""


def program_of(definitions: Sequence[Definition], settings: Settings) -> Program:
    """The definitions with the settings' handoff fields and email lists."""
    ingest, handoff = settings.ingest, settings.handoff
    lists = SHIPPED.with_changes(disposable=ingest.disposable_domains, role=ingest.role_names, free=ingest.free_domains)
    return compile_program(definitions, HandoffShape(handoff.identity, handoff.attributes, handoff.timeline_url), lists)


def superseded(program: Program, definition: Definition) -> Program:
    """The program with this definition in the place of the one of its id, or after all others when there is none."""
    before: tuple[Definition, ...] = program.definitions
    after = [definition if each.id == definition.id else each for each in before]
    if definition not in after:
        after.append(definition)
    return compile_program(after, program.shape, program.email_lists, _others(program.prepared, definition))


def prepared(program: Program, definition: Definition) -> Program:
    """The same definitions in force, and ledgers that also keep what this one reads, until it or another of its id is."""
    return compile_program(program.definitions, program.shape, program.email_lists, (*_others(program.prepared, definition), definition))


def _others(definitions: Sequence[Definition], of: Definition) -> tuple[Definition, ...]:
    return tuple(each for each in definitions if each.id != of.id)


def ingest_options(settings: Settings) -> IngestOptions:
    """How ingest reads records under these settings. Raises `UsageError` for a source that is not as its adapter wants it, and for
    a rule of mailboxes that there is not.
    """
    rules = settings.ingest.mailbox_rules
    for domain, rule in rules.items():
        if rule not in MAILBOX_RULES:
            where = settings.origins.get("ingest.mailbox_rules", "ingest.mailbox_rules")
            raise UsageError(f"{where}: ingest.mailbox_rules.{domain}: got {rule!r}, expected one of {' '.join(MAILBOX_RULES)}")
    by_domain = {domain.lower(): rule for domain, rule in rules.items()}
    return IngestOptions(settings.ingest.form_attributes, sources_of(settings), settings.machines.crawlers, by_domain)


def visitor_limits(settings: Settings) -> Limits:
    """How much waits for a visitor to be known."""
    return Limits(settings.ingest.waiting_events, settings.ingest.waiting_days)


def machine_rules(settings: Settings) -> Rules:
    """What gives a mail scanner away under these settings. Raises `UsageError` for timings of a source that are none."""
    told = settings.machines
    common = Rules(told.burst_ms, told.after_delivery_ms, told.honeypots, told.near_ms, told.soon_ms, told.visit_ms)
    own = {}
    for source, text in sorted(told.sources.items()):
        try:
            own[source] = rules_of(text, common)
        except ValueError as error:
            where = settings.origins.get("machines.sources", "machines.sources")
            raise UsageError(f"{where}: machines.sources.{source}: {error}") from None
    return replace(common, sources=own)


def sources_of(settings: Settings) -> dict[str, Source]:
    """The configured adapter of each topic that has one."""
    own = Topics(settings.topic_prefix)
    closed = frozenset(own.all) - frozenset(own.inputs)
    found = {}
    for topic, entry in settings.sources.items():
        where = f"{settings.origins.get('sources', 'sources')}: sources.{topic}"
        if topic in closed:
            raise UsageError(f"{where}: mqlstream itself writes this topic, expected one that platform teams write")
        try:
            found[topic] = source_of(entry)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from None
    return found
