"""The Kubernetes manifests, read as data, against what they describe: topics, settings, probes, rights."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mqlstream import __version__
from mqlstream.app.shell import DRAIN_SECONDS
from mqlstream.config import load
from mqlstream.topics import Topics, declared
from mqlstream.topics.export import strimzi
from mqlstream.web.server import PAGES
from tests.deploy.expressions import DEPLOY

FOLDER = DEPLOY / "kubernetes"
# Settings under which the export stands in the repository: the defaults.
SETTINGS = load(None, {})


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


DEPLOYMENT = documents("deployment.yaml")[0]["spec"]
POD = DEPLOYMENT["template"]["spec"]
WORKER = POD["containers"][0]
VALUES = {entry["name"]: entry["value"] for entry in WORKER["env"] if "value" in entry}
USERS = {user["metadata"]["name"]: user["spec"]["authorization"]["acls"] for user in documents("user.yaml")}


def allowed(user: str, kind: str, name: str) -> set[str]:
    """What a principal may do with one topic, group or transactional id."""
    return {
        operation
        for acl in USERS[user]
        for operation in acl["operations"]
        if acl["resource"]["type"] == kind
        and (
            name == acl["resource"]["name"] or (acl["resource"].get("patternType") == "prefix" and name.startswith(acl["resource"]["name"]))
        )
    }


def test_the_topics_are_those_that_the_program_declares():
    assert (FOLDER / "topics.yaml").read_text() == strimzi(SETTINGS, "kafka"), (
        "run `mqlstream topics export --as strimzi > deploy/kubernetes/topics.yaml`"
    )


def test_the_workers_may_do_what_they_do_with_each_topic_and_no_more():
    reads = {"input": {"Read", "Describe"}, "internal": {"Read", "Write", "Describe"}, "output": {"Write", "Describe"}}
    topics = Topics(SETTINGS.topic_prefix)
    for topic in declared():
        # The program writes definitions only at an operator's hand, who has an account of their own.
        # Handoffs are read again, for insights; feedback and commands are written where they were posted to a worker.
        told = {"definitions": "input", **dict.fromkeys(("handoff", "feedback", "commands"), "internal")}
        expected = reads[told.get(topic.key, topic.role)]
        assert allowed("mqlstream", "topic", getattr(topics, topic.key)) == expected, topic.key


@pytest.mark.parametrize(("kind", "needed"), [("group", {"Read", "Describe"}), ("transactionalId", {"Write", "Describe"})])
def test_the_workers_may_use_the_names_that_begin_with_the_application_id(kind: str, needed: set[str]):
    assert allowed("mqlstream", kind, f"{SETTINGS.app_id}-score") == needed
    assert allowed("mqlstream", kind, f"{SETTINGS.app_id}2-score") == set()


def test_a_sales_tool_reads_handoffs_and_cannot_write_any():
    topics = Topics(SETTINGS.topic_prefix)
    for topic in declared():
        rights = allowed("mqlstream-sales", "topic", getattr(topics, topic.key))
        assert rights == {"handoff": {"Read", "Describe"}, "feedback": {"Write", "Describe"}}.get(topic.key, set()), topic.key


def test_the_workers_settings_are_settings_there_are(tmp_path):
    environment = VALUES | {"MQLSTREAM_HTTP_ADVERTISE": VALUES["MQLSTREAM_HTTP_ADVERTISE"].replace("$(POD_IP)", "10.0.0.7")}
    for secret, key in (("MQLSTREAM_SASL_PLAIN_PASSWORD_FILE", "password"), ("MQLSTREAM_HTTP_TOKEN_FILE", "token")):
        (tmp_path / key).write_text("x" * 64)
        assert environment[secret].endswith(f"/{key}")
        environment[secret] = str(tmp_path / key)
    settings = load(None, environment)
    assert settings.kafka.sasl_mechanism == "SCRAM-SHA-512"
    assert settings.http_url == f"http://10.0.0.7:{WORKER['ports'][0]['containerPort']}"


def test_the_image_is_of_this_version():
    assert WORKER["image"] == f"mqlstream:{__version__}"


def test_every_path_in_a_setting_is_mounted():
    mounted = tuple(mount["mountPath"] for mount in WORKER["volumeMounts"])
    for name, value in VALUES.items():
        assert not value.startswith("/") or value.startswith(mounted), name
    assert {mount["name"] for mount in WORKER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}


def test_the_worker_is_asked_at_pages_it_has_on_the_port_it_opens():
    ports = {port["name"]: port["containerPort"] for port in WORKER["ports"]}
    for probe in ("livenessProbe", "readinessProbe"):
        asked = WORKER[probe]["httpGet"]
        assert asked["path"] in PAGES
        assert asked["port"] in ports
    service = documents("service.yaml")[0]["spec"]
    assert service["ports"][0]["port"] == ports[service["ports"][0]["targetPort"]]


def test_the_worker_may_drain_before_it_is_killed():
    assert POD["terminationGracePeriodSeconds"] > DRAIN_SECONDS


def test_the_worker_has_no_more_rights_on_its_node_than_it_needs():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    assert WORKER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_service_and_budget_select_the_workers():
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    assert DEPLOYMENT["selector"]["matchLabels"] == labels
    assert documents("service.yaml")[0]["spec"]["selector"] == labels
    assert documents("disruption-budget.yaml")[0]["spec"]["selector"]["matchLabels"] == labels


def test_kustomize_takes_every_manifest():
    resources = set(documents("kustomization.yaml")[0]["resources"])
    assert resources == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
