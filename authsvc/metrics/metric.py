"""The declaration of a metric: its kind, and its possible series."""

import enum
import itertools

from attrs import Factory, frozen


class Kind(enum.Enum):
    """How a metric is kept and added up."""

    COUNTER = "counter"
    GAUGE = "gauge"
    """Adds up over the living workers."""
    LARGEST = "gauge of what all workers look at, each when it can"
    SOONEST = "gauge of seconds until the first of several instants"
    STATE = "gauge of 1 for yes and 0 for no, kept as 2 and 1; without a series while nobody looks"
    HISTOGRAM = "histogram"


OTHER = "other"
"""A label value for all values that are not declared."""


@frozen
class Label:
    """One label of a metric. Its values are declared, so that no client and no tenant can add a series.

    Attributes:
        name: as exposed.
        values: all possible values. If :data:`OTHER` is one, it is used for all values that are not declared.
    """

    name: str
    values: tuple[str, ...]

    def declared(self, value: str) -> str:
        """Return the declared value that ``value`` counts as; itself if there is none."""
        return OTHER if value not in self.values and OTHER in self.values else value


@frozen
class Metric:
    """One metric.

    Attributes:
        name: as exposed; a counter's ends with ``_total``.
        kind: how it is stored and summed.
        help: one sentence.
        labels: its labels, in the order in which their values are passed.
        series: the label values of each series that it can have: every combination, unless listed.
        buckets: upper bounds of a histogram's buckets in seconds, without the last, infinite one.
        parts: how many of what a cell counts make one of what is exposed: 1,000,000 for microseconds as seconds.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    series: tuple[tuple[str, ...], ...] = Factory(
        lambda self: tuple(itertools.product(*(label.values for label in self.labels))), takes_self=True
    )
    buckets: tuple[float, ...] = ()
    parts: int = 1

    @property
    def width(self) -> int:
        """How many cells one series takes: a histogram has one per bucket and one for the sum."""
        return len(self.buckets) + 2 if self.kind is Kind.HISTOGRAM else 1
