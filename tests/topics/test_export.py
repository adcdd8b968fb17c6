"""The declaration in other tools' formats, read back with their own readers."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from mqlstream.cli import main
from mqlstream.config import Settings
from mqlstream.topics import Topics, declared
from mqlstream.topics.export import asyncapi, script, strimzi

SETTINGS = Settings(topic_prefix="EU_mql.", partitions=4, replication_factor=2)


def test_strimzi_resources_name_every_topic_as_kubernetes_takes_names() -> None:
    resources = list(yaml.safe_load_all(strimzi(SETTINGS, "main")))
    assert [resource["spec"]["topicName"] for resource in resources] == list(Topics("EU_mql.").all)
    for resource, topic in zip(resources, declared(), strict=True):
        assert resource["kind"] == "KafkaTopic"
        assert re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", resource["metadata"]["name"])
        assert resource["metadata"]["labels"]["strimzi.io/cluster"] == "main"
        assert resource["spec"]["partitions"] == (topic.partitions or 4)
        assert resource["spec"]["replicas"] == 2
        assert resource["spec"]["config"]["min.insync.replicas"] == 1
        assert {name: str(value) for name, value in resource["spec"]["config"].items()} == topic.config_for(2)


def test_the_script_calls_kafkas_tool_once_for_each_topic(tmp_path: Path) -> None:
    tool = tmp_path / "kafka-topics.sh"
    tool.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >> {tmp_path}/calls\necho >> {tmp_path}/calls\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    environ = {**os.environ, "KAFKA_TOPICS": str(tool), "BOOTSTRAP": "kafka:9092", "COMMAND_CONFIG": "/client settings"}
    subprocess.run(["sh"], input=script(SETTINGS), text=True, env=environ, check=True)
    calls = [line.split("|")[:-1] for line in (tmp_path / "calls").read_text().splitlines()]
    assert [call[call.index("--topic") + 1] for call in calls] == list(Topics("EU_mql.").all)
    for call, topic in zip(calls, declared(), strict=True):
        assert call[:4] == ["--bootstrap-server", "kafka:9092", "--command-config", "/client settings"]
        assert "--if-not-exists" in call
        assert call[call.index("--partitions") + 1] == str(topic.partitions or 4)
        told = [call[place + 1] for place, word in enumerate(call) if word == "--config"]
        assert told == [f"{name}={value}" for name, value in topic.config_for(2).items()]


def resolved(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_asyncapi_document_describes_what_others_write_and_read() -> None:
    document = yaml.safe_load(asyncapi(SETTINGS))
    assert document["asyncapi"] == "3.0.0"
    public = [topic for topic in declared() if topic.role != "internal"]
    assert list(document["channels"]) == [topic.key for topic in public]
    assert document["channels"]["handoff"]["address"] == "EU_mql.handoff.v1"
    assert "mqlstream.lead.became_mql.v1" in document["channels"]["handoff"]["messages"]
    assert {operation["action"] for operation in document["operations"].values()} == {"receive", "send"}
    for operation in document["operations"].values():
        resolved(document, operation["channel"]["$ref"])
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            if "payload" in message:
                content = resolved(document, message["payload"]["$ref"])
                jsonschema.Draft202012Validator.check_schema(content)
                assert content["type"] == "object"


@pytest.mark.parametrize("format_", ["strimzi", "asyncapi", "script"])
def test_export_prints_to_stdout(format_: str) -> None:
    done = CliRunner().invoke(main, ["topics", "export", "--as", format_])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "mql.handoff.v1" in done.stdout
