"""Alert rules and dashboard ask for what authsvc exposes, and each row of docs/metrics.md has its rule."""

import re
from datetime import timedelta

import pytest

from authsvc.cli import status_parts
from authsvc.metrics.catalogue import METRICS
from authsvc.tls import verdict
from tests.metrics.test_documented import PAGE
from tests.support.monitoring import DASHBOARD, dashboard, panels, rules, series_of, wrong_in

STATUS: dict[str, timedelta | float] = {
    "AuthsvcTlsCertificate": verdict.SOON,
    "AuthsvcTokenRootEnding": status_parts.ROOT_WARNING,
    "AuthsvcClockSkew": status_parts.CLOCK_WARNING,
    "AuthsvcAuditFull": status_parts.AUDIT_WARNING,
    "AuthsvcImagesNotCrawled": status_parts.CRAWL_WARNING,
}
"""From which value on `authsvc status` warns of what a rule is for."""


def alarms() -> list[tuple[str, str]]:
    """Return name and condition of each row of the page."""
    body = PAGE.read_text(encoding="utf-8").partition("## What to alarm on\n")[2]
    rows = re.findall(r"^\| (Authsvc\w+) \| (.*) \| .* \|$", body, re.MULTILINE)
    return [(name, when.replace("\\|", "|")) for name, when in rows]


def test_each_row_has_its_rule() -> None:
    """In the same order, with the expressions and the thresholds of the page."""
    found = rules()
    assert [name for name, _ in alarms()] == [rule.name for rule in found]
    for (name, when), rule in zip(alarms(), found, strict=True):
        expressions, thresholds = re.findall(r"`([^`]+)`", when), re.findall(r"\b(?:above|below) ([0-9.]+)", when)
        assert expressions, name
        for text in (*expressions, *thresholds):
            assert text in rule.expression, name
        assert ("for minutes" not in when) or rule.waits != "0s", name


def test_rules_ask_for_what_there_is() -> None:
    """Each metric, label and value exists, in the texts too."""
    for rule in rules():
        assert [] == list(wrong_in(rule.expression)), rule.name
        asked = set(re.findall(r"\$labels\.(\w+)", str(rule.annotations)))
        known = {label.name for metric in METRICS if metric.name in rule.expression for label in metric.labels}
        assert asked <= known, rule.name


@pytest.mark.parametrize("name", STATUS)
def test_status_warns_where_a_rule_fires(name: str) -> None:
    """Otherwise a person who is called finds nothing wrong, or a warning calls nobody."""
    (rule,) = [rule for rule in rules() if rule.name == name]
    limit = STATUS[name]
    value = limit.total_seconds() if isinstance(limit, timedelta) else limit
    first = re.search(r"[<>] ([0-9.]+)", rule.expression)
    assert first is not None
    assert float(first[1]) == value


def test_certificates_end_soon_by_one_measure() -> None:
    """That of clients, which the server judges, and a leaf that a person renews."""
    assert verdict.SOON == status_parts.CERTIFICATE_WARNING


def test_each_rule_says_what_to_do() -> None:
    """Who is called gets a line and a text, and knows how urgent it is."""
    for rule in rules():
        assert {"summary", "description"} == set(rule.annotations), rule.name
        assert rule.severity in {"critical", "warning"}
        assert len(rule.annotations["summary"]) < 100


def test_the_dashboard_asks_for_what_there_is() -> None:
    """Each metric, label and value exists, and only servers that were chosen are shown."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            assert [] == list(wrong_in(expression)), panel["title"]
            assert all(rest.startswith('{job=~"$job",instance=~"$instance"') for rest in selectors(expression))
            by = {one for names in re.findall(r"by \(([^)]*)\)", expression) for one in names.split(", ")}
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= by, panel["title"]


def selectors(expression: str) -> list[str]:
    """Return what follows each name of a metric."""
    return re.split(r"authsvc_\w+", expression)[1:]


def test_every_metric_is_on_the_dashboard() -> None:
    """A new one is thought about."""
    text = DASHBOARD.read_text(encoding="utf-8")
    assert [] == [metric.name for metric in METRICS if not any(name in text for name in series_of(metric))]


def test_panels_have_places() -> None:
    """No two overlap, each has a number of its own, and no source of data is somebody's own."""
    board = dashboard()
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    numbers = [panel["id"] for panel in board["panels"]]

    assert (len(cells), len(numbers)) == (len(set(cells)), len(set(numbers)))
    assert {"${datasource}"} == set(re.findall(r'"uid": "([^"]*)"', DASHBOARD.read_text())) - {board["uid"]}


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("authsvc_nothing > 0", ["authsvc_nothing"]),
        ('rate(authsvc_token_requests_total{outcom="failed"}[5m])', ["authsvc_token_requests_total: outcom"]),
        ('authsvc_token_requests_total{outcome=~"failed|lost"}', ["authsvc_token_requests_total: outcome=lost"]),
        ("sum by (result) (authsvc_token_requests_total)", ["result"]),
        ("authsvc_token_request_seconds", ["authsvc_token_request_seconds"]),
    ],
)
def test_a_wrong_expression_is_found(expression: str, wrong: list[str]) -> None:
    """A misspelt name would make a rule that never fires."""
    assert wrong == list(wrong_in(expression))
