"""The health of a linked registry: its last success, its last failure, and the end of its credential."""

from datetime import datetime

from attrs import frozen


@frozen
class UpstreamHealth:
    """The stored results of requests to one linked registry; all times are aware.

    Attributes:
        last_good_at: time of the last successful request, or None.
        last_error_at: time of the last failed request, or None.
        last_error_code: machine-readable kind of that failure, or None.
        last_error: a sentence that a vendor can act on, without secrets, or None.
        credential_ends_at: end of the credential as stated by the upstream, or None.
    """

    last_good_at: datetime | None = None
    last_error_at: datetime | None = None
    last_error_code: str | None = None
    last_error: str | None = None
    credential_ends_at: datetime | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the last known request failed."""
        if self.last_error_at is None:
            return False
        return self.last_good_at is None or self.last_good_at < self.last_error_at
