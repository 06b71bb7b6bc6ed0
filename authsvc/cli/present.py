"""Records as JSON for machines."""

from datetime import datetime
from typing import Any

from authsvc.tenancy.customers import Customer
from authsvc.tenancy.dates import render_instant, render_optional
from authsvc.tenancy.records import App, License, Member, Team, TokenDigest, live_tokens


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
    """Return the tokens that log in now, newest first, each with its own end if it has one."""
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
