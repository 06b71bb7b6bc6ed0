"""Decides when a tag of a linked registry is looked up again, and when its last known image is used instead.

A tag is looked up with HEAD, which Docker Hub does not count against its limit on pulls, and at most once in an
interval. While the registry is down, limits requests or refuses the credential, customers get the last known image of
the tag, marked as such, for some days; a tag that no longer exists according to the registry is removed at once.
"""

from datetime import datetime, timedelta

from attrs import frozen

from authsvc.errors import Overloaded, UpstreamFailed, UpstreamNotFound

STALE_WARNING = '110 authsvc "the linked registry does not answer; this is the image that the tag named last"'
"""Value of the header ``Warning`` (RFC 7234 §5.5.1)."""


@frozen
class RememberedTag:
    """The last known image of a tag.

    Attributes:
        digest: of the manifest.
        checked_at: when the registry returned it.
    """

    digest: str
    checked_at: datetime


@frozen
class ResolvedTag:
    """The image of a tag for one request.

    Attributes:
        digest: of the manifest.
        because: why the registry was not asked successfully; None when it was.
    """

    digest: str
    because: UpstreamFailed | Overloaded | None = None


@frozen
class TagPolicy:
    """How long an answer is used.

    Attributes:
        interval: time for which a tag is not looked up again.
        stale_for: time for which the last known image is used while the registry cannot be asked.
    """

    interval: timedelta
    stale_for: timedelta

    def is_fresh(self, remembered: RememberedTag, now: datetime) -> bool:
        """Whether the registry need not be asked. A time in the future, after a clock was set back, is not fresh."""
        return timedelta() <= now - remembered.checked_at < self.interval

    def stands_in(
        self, remembered: RememberedTag | None, error: UpstreamFailed | Overloaded, now: datetime
    ) -> ResolvedTag | None:
        """Return the last known image if it is used despite ``error``; None if the error must be returned."""
        if remembered is None or isinstance(error, UpstreamNotFound):
            return None
        if now - remembered.checked_at >= self.stale_for:
            return None
        return ResolvedTag(remembered.digest, error)
