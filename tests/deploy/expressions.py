"""What the alerts and dashboards ask Prometheus for, and what a worker exposes: the two sides that must fit.

`used()` and `labels_used()` read every expression under deploy/; `exposed(text)` reads what `/metrics` answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

# Prometheus itself makes these.
OF_PROMETHEUS = frozenset({"up"})
LABELS_OF_PROMETHEUS = frozenset({"instance", "job", "le"})

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_MATCHERS = re.compile(r"\{([^}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w.:])[A-Za-z_:][\w:]*(?!\s*\()\b(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "offset", "bool", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan"})


class Expression(NamedTuple):
    """One PromQL expression and where it stands."""

    where: str
    text: str


def expressions() -> list[Expression]:
    """Every expression of every alert and every dashboard, Grafana's variables replaced by plain values."""
    found = list(_alerts())
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        found += [Expression(f"{path.name}: {title}", _plain(text)) for title, text in _panels(dashboard["panels"])]
        found += [Expression(f"{path.name}: ${name}", text) for name, text in _variables(dashboard["templating"]["list"])]
    return found


def names(expression: str) -> frozenset[str]:
    """The metrics that an expression reads."""
    bare = _GROUPING.sub(" ", _RANGE.sub(" ", _MATCHERS.sub(" ", _TEXT.sub('""', expression))))
    return frozenset(name for name in _NAME.findall(bare) if name.lower() not in _WORDS)


def labels(expression: str) -> frozenset[str]:
    """The labels that an expression matches or groups by."""
    bare = _TEXT.sub('""', expression)
    matched = [re.split(r"[!=]", matcher)[0] for group in _MATCHERS.findall(bare) for matcher in group.split(",")]
    grouped = [name for group in _GROUPING.findall(bare) for name in group.split(",")]
    return frozenset(name.strip() for name in [*matched, *grouped] if name.strip())


def used() -> frozenset[str]:
    """All metrics that alerts and dashboards read, without Prometheus' own."""
    return frozenset().union(*(names(expression.text) for expression in expressions())) - OF_PROMETHEUS


def labels_used() -> frozenset[str]:
    """All labels that alerts and dashboards match or group by, without Prometheus' own."""
    return frozenset().union(*(labels(expression.text) for expression in expressions())) - LABELS_OF_PROMETHEUS


def exposed(text: str) -> frozenset[str]:
    """The metrics that a `/metrics` answer can have samples of, those without a sample so far included."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "summary": ("", "_count", "_sum")}
    families = text_string_to_metric_families(text)
    return frozenset(family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",)))


def _alerts() -> Iterator[Expression]:
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield Expression(f"alert {rule['alert']}", rule["expr"])


def _panels(panels: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for panel in panels:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))
        yield from _panels(panel.get("panels", []))


def _variables(variables: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for variable in variables:
        if variable["type"] == "query":
            # label_values(metric, label): Grafana's own function, not Prometheus'.
            matched = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])
            assert matched is not None, variable
            yield variable["name"], matched[1]


def _plain(expression: str) -> str:
    return expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$definition", ".*")
