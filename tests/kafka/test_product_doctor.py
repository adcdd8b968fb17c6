"""`mqlstream doctor` on a real broker: what only one can tell. Rights are those of a broker with an authoriser, of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.kafka.broker import KafkaServer
from tests.kafka.installation import DEFINITIONS, Installation, free_port

pytestmark = pytest.mark.kafka

MANIFEST = Path(__file__).parents[2] / "deploy" / "kubernetes" / "user.yaml"
USERS = {"mqlstream": "worker-secret", "nobody": "nobody-secret"}
# Whoever comes without a name may do everything: the broker itself, and the test. Users log in at a listener of their own, and a third
# one announces an address at which nobody listens.
GUARDED = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},USERS://127.0.0.1:<USERS>,LOST://127.0.0.1:<LOST>
advertised.listeners=PLAINTEXT://127.0.0.1:{port},USERS://127.0.0.1:<USERS>,LOST://127.0.0.1:<NOBODY>
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,USERS:SASL_PLAINTEXT,LOST:PLAINTEXT
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=PLAIN
listener.name.users.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required <LOGINS>;
"""
RESOURCES = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP, "transactionalId": ResourceType.TRANSACTIONAL_ID}
OPERATIONS = {"Read": AclOperation.READ, "Write": AclOperation.WRITE, "Describe": AclOperation.DESCRIBE}


