"""Counters in shared memory: one slot per worker, written only by that worker and read by all.

A cell is an aligned 64-bit integer, so a reader sees an old or a new value and never half of one. Times are whole
microseconds. The memory has no name and no file, so that a full disk cannot end a worker that counts
(docs/decisions/0020-metrics-in-shared-memory.md).

Rule 1: a slot has one writer at a time. The parent hands slots out, and hands one on only after its worker's end.
Rule 2: handing on keeps counters and clears gauges: what a dead worker had counted happened, what it was busy with
is over.
Rule 3: counting never fails a request. A value of a series that is not declared is counted as lost.
"""

import mmap
import os
from bisect import bisect_left
from typing import Self

from authsvc.metrics.catalogue import METRICS_LOST, SlotLayout
from authsvc.metrics.metric import Kind, Metric

CELL_BYTES = 8
MICROSECONDS = 1_000_000


class Slot:
    """What one worker counts, with the method names of prometheus_client."""

    def __init__(self, cells: memoryview, layout: SlotLayout) -> None:
        """Count into ``cells``."""
        self._cells = cells
        self._layout = layout
        self._starts = layout.starts

    def inc(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Increase a counter or gauge; a gauge may also be decreased."""
        start = self._start(metric, labels)
        if start is not None:
            self._cells[start] += by

    def set(self, metric: Metric, value: int, *labels: str) -> None:
        """Set a gauge."""
        start = self._start(metric, labels)
        if start is not None:
            self._cells[start] = value

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add one measured time to a histogram."""
        start = self._start(metric, labels)
        if start is not None:
            self._cells[start + bisect_left(metric.buckets, seconds)] += 1
            self._cells[start + metric.width - 1] += max(0, int(seconds * MICROSECONDS))

    def clear_gauges(self) -> None:
        """Clear what the last worker in this slot was doing."""
        for metric in self._layout.metrics:
            if metric.kind in {Kind.GAUGE, Kind.LARGEST, Kind.SOONEST, Kind.STATE}:
                for labels in metric.series:
                    self.set(metric, 0, *labels)

    def _start(self, metric: Metric, labels: tuple[str, ...]) -> int | None:
        """Return the index of the first cell of a series; count the value as lost if the series is not declared."""
        start = self._starts.get((metric.name, labels))
        if start is not None:
            return start
        start = self._layout.start(metric, labels)
        if start is None and metric != METRICS_LOST:
            self.inc(METRICS_LOST)
        return start


class SharedMetrics:
    """The slots of all workers of one server."""

    def __init__(self, descriptor: int, layout: SlotLayout) -> None:
        """Open the memory behind a file descriptor, which still belongs to the caller."""
        self.descriptor = descriptor
        self.layout = layout
        self._memory = memoryview(mmap.mmap(descriptor, 0)).cast("q")

    @classmethod
    def make(cls, slots: int, layout: SlotLayout) -> Self:
        """Return new memory, all zeros, that lives as long as a process has it open."""
        descriptor = os.memfd_create("authsvc-metrics", os.MFD_CLOEXEC)
        os.posix_fallocate(descriptor, 0, slots * layout.size * CELL_BYTES)  # a lack of memory fails here, not later
        return cls(descriptor, layout)

    def slot(self, number: int) -> Slot:
        """Return a slot to count into."""
        start = number * self.layout.size
        return Slot(self._memory[start : start + self.layout.size], self.layout)

    def value(self, metric: Metric, *labels: str) -> int:
        """Return what all workers together say of one declared series of a counter or gauge.

        Of a :attr:`Kind.SOONEST` it is the instant, or 0 when there is none.
        """
        values = [cells[0] for cells in self.cells(metric, labels)]
        if metric.kind is Kind.SOONEST:
            return min(filter(None, values), default=0)
        return max(values) if metric.kind in {Kind.LARGEST, Kind.STATE} else sum(values)

    def cells(self, metric: Metric, labels: tuple[str, ...]) -> list[list[int]]:
        """Return the cells of one declared series, slot by slot."""
        first, width = self.layout.starts[metric.name, labels], metric.width
        starts = range(first, len(self._memory), self.layout.size)
        return [self._memory[start : start + width].tolist() for start in starts]
