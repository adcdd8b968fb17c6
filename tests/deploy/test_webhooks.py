"""The component that opens the door for webhooks, read as data, against the settings it makes and the workers it is put on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mqlstream.config import load
from mqlstream.doors.webhooks import webhooks_of
from tests.deploy.expressions import DEPLOY

FOLDER = DEPLOY / "kubernetes" / "webhooks"


def document(name: str, folder: Path = FOLDER) -> Any:
    return next(yaml.safe_load_all((folder / name).read_text()))


WORKER = document("deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
BASE = document("deployment.yaml", DEPLOY / "kubernetes")
ENVIRONMENT = {entry["name"]: entry["value"] for entry in WORKER["env"]}


def test_the_settings_open_a_door_with_the_secrets_as_they_are_mounted(tmp_path: Path) -> None:
    (mount,) = WORKER["volumeMounts"]
    assert ENVIRONMENT["MQLSTREAM_INGEST_WEBHOOK_SECRETS_FILE"] == mount["mountPath"]
    # A Secret is mounted so: the files are links into a folder that is swapped when it changes.
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "..2026" / "acme.forms.v1").write_text("a-secret-of-nobody-s\n")
    (tmp_path / "acme.forms.v1").symlink_to("..data/acme.forms.v1")
    settings = load(None, {**ENVIRONMENT, "MQLSTREAM_INGEST_WEBHOOK_SECRETS_FILE": str(tmp_path)})
    assert settings.ingest.webhook_secrets == {"acme.forms.v1": "a-secret-of-nobody-s"}
    assert {topic: verifier.scheme.name for topic, verifier in webhooks_of(settings).items()} == {"acme.forms.v1": "typeform"}
    assert settings.ingest.bind == f"0.0.0.0:{WORKER['ports'][0]['containerPort']}"


def test_it_fits_the_workers_it_is_put_on() -> None:
    worker = BASE["spec"]["template"]["spec"]["containers"][0]
    assert BASE["metadata"]["name"] == document("deployment.yaml")["metadata"]["name"]
    assert worker["name"] == WORKER["name"]
    assert not {port["containerPort"] for port in worker["ports"]} & {port["containerPort"] for port in WORKER["ports"]}
    service = document("service.yaml")["spec"]
    assert service["selector"] == BASE["spec"]["selector"]["matchLabels"]
    assert [port["targetPort"] for port in service["ports"]] == [port["name"] for port in WORKER["ports"]]


def test_the_workers_may_read_and_write_the_sources_topics() -> None:
    rights = {patch["value"]["resource"]["name"]: patch["value"]["operations"] for patch in document("user.yaml")}
    assert rights == {"acme.forms.v1": ["Read", "Write", "Describe"]}


def test_kustomize_takes_every_manifest() -> None:
    component = document("kustomization.yaml")
    named = {*component["resources"], *(patch["path"] for patch in component["patches"])}
    assert named == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
