"""Records as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from authsvc.tenancy.dates import render_instant, render_optional
from authsvc.tenancy.records import App, License, Member, Team, TokenDigest, live_tokens

if TYPE_CHECKING:
    from authsvc.activity.history import AppDay, ImageHistory, LastUse, Version
    from authsvc.manage.activity_view import ActivityLine, ActivitySummary, ImageUser
    from authsvc.tenancy.customers import Customer


def team(record: Team) -> dict[str, Any]:
    """Return a team."""
    return {"slug": record.slug, "name": record.name, "created_at": render_instant(record.created_at)}


def app(record: App) -> dict[str, Any]:
    """Return an app."""
    return {
        "slug": record.slug,
        "team": record.team,
        "name": record.name,
        "created_at": render_instant(record.created_at),
        "archived_at": render_optional(record.archived_at),
    }


def member(record: Member) -> dict[str, Any]:
    """Return a member, without the password's hash."""
    return {
        "id": record.id,
        "email": record.email,
        "team": record.team,
        "role": str(record.role),
        "apps": None if record.apps is None else list(record.apps),
        "created_at": render_instant(record.created_at),
        "disabled_at": render_optional(record.disabled_at),
    }


def customer(record: Customer) -> dict[str, Any]:
    """Return a customer, without the licenses."""
    return {
        "id": record.id,
        "team": record.team,
        "name": record.name,
        "reference": record.reference,
        "email": record.email,
        "created_at": render_instant(record.created_at),
        "archived_at": render_optional(record.archived_at),
    }


def tokens(records: tuple[TokenDigest, ...], now: datetime) -> list[dict[str, Any]]:
    """Return the valid tokens, newest first, each with its own end if it has one."""
    return [
        {"generation": token.generation, "ends_at": render_optional(token.ends_at)}
        for token in live_tokens(records, now)
    ]


def license_(record: License, app: App, now: datetime) -> dict[str, Any]:
    """Return a license of ``app`` with its state now, without its registry token."""
    return {
        "id": record.id,
        "app": record.app,
        "team": record.team,
        "customer": record.customer,
        "customer_id": record.customer_id,
        "type": str(record.type),
        "state": record.state_in(app, now),
        "issued_at": render_instant(record.issued_at),
        "not_before": render_optional(record.not_before),
        "expires_at": render_instant(record.expires_at),
        "registry": record.registry,
        "repositories": None if record.repositories is None else list(record.repositories),
        "fields": record.fields,
        "contact": record.contact,
        "reference": record.reference,
        "revoked_at": render_optional(record.revoked_at),
        "archived_at": render_optional(record.archived_at),
        "app_archived_at": render_optional(app.archived_at),
        "tokens": tokens(record.tokens, now),
    }


def activity_row(row: ActivityLine) -> dict[str, Any]:
    """Return a row of a list of activity; the members are the columns of the comma-separated form too."""
    return {
        "period": render_instant(row.period),
        "resolution": str(row.resolution),
        "app": row.app,
        "repository": row.repository,
        "tag": row.tag,
        "digest": row.digest,
        "action": str(row.action),
        "subject": row.subject,
        "license": row.license,
        "customer": row.customer,
        "customer_id": row.customer_id,
        "count": row.count,
        "bytes": row.bytes,
        "first_at": render_instant(row.first_at),
        "last_at": render_instant(row.last_at),
        "source": row.source,
        "hits": row.hits,
        "misses": row.misses,
        "stale": row.stale,
        "name": row.name,
    }


def activity_summary(summary: ActivitySummary) -> dict[str, Any]:
    """Return the activity of licenses, without their versions."""
    return {
        "first_pull_at": render_optional(summary.first_pull),
        "last_pull_at": render_optional(summary.last_pull),
        "since": render_optional(summary.since),
        "licenses": [
            {
                "license": one.license,
                "app": one.app,
                "customer": one.customer,
                "customer_id": one.customer_id,
                "first_pull_at": render_optional(one.first_pull),
                "last_pull_at": render_optional(one.last_pull),
                "pulls": one.pulls,
                "bytes": one.bytes,
                "networks": one.networks,
            }
            for one in summary.licenses
        ],
        "networks": list(summary.networks),
        "more_licenses": summary.more_licenses,
        "more_networks": summary.more_networks,
        "more_versions": summary.more_versions,
    }


def version(record: Version) -> dict[str, Any]:
    """Return a version of an image that an account has."""
    return {
        "repository": record.repository,
        "digest": record.digest,
        "tags": list(record.tags),
        "first_pull_at": render_optional(record.first_pull),
        "last_pull_at": render_optional(record.last_pull),
        "last_head_at": render_optional(record.last_head),
        "pulls": record.pulls,
        "is_part": record.is_part,
    }


def usage(summary: ActivitySummary) -> dict[str, Any]:
    """Return the activity that is shown with a license or customer: of all its licenses, with the newest versions."""
    facts = activity_summary(summary)
    licenses = facts.pop("licenses")
    return facts | {
        "pulls": sum(one["pulls"] for one in licenses),
        "bytes": sum(one["bytes"] for one in licenses),
        "versions": [version(one) for one in summary.versions],
        "more_versions": summary.more_versions or summary.next is not None,
    }


def app_day(day: AppDay) -> dict[str, Any]:
    """Return the activity of all accounts in an app on one day."""
    return {
        "day": render_instant(day.start),
        "app": day.app,
        "pulls": day.pulls,
        "heads": day.heads,
        "pushes": day.pushes,
        "deletes": day.deletes,
        "bytes": day.size,
    }


def image_history(history: ImageHistory) -> dict[str, Any]:
    """Return what is known about a repository, tag or digest."""
    return {
        "repository": history.image.repository,
        "tag": history.image.tag,
        "digest": history.digest,
        "pushed": _last_use(history.pushed),
        "found": _last_use(history.found),
        "pulled": _last_use(history.pulled),
        "pulled_by_license": _last_use(history.pulled_by_license),
        "deleted_at": render_optional(history.deleted_at),
        "is_part": history.is_part,
    }


def image_user(user: ImageUser) -> dict[str, Any]:
    """Return an account that pulled an image."""
    return {
        "subject": user.subject,
        "license": user.license,
        "customer": user.customer,
        "customer_id": user.customer_id,
        "last_pull_at": render_instant(user.last_pull),
        "versions": None if user.versions is None else [version(one) for one in user.versions],
        "more_versions": user.more_versions,
        "name": user.name,
    }


def _last_use(use: LastUse | None) -> dict[str, Any] | None:
    return None if use is None else {"at": render_instant(use.at), "subject": use.subject, "digest": use.digest}
