"""The declaration in other tools' formats: Strimzi resources, an AsyncAPI document, a script for Kafka's own tools."""

from __future__ import annotations

import re
import shlex
from typing import Any

import yaml

from mqlstream import __version__
from mqlstream.config import Settings
from mqlstream.topics.declared import Declared, declared, schemas

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9.-]")


def strimzi(settings: Settings, cluster: str) -> str:
    """KafkaTopic resources for the Strimzi topic operator, one YAML document each."""
    return _yaml_documents([_resource(settings, topic, cluster) for topic in declared()])


def _resource(settings: Settings, topic: Declared, cluster: str) -> dict[str, Any]:
    name = settings.topic_prefix + topic.name
    return {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "KafkaTopic",
        "metadata": {
            # A resource's name is narrower than a topic's.
            "name": _NOT_IN_A_NAME.sub("-", name.lower()).strip(".-"),
            "labels": {"strimzi.io/cluster": cluster, "app.kubernetes.io/part-of": "mqlstream"},
            "annotations": {"mqlstream/description": topic.description},
        },
        "spec": {
            "topicName": name,
            "partitions": topic.partitions or settings.partitions,
            "replicas": settings.replication_factor,
            "config": {key: _number(value) for key, value in topic.config_for(settings.replication_factor).items()},
        },
    }


def script(settings: Settings) -> str:
    """A shell script that creates missing topics with kafka-topics.sh; existing ones are left as they are."""
    lines = [
        "#!/bin/sh",
        "# Creates the topics of mqlstream. KAFKA_TOPICS: Kafka's tool; COMMAND_CONFIG: a file with a client's settings.",
        "set -eu",
        f'BOOTSTRAP="${{BOOTSTRAP:-{",".join(settings.kafka.bootstrap_servers)}}}"',
        'KAFKA_TOPICS="${KAFKA_TOPICS:-kafka-topics.sh}"',
        "",
        "create() {",
        '  "$KAFKA_TOPICS" --bootstrap-server "$BOOTSTRAP" ${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \\',
        '    --create --if-not-exists --topic "$@"',
        "}",
    ]
    for topic in declared():
        count = topic.partitions or settings.partitions
        parts = [shlex.quote(settings.topic_prefix + topic.name), f"--partitions {count}"]
        parts.append(f"--replication-factor {settings.replication_factor}")
        parts += [f"--config {shlex.quote(f'{key}={value}')}" for key, value in topic.config_for(settings.replication_factor).items()]
        lines += ["", f"# {topic.description}", "create " + " \\\n  ".join(parts)]
    return "\n".join(lines) + "\n"


def asyncapi(settings: Settings) -> str:
    """An AsyncAPI 3.0 document of the topics that others write or read, with the schemas of their values."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    payloads: dict[str, Any] = {}
    for topic in declared():
        if topic.role == "internal":
            continue
        found = schemas(topic)
        payloads |= {name: _embedded(content) for name, content in found.items()}
        channels[topic.key] = {
            "address": settings.topic_prefix + topic.name,
            "description": f"{topic.description} Key: {topic.record_key}.",
            "messages": {name: _message(name, found) for name in found or [topic.key]},
            "bindings": {"kafka": {"partitions": topic.partitions or settings.partitions, "replicas": settings.replication_factor}},
        }
        action = "receive" if topic.role == "input" else "send"
        operations[f"{action}_{topic.key}"] = {"action": action, "channel": {"$ref": f"#/channels/{topic.key}"}}
    document = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mqlstream",
            "version": __version__,
            "description": "What mqlstream receives and sends. Actions are told from its own side.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": payloads},
    }
    return _yaml_documents([document])


def _message(name: str, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"name": name, "contentType": "application/json"}
    if name in found:
        message["summary"] = found[name]["description"]
        message["payload"] = {"$ref": f"#/components/schemas/{name}"}
    return message


def _embedded(content: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in ("$schema", "$id")}


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml_documents(documents: list[Any]) -> str:
    text: str = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, explicit_start=len(documents) > 1, width=120, allow_unicode=True)
    return text
