"""When a tag of a linked registry is looked up again, and when its last known meaning stands in.

A tag is looked up with HEAD, which Docker Hub does not count against its limit on pulls, and at most once in an
interval. While the registry is down, limits requests or refuses the credential, customers get the image that the tag
named last, marked as such, for some days; a tag that the registry says it does not have is gone at once.
"""

from datetime import datetime, timedelta

from attrs import frozen

from authsvc.errors import Overloaded, UpstreamFailed, UpstreamNotFound

STALE_WARNING = '110 authsvc "the linked registry does not answer; this is the image that the tag named last"'
"""Value of the header ``Warning`` (RFC 7234 §5.5.1)."""


@frozen
class RememberedTag:
    """What a tag meant.

    Attributes:
        digest: of the manifest that it named.
        checked_at: when the registry said so.
    """

    digest: str
    checked_at: datetime


@frozen
class ResolvedTag:
    """What a tag means for one request.

    Attributes:
        digest: of the manifest.
        because: why the registry has not said so now; None when it has.
    """

    digest: str
    because: UpstreamFailed | Overloaded | None = None


@frozen
class TagPolicy:
    """How long an answer counts.

    Attributes:
        interval: for which a tag is not looked up again.
        stale_for: for which it stands in while the registry cannot be asked.
    """

    interval: timedelta
    stale_for: timedelta

    def is_fresh(self, remembered: RememberedTag, now: datetime) -> bool:
        """Whether the registry need not be asked. A time that lies ahead, after a clock went back, is not fresh."""
        return timedelta() <= now - remembered.checked_at < self.interval

    def stands_in(
        self, remembered: RememberedTag | None, error: UpstreamFailed | Overloaded, now: datetime
    ) -> ResolvedTag | None:
        """Return what a tag means for now though ``error`` kept us from asking; None to tell the error."""
        if remembered is None or isinstance(error, UpstreamNotFound):
            return None
        if now - remembered.checked_at >= self.stale_for:
            return None
        return ResolvedTag(remembered.digest, error)
