"""The compose file, read as data: no container engine is needed, and none is asked."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from mqlstream.config import load
from tests.deploy.expressions import DEPLOY

COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("topics", "worker")


def mounts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(source, target, mode) of each volume of a service."""
    split = (entry.split(":") for entry in service.get("volumes", ()))
    return [(parts[0], parts[1], parts[2] if len(parts) > 2 else "rw") for parts in split]


def test_every_file_that_is_mounted_is_there_and_cannot_be_written_to():
    for name, service in SERVICES.items():
        for source, _, mode in mounts(service):
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
                assert mode == "ro", f"{name}: {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_services_wait_only_for_services_that_are_there_and_can_say_when_they_are_well():
    for name, service in SERVICES.items():
        waited = service.get("depends_on", {})
        for other in waited:
            assert other in SERVICES, f"{name}: {other}"
            if isinstance(waited, dict) and waited[other]["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name}: {other}"


def test_images_are_of_a_fixed_version():
    for service in SERVICES.values():
        assert "build" in service or re.search(r":v?\d+\.\d+", service["image"]), service["image"]


def test_nothing_is_opened_to_the_network():
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name}: {port}"


def test_no_secret_stands_in_the_file():
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            assert not re.search(r"(?i)password|secret|token", variable), f"{name}: {variable}"


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_our_services_are_settings_there_are(name: str):
    environment = SERVICES[name]["environment"]
    settings = load(None, environment)
    assert settings.kafka.bootstrap_servers == ("kafka:9092",)
    assert settings.replication_factor == 1, "there is one broker"


def test_the_worker_finds_its_definition_where_it_is_mounted():
    folder = SERVICES["worker"]["environment"]["MQLSTREAM_DEFINITIONS"]
    assert [target for _, target, _ in mounts(SERVICES["worker"]) if target.startswith(f"{folder}/")]


def test_the_worker_may_drain_before_it_is_killed():
    from mqlstream.app.shell import DRAIN_SECONDS

    assert float(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS


def test_prometheus_scrapes_the_workers_port_under_the_name_that_the_alerts_expect():
    job = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert job["job_name"] == "mqlstream"
    discovery = job["dns_sd_configs"][0]
    assert discovery["names"] == ["worker"]
    assert SERVICES["worker"]["expose"] == [str(discovery["port"])]


def test_grafana_reads_the_dashboards_from_where_they_are_mounted():
    targets = {target: source for source, target, _ in mounts(SERVICES["grafana"])}
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/mqlstream.yaml").read_text())["providers"][0]
    folder = provider["options"]["path"]
    assert list((DEPLOY / targets[folder]).glob("*.json"))
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DEPLOY / targets[folder] / home.removeprefix(f"{folder}/")).exists()
