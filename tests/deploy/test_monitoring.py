"""Alerts and dashboards: they are well formed, alert when they should, and ask only for what a worker exposes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from mqlstream import metrics
from tests.deploy import expressions

PROMETHEUS = expressions.DEPLOY / "prometheus"
TESTS = sorted(PROMETHEUS.glob("*_test.yaml"))
ALERTS = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_alert_rules_and_the_scrape_configuration_are_valid(promtool: str):
    for check in (
        ("check", "rules", str(PROMETHEUS / "alerts.yaml")),
        ("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml")),
    ):
        result = run(promtool, *check)
        assert result.returncode == 0, result.stdout + result.stderr


def test_alerts_fire_when_they_should_and_keep_quiet_otherwise(promtool: str):
    result = run(promtool, "test", "rules", *TESTS)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_is_seen_firing_and_keeping_quiet():
    cases = [case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"]]
    for alert in ALERTS:
        outcomes = {bool(case.get("exp_alerts")) for case in cases if case["alertname"] == alert["alert"]}
        assert outcomes == {True, False}, alert["alert"]


def test_every_alert_has_its_runbook_and_every_runbook_its_alert():
    named = {alert["annotations"]["runbook"] for alert in ALERTS}
    there = {f"deploy/runbooks/{path.name}" for path in (expressions.DEPLOY / "runbooks").glob("*.md")}
    assert named == there
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("page", "ticket")
        assert alert["alert"] in (expressions.DEPLOY.parent / alert["annotations"]["runbook"]).read_text()


def test_alerts_and_dashboards_ask_only_for_metrics_and_labels_that_exist():
    assert expressions.used() <= expressions.exposed(generate_latest(metrics.REGISTRY).decode())
    own = [metric for metric in vars(metrics).values() if hasattr(metric, "_labelnames")]
    assert expressions.labels_used() <= {label for metric in own for label in metric._labelnames}


def test_every_metric_of_our_own_is_on_the_dashboard():
    shown = {name for expression in expressions.expressions() if ".json" in expression.where for name in expressions.names(expression.text)}
    own = {metric.describe()[0].name for metric in vars(metrics).values() if hasattr(metric, "_labelnames")}
    assert {name for name in own if not any(text.startswith(name) for text in shown)} == set()


def test_every_expression_of_the_dashboards_is_promql(promtool: str, tmp_path: Path):
    rules = [
        {"record": f"expression:{number}", "expr": expression.text}
        for number, expression in enumerate(expressions.expressions())
        if ".json" in expression.where
    ]
    assert rules
    path = tmp_path / "rules.yaml"
    path.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))
    result = run(promtool, "check", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("expression", "names", "labels"),
    [
        ("up", {"up"}, set()),
        ('sum by (stage) (rate(a_total{x="1", y!~"b{c}d"}[5m])) > 0', {"a_total"}, {"stage", "x", "y"}),
        ("histogram_quantile(0.99, sum by (le, q) (rate(h_bucket[1m]))) or vector(0)", {"h_bucket"}, {"le", "q"}),
        ("a offset 1h unless on (x) b and c:d", {"a", "b", "c:d"}, {"x"}),
        ("delta((sum by (s) (lag))[15m:1m]) > 1e3", {"lag"}, {"s"}),
        ('absent(up{job="m"}) == 0', {"up"}, {"job"}),
    ],
)
def test_names_and_labels_are_read_out_of_expressions(expression: str, names: set[str], labels: set[str]):
    assert expressions.names(expression) == names
    assert expressions.labels(expression) == labels


def test_a_metric_without_samples_counts_as_exposed():
    text = "# HELP a_total x\n# TYPE a_total counter\n# HELP h x\n# TYPE h histogram\n# HELP g x\n# TYPE g gauge\ng 1\n"
    assert expressions.exposed(text) == {"a_total", "h_bucket", "h_count", "h_sum", "g"}
