"""A worker: its roles, made from the settings, and what has to be right before it starts.

    code = run(settings, prepare(settings, ROLES))

Roles are hosted by `mqlstream.app.shell`; the work of a stage is the engine's and `mqlstream.stages`'.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp.web import RouteDef

from mqlstream import metrics
from mqlstream.app import collector
from mqlstream.app.insights.role import InsightsRole
from mqlstream.app.monitor import EngineMonitor
from mqlstream.app.webhooks import WebhookRole, webhook_role
from mqlstream.config import Settings, kafka_kwargs
from mqlstream.definition import load
from mqlstream.definition.model import Definition
from mqlstream.doors.writing import COMMAND, FEEDBACK
from mqlstream.doors.writing import Door as Writer
from mqlstream.engine.interfaces import Stage
from mqlstream.engine.kafka import KafkaBroker
from mqlstream.engine.runner import StageRunner
from mqlstream.engine.status import Options
from mqlstream.errors import UsageError
from mqlstream.handoff.contract import TYPES
from mqlstream.program import NATIVE_CORE, ingest_options, machine_rules, program_of, visitor_limits
from mqlstream.stages.accounts import AccountsStage
from mqlstream.stages.identify import IdentifyStage
from mqlstream.stages.ingest import IngestStage
from mqlstream.stages.score import ScoreOptions, ScoreStage
from mqlstream.topics import Topics, declared, largest_message_bytes
from mqlstream.web.guard import Guard
from mqlstream.web.leads import LeadPages
from mqlstream.web.server import WebServer
from mqlstream.web.writing import WritingPage

if TYPE_CHECKING:
    from mqlstream.app.shell import Role

log = logging.getLogger(__name__)

ROLES = ("ingest", "score", "insights", "web")


class StageRole:
    """Runs a stage's tasks."""

    def __init__(self, runner: StageRunner) -> None:
        self.name = runner.stage.name
        self._runner = runner
        self._draining = False

    async def run(self) -> None:
        await self._runner.run()

    async def stop(self) -> None:
        self._draining = True
        await self._runner.stop()

    def not_ready(self) -> Sequence[str]:
        """The reasons why the stage does not do its share of the work; none when it does."""
        if self._draining:
            return (f"{self.name}: draining",)
        return self._runner.status().not_ready


class Door(Protocol):
    """Pages, and what they hold open."""

    def routes(self) -> Sequence[RouteDef]:
        """Each with its handler."""

    async def close(self) -> None:
        """The server has stopped."""


class WebRole:
    """Serves the worker's own pages."""

    name = "web"

    def __init__(
        self, bind: str, not_ready: Callable[[], Sequence[str]], routes: Sequence[RouteDef] = (), doors: Sequence[Door] = ()
    ) -> None:
        routes = [*routes, *(route for door in doors for route in door.routes())]
        self._server = WebServer(bind, not_ready, metrics.REGISTRY, routes)
        self._doors = doors
        self._stopping = asyncio.Event()

    async def try_out(self) -> None:
        """Raise `UsageError` when the address cannot be had."""
        await self._server.try_out()

    async def run(self) -> None:
        await self._server.start()
        log.info("web: listening on %s", self._server.url)
        try:
            await self._stopping.wait()
        finally:
            await self._server.stop()
            for door in self._doors:
                await door.close()

    async def stop(self) -> None:
        self._stopping.set()


def prepare(settings: Settings, roles: Sequence[str]) -> list[StageRole | InsightsRole | WebRole | WebhookRole]:
    """The roles of a worker, ready to be hosted, once all that they need is found to be there.

    Raises `UsageError` for unknown roles, wrong or missing definitions, missing topics, wrong partition counts and addresses that are
    taken, and `UnreachableError` when no broker answers.
    """
    check_roles(roles)
    stages = _stages(settings, roles)
    kafka = kafka_kwargs(settings)
    counts = _internal_counts(settings)
    there = asyncio.run(_check_topics(KafkaBroker(kafka), settings, counts))
    if "insights" in roles:
        _check_alike(there, settings)
    monitor = EngineMonitor()
    options = Options(commit_interval_ms=settings.commit_interval_ms, partitions=counts, url=settings.http_url)
    runners = [StageRunner(stage, broker=KafkaBroker(kafka), app_id=settings.app_id, options=options, monitor=monitor) for stage in stages]
    working = [StageRole(runner) for runner in runners]
    for stage in stages:
        if isinstance(stage, ScoreStage):
            _announce(stage)
    for handoff in TYPES:
        metrics.HANDOFFS.labels(handoff)  # the first of a type must be a step from 0, or no rate would show it
    insights = [InsightsRole(settings, options.url)] if "insights" in roles else []
    # Nobody's MQL waits for statistics: they count for readiness only where they are all there is to do.
    needed = working or insights
    doors = _doors(settings, kafka, next((runner for runner in runners if isinstance(runner.stage, ScoreStage)), None))
    routes = [route for role in insights for route in role.routes()]
    web = (
        [WebRole(settings.http_bind, lambda: [line for role in needed for line in role.not_ready()], routes, doors)]
        if "web" in roles
        else []
    )
    webhooks = webhook_role(settings, kafka, roles)
    listening: list[WebRole | WebhookRole] = [*web, *webhooks]
    for role in listening:
        asyncio.run(role.try_out())
    return [*web, *working, *insights, *webhooks]


