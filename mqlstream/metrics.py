"""Every metric the program exposes, on one registry. Who counts what lives with the work; this is the list.

Labels are few and closed: kinds, outcomes, reasons, stages, topics, partitions. No label ever carries a lead, an
address or anything else an event brought along.
"""

from __future__ import annotations

import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from mqlstream import __version__

# Else there is a second series for every counter, of a time that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

# A batch is one transaction: 2 ms on an idle broker, seconds when it is in trouble.
_BATCH_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# From a click to a handoff: the promise is half a second; beyond ten minutes it is a backlog, not a delay.
_HANDOFF_BUCKETS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 600.0)
# An owner that is idle answers within a commit; nobody is waited for longer than ten seconds.
_LOOKUP_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

EVENTS = Counter(
    "mqlstream_events", "Events by kind and by the one outcome each ends in.", ["kind", "outcome", "reason"], registry=REGISTRY
)
HANDOFFS = Counter("mqlstream_handoffs", "Handoff events written, by type.", ["type"], registry=REGISTRY)
DEAD_LETTERS = Counter("mqlstream_dead_letters", "Records written to the dead letters, by reason.", ["reason"], registry=REGISTRY)
WAITING_EVENTS = Counter(
    "mqlstream_waiting_events",
    "Events of visitors that came to wait for a link to a lead, and that went on or were given up; the difference waits.",
    ["change"],
    registry=REGISTRY,
)
EVENT_TO_HANDOFF = Histogram(
    "mqlstream_event_to_handoff_seconds",
    "From the input record's timestamp to the commit of the handoff it caused, while the task has caught up.",
    buckets=_HANDOFF_BUCKETS,
    registry=REGISTRY,
)

LOOKUPS = Histogram(
    "mqlstream_lookup_seconds",
    "Questions about a lead at this worker, from the request to the answer: found, unknown, refused, unavailable or failed.",
    ["result"],
    buckets=_LOOKUP_BUCKETS,
    registry=REGISTRY,
)
WAITING_REVIEWS = Gauge(
    "mqlstream_waiting_reviews_leads",
    "Leads of this worker whose review waits for older events that ingest tasks, which catch up, may still bring.",
    registry=REGISTRY,
)
WATERMARK_AGE = Gauge(
    "mqlstream_watermark_age_seconds",
    "How far behind now the events are up to which this worker's leads are reviewed, while ingest tasks catch up; 0 when all keep up.",
    registry=REGISTRY,
)

RECORDS = Counter("mqlstream_records", "Records read and committed, by input topic.", ["stage", "topic"], registry=REGISTRY)
BATCH_SECONDS = Histogram(
    "mqlstream_batch_seconds",
    "A batch, from its first step to the end of its commit.",
    ["stage"],
    buckets=_BATCH_BUCKETS,
    registry=REGISTRY,
)
STEP_SECONDS = Histogram("mqlstream_step_seconds", "The computing part of a batch.", ["stage"], buckets=_BATCH_BUCKETS, registry=REGISTRY)
TASK_FAILURES = Counter(
    "mqlstream_task_failures", "Tasks that dropped their memory and started afresh after an error.", ["stage"], registry=REGISTRY
)
TASKS = Gauge("mqlstream_task_state", "Tasks of this worker in each state.", ["stage", "state"], registry=REGISTRY)
RESTORE_REMAINING = Gauge(
    "mqlstream_restore_remaining_records",
    "Changelog offsets a task still has to restore; 0 once it owns.",
    ["stage", "partition"],
    registry=REGISTRY,
)
LAG = Gauge(
    "mqlstream_lag_records",
    "Input offsets between a task's position and the end of its input.",
    ["stage", "topic", "partition"],
    registry=REGISTRY,
)

WEBHOOKS = Counter("mqlstream_webhooks", "Calls at the door for webhooks, by source and status.", ["topic", "status"], registry=REGISTRY)

BUILD = Gauge("mqlstream_build_info", "Always 1; what is running.", ["version", "python"], registry=REGISTRY)
BUILD.labels(version=__version__, python=platform.python_version()).set(1)
DEFINITION = Gauge("mqlstream_definition_info", "Always 1; a definition in force.", ["definition", "version", "digest"], registry=REGISTRY)
SHADOW = Counter(
    "mqlstream_shadow_leads",
    "Leads that a shadow definition and the live ones agree on or not: with_live, before_live, ended, live_with, live_without.",
    ["definition", "found"],
    registry=REGISTRY,
)
RESCORING = Gauge(
    "mqlstream_rescoring_remaining_leads",
    "Leads of this worker that are still to be scored under a definition that was pushed; 0 when none is waiting.",
    registry=REGISTRY,
)

# Insights: gauges of totals, each worker showing the part of the partitions it owns; their sum is the whole.
INSIGHTS_ENTERED = Gauge(
    "mqlstream_insights_entered", "Leads that entered a stage, as often as they did.", ["definition", "stage"], registry=REGISTRY
)
INSIGHTS_REACHED = Gauge(
    "mqlstream_insights_reached", "Handoffs that came as far as a stage, or ended so.", ["definition", "stage"], registry=REGISTRY
)
INSIGHTS_ANSWERS = Gauge(
    "mqlstream_insights_answers", "Handoffs by sales' first answer: accepted or rejected.", ["definition", "answer"], registry=REGISTRY
)
INSIGHTS_RULE = Gauge(
    "mqlstream_insights_rule_handoffs",
    "Handoffs to which a rule contributed: all (mqls), and those accepted, rejected, or by now customers.",
    ["definition", "rule", "outcome"],
    registry=REGISTRY,
)
INSIGHTS_SPEED_BUCKET = Gauge(
    "mqlstream_insights_speed_to_lead_seconds_bucket",
    "From handoff to sales' first move: those within a limit.",
    ["definition", "le"],
    registry=REGISTRY,
)
INSIGHTS_SPEED_SUM = Gauge(
    "mqlstream_insights_speed_to_lead_seconds_sum", "From handoff to sales' first move, all together.", ["definition"], registry=REGISTRY
)
INSIGHTS_SPEED_COUNT = Gauge(
    "mqlstream_insights_speed_to_lead_seconds_count", "Handoffs that sales has moved.", ["definition"], registry=REGISTRY
)
INSIGHTS_SLA = Gauge("mqlstream_insights_sla", "Handoffs with a due answer: kept or breached.", ["definition", "result"], registry=REGISTRY)
