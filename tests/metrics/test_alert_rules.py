"""Prometheus' own promtool reads the alert rules, and each fires on what it is for and on nothing else."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from prometheus_client.parser import text_string_to_metric_families

from authsvc.metrics import catalogue as c
from authsvc.metrics.exposition import exposition
from authsvc.metrics.metric import Metric
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from tests.support.monitoring import ALERTS, panels, rules

pytestmark = pytest.mark.system

PROMTOOL = Path(__file__).parents[2] / ".cache/trixie/promtool/usr/bin/promtool"
LENGTH = 180
"""Minutes of each test, which begin at 1970; the clock of a rule is theirs."""

DAY = 86400


def promtool(*arguments: str) -> str:
    """Run it and return what it says."""
    assert PROMTOOL.is_file(), "promtool is not unpacked: make test-system does that"
    ran = subprocess.run((PROMTOOL, *arguments), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@frozen
class Course:
    """How one series goes, minute by minute.

    Attributes:
        name: of the metric.
        values: as promtool writes them.
        labels: as the rule's file writes them.
    """

    name: str
    values: str
    labels: str = ""


def at(metric: Metric, value: float, **labels: str) -> Course:
    """Return a series that stays as it is."""
    return Course(metric.name, f"{value}x{LENGTH}", written(labels))


def growing(metric: Metric, **labels: str) -> Course:
    """Return a counter to which 300 are added each minute."""
    return Course(metric.name, f"0+300x{LENGTH}", written(labels))


def written(labels: dict[str, str]) -> str:
    """Return labels in one order."""
    return ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))


FIRES: dict[str, tuple[Course, ...]] = {
    "AuthsvcLeafEnding": (at(c.LEAF_EXPIRY, 28000),),
    "AuthsvcTlsCertificate": (at(c.TLS_EXPIRY, 13 * DAY),),
    "AuthsvcPartDown": (at(c.PART_UP, 0, part="registry"),),
    "AuthsvcWorkersMissing": (Course(c.WORKERS.name, f"4x{LENGTH // 2} 3x{LENGTH // 2 - 2}"),),
    "AuthsvcImageDiskFull": (at(c.REGISTRY_DISK_FREE, 9),),
    "AuthsvcClockSkew": (at(c.CLOCK_SKEW, 3, part="registry"),),
    "AuthsvcTokenRootEnding": (at(c.TOKEN_ROOT_EXPIRY, 89 * DAY),),
    "AuthsvcTokensFail": (growing(c.TOKEN_REQUESTS, outcome="failed", reason="store"),),
    "AuthsvcRegistryEventsRefused": (growing(c.REGISTRY_NOTIFICATIONS, answer="unavailable"),),
    "AuthsvcRegistryEventsLost": (growing(c.REGISTRY_EVENTS, outcome="dropped"),),
    "AuthsvcWorkersDie": (growing(c.WORKER_DEATHS),),
    "AuthsvcKeyServiceUnavailable": (growing(c.KEY_OPERATIONS, operation="seal", outcome="unavailable"),),
    "AuthsvcRedisDiskFull": (at(c.STORE_DISK_FREE, 19),),
    "AuthsvcRedisMemoryFull": (at(c.STORE_MEMORY_USED, 81),),
    "AuthsvcAuditFull": (at(c.AUDIT_USED, 81),),
    "AuthsvcImagesNotCrawled": (at(c.IMAGES_CRAWLED, -2 * DAY),),
    "AuthsvcLinkedRegistryFails": (growing(c.PROXY_FAILURES, reason="upstream_refused"),),
    "AuthsvcWebhooksDropped": (growing(c.WEBHOOKS_DROPPED),),
    "AuthsvcLogLost": (growing(c.LOG_LOST),),
    "AuthsvcAuditLost": (growing(c.AUDIT_LOST, reason="budget"),),
    "AuthsvcSignInsSlow": (at(c.PASSWORDS_WAITING, 9, network="known"),),
    "AuthsvcPasswordsGuessed": (at(c.PASSWORDS_WAITING, 17, network="new"),),
    "AuthsvcThrottled": (growing(c.TOKEN_REQUESTS, outcome="refused", reason="throttled"),),
    "AuthsvcClientsUnclear": (at(c.UNCLEAR_CLIENTS, 1),),
}
"""What makes each rule fire, on a server that is well otherwise."""

ALSO: dict[str, tuple[Course, ...]] = {
    "AuthsvcTlsCertificate": (at(c.TLS_WRONG, 1),),
    "AuthsvcLinkedRegistryFails": (growing(c.PROXY_STALE),),
}
"""The other half of those that have two."""

QUIET: dict[str, tuple[Course, ...]] = {
    "leaf at two fifths": (at(c.LEAF_EXPIRY, 0.4 * DAY),),
    "a roll": (Course(c.WORKERS.name, f"4x{LENGTH // 2} 8 8 4x{LENGTH // 2 - 5}"),),
    "one with more pulls": (growing(c.TOKEN_REQUESTS, outcome="issued", reason="full"),),
    "refusals are no failures": (growing(c.TOKEN_REQUESTS, outcome="refused", reason="account"),),
    "a Redis without maxmemory": (at(c.STORE_MEMORY_LIMIT, 0), at(c.STORE_MEMORY_USED, 10**12)),
    "a disk that cannot be seen": (at(c.STORE_DISK_FREE, 0), at(c.STORE_DISK_SIZE, 0)),
    "images in a bucket": (at(c.REGISTRY_DISK_FREE, 0), at(c.REGISTRY_DISK_SIZE, 0)),
    "no registry to read": (at(c.IMAGES_CRAWLED, 0),),
    "what a linked registry lacks": (growing(c.PROXY_FAILURES, reason="upstream_not_found"),),
    "a key service that refuses": (growing(c.KEY_OPERATIONS, operation="seal", outcome="refused"),),
}
"""What is no reason to call anybody."""


def well(slot: Slot) -> None:
    """Set the gauges of a server that is well."""
    for metric, value in (
        *((c.WORKERS, 4), (c.WORKERS_TRACKING, 4), (c.LEAF_EXPIRY, DAY), (c.TLS_EXPIRY, 60 * DAY)),
        *((c.STORE_DISK_FREE, 50), (c.STORE_DISK_SIZE, 100), (c.STORE_MEMORY_USED, 50), (c.STORE_MEMORY_LIMIT, 100)),
        *((c.AUDIT_USED, 50), (c.AUDIT_BUDGET, 100), (c.WORKERS_WANTED, 4), (c.TOKEN_ROOT_EXPIRY, 3650 * DAY)),
        *((c.REGISTRY_DISK_FREE, 50), (c.REGISTRY_DISK_SIZE, 100)),
    ):
        slot.set(metric, value)
    for part in ("redis", "registry", "key-service"):
        slot.set(c.PART_UP, 2, part)


def everything(*changed: Course) -> list[dict[str, str]]:
    """Return every series that a server exposes, some of them changed."""
    shared = SharedMetrics.make(1, c.SlotLayout())
    well(shared.slot(0))
    series = {}
    for family in text_string_to_metric_families(exposition(shared, 0).decode()):
        for sample in family.samples:
            labels = written(sample.labels)
            series[sample.name, labels] = f"{sample.value}x{LENGTH}"
    for course in changed:
        assert (course.name, course.labels) in series, course
        series[course.name, course.labels] = course.values
    return [{"series": f"{name}{{{labels}}}", "values": values} for (name, labels), values in series.items()]


def firing(tmp_path: Path, series: list[dict[str, str]], *names: str) -> None:
    """Have promtool say that these alerts fire at the end, and no others."""
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0',
                "eval_time": f"{LENGTH - 5}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names],
            }
        ],
    }
    content = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "test.yml").write_text(json.dumps(content))  # JSON is YAML
    promtool("test", "rules", str(tmp_path / "test.yml"))


def test_promtool_reads_the_rules() -> None:
    """As Prometheus will."""
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


def test_every_rule_is_tried() -> None:
    """A new rule needs what makes it fire."""
    assert {rule.name for rule in rules()} == {*FIRES, "AuthsvcAbsent"}


@pytest.mark.parametrize("name", FIRES)
def test_a_rule_fires(tmp_path: Path, name: str) -> None:
    """It does, and it alone."""
    firing(tmp_path, everything(*FIRES[name]), name)


@pytest.mark.parametrize("name", ALSO)
def test_the_other_half_of_a_rule_fires(tmp_path: Path, name: str) -> None:
    """It does, and it alone."""
    firing(tmp_path, everything(*ALSO[name]), name)


def test_a_server_that_is_away(tmp_path: Path) -> None:
    """Nothing is scraped."""
    firing(tmp_path, [{"series": "up", "values": f"0x{LENGTH}"}], "AuthsvcAbsent")


@pytest.mark.parametrize("case", QUIET)
def test_nothing_fires(tmp_path: Path, case: str) -> None:
    """A server that is well calls nobody."""
    firing(tmp_path, everything(*QUIET[case]))


def test_promtool_reads_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    """With the variables of Grafana replaced, as Grafana does."""
    names = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    for variable, value in names.items():
        found = [expression.replace(variable, value) for expression in found]
    recorded = [{"record": f"a:{number}", "expr": expression} for number, expression in enumerate(found)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))

    assert f"SUCCESS: {len(recorded)} rules found" in promtool("check", "rules", str(tmp_path / "rules.yml"))