def _doors(settings: Settings, kafka: Mapping[str, Any], leads: StageRunner | None) -> Sequence[Door]:
    """Where people and sales tools reach leads."""
    if settings.http_advertise is None and settings.http_everywhere:
        log.warning(
            "MQLSTREAM_HTTP_ADVERTISE is not set: other workers cannot reach this one at %s to ask about its leads", settings.http_bind
        )
    guard = Guard(settings.http_host, settings.http_token)
    topics = Topics(settings.topic_prefix)
    return (
        LeadPages(leads, settings.partitions, guard, settings.http_token),
        WritingPage("/v1/feedback", FEEDBACK, Writer(kafka, topics.feedback, largest_message_bytes()), guard),
        WritingPage("/v1/commands", COMMAND, Writer(kafka, topics.commands, largest_message_bytes()), guard),
    )


def run(settings: Settings, roles: Sequence[Role]) -> int:
    """Host prepared roles until a signal; returns the process's exit code."""
    from mqlstream.app.shell import host  # Faust takes a moment to load: a mistake should be told before

    collector.calm()
    core = "native" if NATIVE_CORE else "python"
    log.info("worker of %s: %s; %s core", settings.app_id, ", ".join(role.name for role in roles), core)
    return host(settings.app_id, roles)


def check_roles(roles: Sequence[str]) -> None:
    """Raises `UsageError` when there is no such role."""
    for role in roles:
        if role not in ROLES:
            raise UsageError(f"--roles: there is no role {role!r}, expected some of {', '.join(ROLES)}")
    if not roles:
        raise UsageError(f"--roles: got none, expected some of {', '.join(ROLES)}")


def _stages(settings: Settings, roles: Sequence[str]) -> list[Stage]:
    topics = Topics(settings.topic_prefix)
    stages: list[Stage] = []
    if "ingest" in roles:
        stages.append(IngestStage(topics, settings.partitions, ingest_options(settings)))
        stages.append(IdentifyStage(topics, settings.partitions, visitor_limits(settings)))
    if "score" in roles:
        definitions = load_definitions(settings.definitions)
        publish, structured, machines = settings.publish_scores, settings.handoff.structured, machine_rules(settings)
        options = ScoreOptions(publish, structured, f"/{settings.app_id}", settings.partitions, machines)
        stages.append(ScoreStage(topics, program_of(definitions, settings), options))
        stages.append(AccountsStage(topics, options.source, structured=options.structured))
    return stages


def _announce(stage: ScoreStage) -> None:
    for plan in stage.program.plans:
        metrics.DEFINITION.labels(plan.id, str(plan.version), plan.digest).set(1)
        log.info("definition %s version %d in force", plan.id, plan.version)


def load_definitions(paths: Sequence[Path]) -> list[Definition]:
    """The definitions in these files and folders, folders in the order of their files' names.

    Raises `UsageError` when there are none or one id stands twice, and `DefinitionError` with all findings of a file.
    """
    definitions: dict[str, Definition] = {}
    for file in definition_files(paths):
        definition = load(file, warn=lambda finding: log.warning("%s", finding))
        if definition.id in definitions:
            raise UsageError(f"{file}: definition {definition.id!r} stands in another file too, expected each once")
        definitions[definition.id] = definition
    return list(definitions.values())


def definition_files(paths: Sequence[Path]) -> list[Path]:
    """The files that these files and folders stand for. Raises `UsageError` when there are none."""
    files: list[Path] = []
    for path in paths:
        found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"MQLSTREAM_DEFINITIONS: no definition in folder {path}, expected *.yaml")
        files += found
    if not files:
        raise UsageError("MQLSTREAM_DEFINITIONS is not set, expected files or folders of definitions to score with")
    return files


def _internal_counts(settings: Settings) -> Mapping[str, int]:
    return {
        settings.topic_prefix + topic.name: settings.partitions for topic in declared() if topic.role == "internal" and not topic.partitions
    }


async def _check_topics(broker: KafkaBroker, settings: Settings, counts: Mapping[str, int]) -> Mapping[str, int]:
    """All topics are there, and the internal ones have the partitions that records are sent to by number. Gives all counts."""
    topics = [settings.topic_prefix + topic.name for topic in declared()]
    there = await broker.partitions(topics)
    missing = [topic for topic in topics if topic not in there]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UsageError(f"no topic {missing[0]}{more} on the broker; create what is missing: mqlstream topics apply")
    for topic, expected in counts.items():
        if there[topic] != expected:
            raise UsageError(
                f"topic {topic} has {there[topic]} partitions, expected {expected} (MQLSTREAM_PARTITIONS): "
                "either the setting or the topic is wrong; the number is fixed when the topic is created"
            )
    return there


def _check_alike(there: Mapping[str, int], settings: Settings) -> None:
    """A partition of handoffs and the same one of the insights table go to one worker together."""
    topic = Topics(settings.topic_prefix).handoff
    if there[topic] != settings.partitions:
        raise UsageError(
            f"topic {topic} has {there[topic]} partitions, expected {settings.partitions} (MQLSTREAM_PARTITIONS) for the role insights; "
            "without insights: --roles ingest,score,web"
        )
