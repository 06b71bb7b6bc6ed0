"""Counters in shared memory: one slot per worker, written by that worker alone and read by all.

A cell is an aligned 64-bit integer, so a reader sees an old or a new value and never half of one. Times are whole
microseconds.

Rule 1: a slot has one writer at a time. The parent hands slots out, and hands one on only after its worker's end.
Rule 2: handing on keeps counters and clears gauges: what a dead worker had counted happened, what it was busy with
is over.
"""

import mmap
import os
from bisect import bisect_left
from typing import Self

from authsvc.metrics.catalogue import METRICS, Cells, Kind, Metric

CELL_BYTES = 8
MICROSECONDS = 1_000_000


class Slot:
    """What one worker counts, with the method names of prometheus_client."""

    def __init__(self, cells: memoryview, places: Cells) -> None:
        """Count into ``cells``."""
        self._cells = cells
        self._places = places

    def inc(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Increase a counter or gauge; a gauge may also be decreased."""
        self._cells[self._places.of(metric, *labels)] += by

    def set(self, metric: Metric, value: int, *labels: str) -> None:
        """Set a gauge."""
        self._cells[self._places.of(metric, *labels)] = value

    def observe(self, metric: Metric, seconds: float) -> None:
        """Add one measured time to a histogram."""
        first = self._places.of(metric)
        self._cells[first + bisect_left(metric.buckets, seconds)] += 1
        self._cells[first + metric.width - 1] += max(0, int(seconds * MICROSECONDS))

    def clear_gauges(self) -> None:
        """Clear what the last worker in this slot was doing."""
        for metric in METRICS:
            if metric.kind in {Kind.GAUGE, Kind.LARGEST, Kind.SOONEST}:
                for labels in metric.series:
                    self.set(metric, 0, *labels)


class SharedMetrics:
    """The slots of all workers of one server."""

    def __init__(self, descriptor: int, places: Cells) -> None:
        """Open the memory behind a file descriptor, which stays the caller's."""
        self.descriptor = descriptor
        self._places = places
        self._memory = memoryview(mmap.mmap(descriptor, 0)).cast("Q")

    @classmethod
    def make(cls, slots: int) -> Self:
        """Return new memory, all zeros, that lives as long as a process has it open."""
        places = Cells()
        descriptor = os.memfd_create("authsvc-metrics", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, slots * places.count * CELL_BYTES)
        return cls(descriptor, places)

    def slot(self, number: int) -> Slot:
        """Return a slot to count into."""
        start = number * self._places.count
        return Slot(self._memory[start : start + self._places.count], self._places)

    def cells(self, metric: Metric, labels: tuple[str, ...]) -> list[list[int]]:
        """Return the cells of one series, slot by slot."""
        first, width = self._places.of(metric, *labels), metric.width
        starts = range(first, len(self._memory), self._places.count)
        return [self._memory[start : start + width].tolist() for start in starts]
