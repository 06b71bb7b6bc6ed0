"""All metrics as text, in Prometheus' exposition format 0.0.4."""

import itertools
from collections.abc import Iterator

from attrs import frozen
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

from authsvc.metrics.metric import Kind, Metric
from authsvc.metrics.shared_metrics import MICROSECONDS, SharedMetrics

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(shared_metrics: SharedMetrics, now: float) -> bytes:
    """Return the sums over all slots at ``now``, a Unix time."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(shared_metrics, now))
    return generate_latest(registry)


@frozen
class _Sums(Collector):
    shared_metrics: SharedMetrics
    now: float

    @override
    def collect(self) -> Iterator[Family]:
        for metric in self.shared_metrics.layout.metrics:
            yield self._family(metric)

    def _family(self, metric: Metric) -> Family:
        if metric.kind is Kind.HISTOGRAM:
            return self._histogram(metric)
        kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        family: CounterMetricFamily | GaugeMetricFamily = kind(
            metric.name, metric.help, labels=[label.name for label in metric.labels]
        )
        for labels in metric.series:
            value = self.shared_metrics.value(metric, *labels)
            if metric.kind is Kind.STATE:
                if value:
                    family.add_metric(labels, value - 1)
            elif metric.kind is not Kind.SOONEST:
                family.add_metric(labels, value if metric.parts == 1 else value / metric.parts)
            elif value:
                family.add_metric(labels, value - self.now)
        return family

    def _histogram(self, metric: Metric) -> Family:
        family = HistogramMetricFamily(metric.name, metric.help, labels=[label.name for label in metric.labels])
        bounds = [*map(str, metric.buckets), "+Inf"]
        for labels in metric.series:
            *counts, total = (sum(column) for column in zip(*self.shared_metrics.cells(metric, labels), strict=True))
            buckets = list(zip(bounds, itertools.accumulate(counts), strict=True))
            family.add_metric(labels, buckets=buckets, sum_value=total / MICROSECONDS)
        return family
