"""The declaration of topics as data: finds topics.yaml in a checkout or an installed package, and reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ALL_BUT_ONE = "all_but_one"
_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Declared:
    """One topic as declared. ``name`` lacks the prefix; ``partitions`` None: as many as configured.

    ``config`` maps Kafka's names of topic settings to their values as text, or to `ALL_BUT_ONE`.
    """

    key: str
    name: str
    role: str
    record_key: str
    description: str
    partitions: int | None
    config: Mapping[str, str]
    kind: str | None = None
    schema: str | None = None

    def config_for(self, replication_factor: int) -> dict[str, str]:
        """The settings of a topic that has so many replicas."""
        fewer = str(max(1, replication_factor - 1))
        return {name: fewer if value == ALL_BUT_ONE else value for name, value in self.config.items()}


def folder() -> Path:
    """Where topics.yaml and the schemas are: beside the package in a checkout, inside it when installed."""
    installed = _PACKAGE / "_data" / "topics"
    return installed if installed.is_dir() else _PACKAGE.parent / "topics"


@cache
def declared() -> tuple[Declared, ...]:
    """All topics, in the order of the declaration."""
    content = yaml.safe_load((folder() / "topics.yaml").read_text(encoding="utf-8"))
    common = content["every_topic"]
    return tuple(_topic(key, entry, common) for key, entry in content["topics"].items())


def _topic(key: str, entry: Mapping[str, Any], common: Mapping[str, Any]) -> Declared:
    config = {name: str(value) for name, value in {**common, **entry["config"]}.items()}
    return Declared(
        key=key,
        name=entry["name"],
        role=entry["role"],
        record_key=entry["key"],
        description=entry["description"],
        partitions=None if entry["partitions"] == "all" else entry["partitions"],
        config=dict(sorted(config.items())),
        kind=entry.get("kind"),
        schema=entry.get("schema"),
    )


def schemas(topic: Declared) -> dict[str, dict[str, Any]]:
    """The JSON Schemas of a topic's values, by the names of the messages: the topic's key, or the types of its events."""
    if topic.schema is None:
        return {}
    if "*" not in topic.schema:
        return {topic.key: schema(topic.schema)}
    return {path.stem: schema(path.name) for path in sorted((folder() / "schemas").glob(topic.schema))}


def schema(name: str) -> dict[str, Any]:
    """A JSON Schema of the declaration, by its file name."""
    content: dict[str, Any] = json.loads((folder() / "schemas" / name).read_text(encoding="utf-8"))
    return content
