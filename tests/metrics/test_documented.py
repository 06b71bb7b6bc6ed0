"""docs/metrics.md lists the metrics that there are, and no others."""

import re
from pathlib import Path

from authsvc.metrics.catalogue import AUDIT_LOSSES, METRICS
from authsvc.metrics.metric import Kind
from authsvc.outcomes import LABELS

PAGE = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
TYPES = dict.fromkeys(Kind, "gauge") | {Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without code marks."""
    body = PAGE.read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]


def test_metrics_are_those_of_the_code() -> None:
    """Names, types and labels agree, in both directions."""
    written = {(name, kind, labels) for name, kind, labels, _ in rows("All metrics")}
    assert {(m.name, TYPES[m.kind], ", ".join(label.name for label in m.labels) or "-") for m in METRICS} == written


def test_outcomes_are_those_of_the_code() -> None:
    """Each outcome with its reason stands there, and no other."""
    assert list(LABELS) == [(outcome, reason) for outcome, reason, _ in rows("Token requests")]


def test_losses_are_those_of_the_code() -> None:
    """Each reason for which a decision is in no entry stands there, and no other."""
    assert list(AUDIT_LOSSES) == [reason for reason, _ in rows("Lost decisions")]


def test_no_alarm_on_what_is_not_there() -> None:
    """Every name on the page is one of a metric."""
    named = set(re.findall(r"authsvc_[a-z0-9_]+", PAGE.read_text(encoding="utf-8")))
    assert {metric.name for metric in METRICS} == named
