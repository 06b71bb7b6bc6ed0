"""Events that arise only with time: a license ends soon, a credential keeps failing."""

from datetime import datetime, timedelta

from authsvc.tenancy.dates import render_optional
from authsvc.tenancy.records import App, License
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.event_data import license_data

ENDING_DAYS = (30, 7, 1)
"""Days before its end at which a license is reported."""

FAILING_FOR = timedelta(minutes=15)
"""A credential counts as failing when it was refused last, and nothing was pulled with it for this long."""

REFUSED = "upstream_refused"


def license_ending(license_: License, app: App, days: int, now: datetime) -> WebhookEvent | None:
    """Return the event that a license ends in ``days``; None when there is nothing to report.

    A license that is not active, or whose whole life is shorter, is not reported.

    Args:
        license_: the current record.
        app: of the license.
        days: one of :data:`ENDING_DAYS`.
        now: the current time.
    """
    at = license_.expires_at - timedelta(days=days)
    if license_.state_in(app, now) not in {"active", "pending"} or not license_.issued_at < at <= now:
        return None
    event = event_id(EventType.ENDING, license_.id, license_.expires_at.isoformat(), str(days))
    data = {"license": license_data(license_), "days": days}
    return WebhookEvent(event, EventType.ENDING, at, license_.team, license_.app, data)


def is_failing(health: UpstreamHealth, now: datetime) -> bool:
    """Whether the registry refuses the credential of a link, judging by the pulls through it.

    If one repository is refused while another can be pulled, the credential does not count as failing.
    """
    good = health.last_good_at
    return health.is_failing and health.last_error_code == REFUSED and (good is None or now - good >= FAILING_FOR)


def credential_failing(link: UpstreamLink, health: UpstreamHealth, now: datetime) -> WebhookEvent:
    """Return the event that the credential of a link fails; it is the same one until a pull succeeds."""
    good = render_optional(health.last_good_at)
    event = event_id(EventType.CREDENTIAL_FAILING, link.id, str(link.credential_version), good or "")
    data = {
        "app": link.app,
        "upstream": {
            "id": link.id,
            "name": link.name,
            "provider": link.provider.value,
            "url": link.origin.text,
        },
        "message": health.last_error,
        "last_good_at": good,
        "failed_at": render_optional(health.last_error_at),
    }
    return WebhookEvent(event, EventType.CREDENTIAL_FAILING, health.last_error_at or now, link.team, link.app, data)
