"""The program of a worker, or of an offline run with the same settings: definitions compiled with what the settings add."""

from __future__ import annotations

from collections.abc import Sequence

from mqlstream.config import Settings
from mqlstream.core.email_kinds import SHIPPED
from mqlstream.core.plan import HandoffShape, Program
from mqlstream.definition.compile import compile_program
from mqlstream.definition.model import Definition
from mqlstream.ingest.results import IngestOptions


def program_of(definitions: Sequence[Definition], settings: Settings) -> Program:
    """The definitions with the settings' handoff fields and email lists."""
    ingest, handoff = settings.ingest, settings.handoff
    lists = SHIPPED.with_changes(disposable=ingest.disposable_domains, role=ingest.role_names, free=ingest.free_domains)
    return compile_program(definitions, HandoffShape(handoff.identity, handoff.attributes, handoff.timeline_url), lists)


def ingest_options(settings: Settings) -> IngestOptions:
    """How ingest reads records under these settings."""
    return IngestOptions(form_attributes=settings.ingest.form_attributes)
