"""How a linked registry fares: when it last answered well, what failed last, and when its credential ends."""

from datetime import datetime

from attrs import frozen


@frozen
class UpstreamHealth:
    """What is remembered of the requests to one linked registry; all times are aware.

    Attributes:
        last_good_at: when it last gave what was asked, or None.
        last_error_at: when a request last failed, or None.
        last_error_code: machine-readable kind of that failure, or None.
        last_error: a sentence that a vendor can act on, without secrets, or None.
        credential_ends_at: end of the credential as the upstream says it, or None.
    """

    last_good_at: datetime | None = None
    last_error_at: datetime | None = None
    last_error_code: str | None = None
    last_error: str | None = None
    credential_ends_at: datetime | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the last request that is known of failed."""
        if self.last_error_at is None:
            return False
        return self.last_good_at is None or self.last_good_at < self.last_error_at