class Guarded:
    """A broker that checks rights. `doctor` is asked as one of `USERS`, with the manifest's names of topics and groups."""

    def __init__(self, server: KafkaServer, ports: Mapping[str, int], folder: Path) -> None:
        self.admin = AdminClient({"bootstrap.servers": server.bootstrap})
        self.ports = ports
        own = {"MQLSTREAM_APP_ID": "mqlstream", "MQLSTREAM_TOPIC_PREFIX": "mql."}
        self.installation = Installation(server.bootstrap, folder, [DEFINITIONS / "steady.yaml"], own)
        self.installation.apply_topics()

    def allow(self, rules: Sequence[AclBinding]) -> None:
        for done in self.admin.create_acls(list(rules)).values():
            done.result()

    def forbid(self, rules: Sequence[AclBinding]) -> None:
        for done in self.admin.delete_acls([_filter(rule) for rule in rules]).values():
            done.result()

    def doctor(self, user: str) -> dict[str, list[dict[str, Any]]]:
        login = {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_PLAIN_USERNAME": user, "SASL_PLAIN_PASSWORD": USERS[user]}
        more = {f"MQLSTREAM_{name}": value for name, value in login.items()}
        return checks(self.installation, MQLSTREAM_BOOTSTRAP_SERVERS=f"127.0.0.1:{self.ports['USERS']}", **more)


def checks(installation: Installation, **more: str) -> dict[str, list[dict[str, Any]]]:
    """The doctor's checks by their names."""
    done = installation.command("doctor", "--format", "json", **more)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(done.stdout):
        found.setdefault(check["check"], []).append(check)
    return found


def manifest_rules(user: str) -> list[AclBinding]:
    """The rights that the manifest gives to the workers, for this user."""
    manifest = next(each for each in yaml.safe_load_all(MANIFEST.read_text()) if each["metadata"]["name"] == "mqlstream")
    return [
        AclBinding(
            RESOURCES[rule["resource"]["type"]],
            rule["resource"]["name"],
            ResourcePatternType.PREFIXED if rule["resource"].get("patternType") == "prefix" else ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )
        for rule in manifest["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    ]


def _filter(rule: AclBinding) -> Any:
    return AclBindingFilter(
        rule.restype, rule.name, rule.resource_pattern_type, rule.principal, rule.host, rule.operation, rule.permission_type
    )


@pytest.fixture(scope="module")
def guarded(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Needs what ``kafka`` needs, and is skipped with it."""
    ports = {name: free_port() for name in ("USERS", "LOST", "NOBODY")}
    logins = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    properties = GUARDED.replace("<LOGINS>", logins)
    for name, port in ports.items():
        properties = properties.replace(f"<{name}>", str(port))
    with KafkaServer(tmp_path_factory.mktemp("guarded"), properties) as server:
        yield Guarded(server, ports, tmp_path_factory.mktemp("installation"))


def test_the_rights_of_the_manifest_are_all_that_a_worker_needs_and_one_that_is_taken_away_is_named(guarded: Guarded) -> None:
    rules = manifest_rules("mqlstream")
    guarded.allow(rules)
    found = guarded.doctor("mqlstream")
    assert [check["status"] for check in found["authorisation"]] == ["ok", "ok", "ok"], found
    assert not [check for of_name in found.values() for check in of_name if check["status"] == "problem"]
    settings = found["topics"][1]
    assert (settings["status"], settings["found"].startswith("their settings cannot be read")) == ("not checked", True)
    taken = [rule for rule in rules if rule.name == "mql.handoff.v1" and rule.operation == AclOperation.WRITE]
    taken += [rule for rule in rules if rule.restype in (ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID)]
    guarded.forbid(taken)
    lacking = guarded.doctor("mqlstream")["authorisation"]
    assert [(check["status"], check["about"], check["found"]) for check in lacking] == [
        ("problem", "mql.handoff.v1", "no right to Write"),
        ("problem", "mqlstream-ingest-*, mqlstream-identify-*, mqlstream-score-* and 1 more", "no right to Write"),
        ("problem", "mqlstream-ingest, mqlstream-identify, mqlstream-score and 2 more", "no right to Read"),
    ]
    assert "--add --allow-principal User:mqlstream --operation Write --topic mql.handoff.v1" in lacking[0]["mend"]


def test_a_principal_without_rights_sees_nothing_and_is_told_so_rather_than_that_topics_are_missing(guarded: Guarded) -> None:
    before = set(guarded.admin.list_topics(timeout=30).topics)
    found = guarded.doctor("nobody")
    assert [check["status"] for check in found["authorisation"]] == ["problem", "problem", "problem"]
    assert "may not see them" in found["authorisation"][0]["found"]
    assert all(check["found"] != "missing" for check in found["topics"])
    (clock,) = found["clock"]
    assert (clock["status"], clock["found"]) == ("not checked", "the principal has no right to Describe the cluster")
    assert set(guarded.admin.list_topics(timeout=30).topics) == before, "nothing is created by looking"


def test_a_broker_that_announces_an_address_which_nobody_reaches_is_told_as_that(guarded: Guarded) -> None:
    done = guarded.installation.command("doctor", "--format", "json", MQLSTREAM_BOOTSTRAP_SERVERS=f"127.0.0.1:{guarded.ports['LOST']}")
    assert done.returncode == 3
    (check,) = [check for check in json.loads(done.stdout) if check["check"] == "broker"]
    assert (check["status"], check["about"]) == ("problem", f"127.0.0.1:{guarded.ports['NOBODY']}")
    assert check["mend"] == "set the broker's advertised.listeners"


async def test_an_installation_at_work_is_well_and_what_is_wrong_with_its_topics_is_found(kafka: str, tmp_path: Path) -> None:
    installation = Installation(kafka, tmp_path, [DEFINITIONS / "steady.yaml"])
    try:
        found = checks(installation)
        assert [(check["status"], check["found"], check["mend"]) for check in found["topics"]] == [
            ("problem", "missing", "mqlstream topics apply")
        ]
        installation.apply_topics()
        worker = installation.worker("one")
        await worker.ready()
        found = checks(installation, MQLSTREAM_HTTP_BIND=worker.url.removeprefix("http://"))
        wrong = [check for of_name in found.values() for check in of_name if check["status"] in ("problem", "warning")]
        assert not wrong
        assert found["authorisation"][0]["found"].startswith("not checked: the broker has no authoriser")
        assert any(check["about"] == worker.url and check["found"] == "ready" for check in found["workers"])
        assert any(check["found"].startswith("1 member, ") for check in found["workers"])
        assert {check["about"] for check in found["clock"]} == {"the cluster's clock", "the workers' clocks"}
        found = checks(installation, MQLSTREAM_PARTITIONS="7")
        told = [(check["status"], check["found"], check["expected"]) for check in found["topics"]]
        assert ("problem", "4 partitions", "7 (MQLSTREAM_PARTITIONS)") in told
        assert ("problem", "4 partitions", "7 for the role insights") in told
    finally:
        installation.clear_away()
