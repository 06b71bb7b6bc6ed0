"""Events that nobody reports, because they come with time: a license ends soon, a credential goes on failing."""

from datetime import datetime, timedelta

from authsvc.tenancy.dates import render_optional
from authsvc.tenancy.records import App, License
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.event_data import license_data

ENDING_DAYS = (30, 7, 1)
"""How many days before its end a license is reported."""

FAILING_FOR = timedelta(minutes=15)
"""A credential fails when the registry refused it last, and has given nothing for so long."""

REFUSED = "upstream_refused"


def license_ending(license_: License, app: App, days: int, now: datetime) -> WebhookEvent | None:
    """Return the event that a license ends in so many days; None when there is nothing to report.

    Nothing is reported of a license that is not in force, or that was made with less time.

    Args:
        license_: as it is now.
        app: of the license.
        days: one of :data:`ENDING_DAYS`.
        now: the present.
    """
    at = license_.expires_at - timedelta(days=days)
    if license_.state_in(app, now) not in {"active", "pending"} or not license_.issued_at < at <= now:
        return None
    event = event_id(EventType.ENDING, license_.id, license_.expires_at.isoformat(), str(days))
    data = {"license": license_data(license_), "days": days}
    return WebhookEvent(event, EventType.ENDING, at, license_.team, license_.app, data)


def is_failing(health: UpstreamHealth, now: datetime) -> bool:
    """Whether the registry refuses the credential of a link, as far as the pulls through it tell.

    What one repository refuses while another one is pulled is no failure of the credential.
    """
    good = health.last_good_at
    return health.is_failing and health.last_error_code == REFUSED and (good is None or now - good >= FAILING_FOR)


def credential_failing(link: UpstreamLink, health: UpstreamHealth, now: datetime) -> WebhookEvent:
    """Return the event that the credential of a link fails: the same one until the registry has given something."""
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
