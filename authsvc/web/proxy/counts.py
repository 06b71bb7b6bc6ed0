"""Counts the results of pulls of linked images."""

from authsvc.metrics import catalogue as metric
from authsvc.metrics.shared_metrics import Slot
from authsvc.spec.pull_path import PullKind
from authsvc.web.proxy.pull import PullStep


class PullCounts:
    """Counts into the slot of a worker."""

    def __init__(self, slot: Slot) -> None:
        """Count into ``slot``."""
        self._slot = slot

    def asked(self, kind: PullKind, step: str) -> None:
        """Count a request, or that nginx did not have what it asks for.

        Args:
            kind: what it asks for.
            step: at which nginx is; empty at the first.
        """
        if step == PullStep.FIRST:
            self._slot.inc(metric.PROXY_REQUESTS, kind.value)
        elif step in {PullStep.MANIFEST, PullStep.TARGET}:
            self._slot.inc(metric.PROXY_MISSES, kind.value)

    def stale(self) -> None:
        """Count a tag that was answered with its last known image."""
        self._slot.inc(metric.PROXY_STALE)

    def failed(self, reason: str) -> None:
        """Count a request that got nothing, by the code of the error."""
        self._slot.inc(metric.PROXY_FAILURES, reason)

    def answered(self, status: int | None) -> None:
        """Count the status that a linked registry has answered with; None when it gave no usable answer."""
        name = metric.NO_ANSWER if status is None else str(status)
        if name not in metric.UPSTREAM_STATUSES:
            name = f"{min(max(int(name) // 100, 2), 5)}xx"
        self._slot.inc(metric.PROXY_UPSTREAM_ANSWERS, name)
