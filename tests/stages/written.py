"""Prints what the SCORE stage writes for many events under each example definition, as digests: `python -m tests.stages.written`.

Events come late, twice, and with attributes: whatever the core computes and packs is in the changelog or in a handoff.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import orjson

from mqlstream import wire
from mqlstream.core.event import Event
from mqlstream.definition import load
from mqlstream.definition.compile import compile_program
from mqlstream.engine.memory_log import Stored
from mqlstream.ingest.canonical import canonical
from mqlstream.program import NATIVE_CORE
from mqlstream.stages.score import ScoreStage
from mqlstream.topics import Topics
from tests.bench import workload

CONFIG = Path(__file__).resolve().parents[2] / "config"
DEFINITIONS = sorted([CONFIG / "b2b-default.yaml", CONFIG / "account-engagement-defaults.yaml", *(CONFIG / "examples").glob("*.yaml")])
END_MS = 1_794_000_000_000
_BATCH = 700


def events(count: int, leads: int) -> list[Event]:
    """Some 60 days of four kinds and profiles, out of order by up to some days, one in twenty twice."""
    rnd = random.Random(11)
    raw: list[tuple[str, dict[str, Any]]] = [(kind, event) for kind, _, event in workload.inputs(count, leads, END_MS)]
    for number in range(count // 10):
        attributes = {"title": rnd.choice(["CEO", "Intern", "VP Sales"]), "country": rnd.choice(["DE", "US", None]), "company_size": number}
        profile = {"id": f"p{number}", "source": "crm", "lead_id": f"lead-{rnd.randrange(leads):07d}", "kind": "profile"}
        raw.append(("profile", {**profile, "time": END_MS - rnd.randrange(workload.SPAN_MS), "attributes": attributes}))
    raw += rnd.sample(raw, count // 20)
    raw.sort(key=lambda item: item[1]["time"] + rnd.randrange(3 * workload.DAY_MS) * (rnd.random() < 0.3))
    read = [canonical(orjson.dumps(event), kind=kind, source="test", record_ms=event["time"]) for kind, event in raw]
    assert all(isinstance(event, Event) for event in read)
    return [event for event in read if isinstance(event, Event)]


def written(definition: Path, arrived: list[Event]) -> tuple[int, int, str]:
    """Changelog records, outputs, and the digest of both under a definition."""
    processor = ScoreStage(Topics("test."), compile_program([load(definition)])).processor(0)
    records = [
        Stored("test.lead-events", 0, offset, event.time, wire.key_of(event.lead), wire.encode(event), (), None)
        for offset, event in enumerate(arrived)
    ]
    digest = hashlib.sha256()
    changes = outputs = 0
    for start in range(0, len(records), _BATCH):
        effects = processor.process(records[start : start + _BATCH], None)
        processor.committed(effects)
        changes, outputs = changes + len(effects.changelog), outputs + len(effects.outputs)
        digest.update(repr(effects.changelog).encode())
        digest.update(repr([(output.topic, output.key, output.value, sorted(output.headers)) for output in effects.outputs]).encode())
    return changes, outputs, digest.hexdigest()


def main() -> None:
    arrived = events(8_000, 300)
    told = {definition.name: written(definition, arrived) for definition in DEFINITIONS}
    print(orjson.dumps({"native": NATIVE_CORE, "written": told}).decode())


if __name__ == "__main__":
    main()
