"""docs/monitoring: the alert rules and the dashboard, and the expressions in them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

from authsvc.metrics.catalogue import METRICS
from authsvc.metrics.metric import Kind, Metric

FOLDER = Path(__file__).parents[2] / "docs/monitoring"
ALERTS, DASHBOARD = FOLDER / "alerts.yml", FOLDER / "dashboard.json"

_SELECTOR = re.compile(r"\b(authsvc_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"\b(?:by|without) \(([^)]*)\)")

EVERYWHERE = {"job", "instance", "le"}
"""Labels that Prometheus adds, and the one of a histogram's buckets."""


@frozen
class Rule:
    """An alert rule.

    Attributes:
        name: of the alert.
        expression: that fires.
        waits: for how long it must hold.
        severity: label.
        annotations: its texts.
    """

    name: str
    expression: str
    waits: str
    severity: str
    annotations: dict[str, str]


def rules() -> list[Rule]:
    """Return all rules, in their order."""
    groups: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [
        Rule(one["alert"], one["expr"], one.get("for", "0s"), one["labels"]["severity"], one["annotations"])
        for group in groups
        for one in group["rules"]
    ]


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return board


def panels() -> list[dict[str, Any]]:
    """Return its panels with graphs."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def wrong_in(expression: str) -> Iterator[str]:
    """Yield what an expression asks for that authsvc does not expose: a metric, a label or a value of a label."""
    used = {series: metric for metric in METRICS for series in series_of(metric)}
    labels: set[str] = set(EVERYWHERE)
    for name, matchers in _SELECTOR.findall(expression):
        metric = used.get(name)
        if metric is None:
            yield name
            continue
        values = {label.name: label.values for label in metric.labels}
        labels.update(values)
        for label, _, value in _MATCHER.findall(matchers):
            if label in EVERYWHERE:
                continue
            if label not in values:
                yield f"{name}: {label}"
            else:
                yield from (f"{name}: {label}={one}" for one in value.split("|") if one not in values[label])
    for names in _BY.findall(expression):
        yield from (one.strip() for one in names.split(",") if one.strip() not in labels)


def series_of(metric: Metric) -> tuple[str, ...]:
    """Return the names under which a metric is exposed."""
    if metric.kind is Kind.HISTOGRAM:
        return tuple(f"{metric.name}_{part}" for part in ("bucket", "sum", "count"))
    return (metric.name,)
