"""The events of the audit, by name, for filters of lists."""

from authsvc.audit.stored_entry import UNREADABLE
from authsvc.outcomes import (
    MANAGEMENT_DENIED,
    PULL_FAILED,
    PULL_STALE,
    TOKEN_DENIED,
    TOKEN_ISSUED,
    TOKEN_REFUSED,
    TOKEN_THROTTLED,
    TOKEN_UNANSWERED,
)

DECISIONS = (TOKEN_ISSUED, TOKEN_DENIED, TOKEN_REFUSED, TOKEN_THROTTLED, TOKEN_UNANSWERED, PULL_FAILED, PULL_STALE)
"""Decisions on token requests, and pulls that a linked registry did not serve; all other events are about management,
or about the audit itself."""

UNPROVEN = frozenset({TOKEN_REFUSED, TOKEN_THROTTLED, TOKEN_UNANSWERED})
"""Decisions before identity is proven; they are in a separate stream."""

CHANGES = (
    *("team.created", "team.changed", "app.created", "app.archived", "app.reinstated"),
    *("image.deletion_started", "image.deleted", "image.deletion_failed"),
    *("member.added", "member.joined", "member.role_set", "member.disabled", "member.enabled", "member.removed"),
    *("member.password_set", "member.password_reset", "link.created", "link.revoked"),
    *("token.created", "token.revoked", "sign-in.kept", "sign-in.revoked"),
    *("passkey.registered", "passkey.renamed", "passkey.removed"),
    *("session.begun", "session.ended", "member.signed_out"),
    *("service-account.created", "service-account.grants_set", "service-account.rotated"),
    *("service-account.disabled", "service-account.enabled", "service-account.revoked"),
    *("upstream.linked", "upstream.changed", "upstream.purged", "upstream.unlinked"),
    *("webhook.added", "webhook.changed", "webhook.disabled", "webhook.enabled", "webhook.removed", "webhook.rotated"),
    *("customer.created", "customer.changed", "license.created", "license.changed", "license.rotated"),
    *("license-link.created", "license-link.revoked", "license-link.downloaded"),
    *("keys.rotated", "keys.license_rotated", "keys.sealing_rotated"),
    *("keys.root_prepared", "keys.root_switched", "keys.roots_dropped", "backup.restored"),
)
"""Changes of management."""

OF_THE_AUDIT = ("audit.lost", "audit.nearly_full", "audit.trimmed", UNREADABLE)
"""Events about the audit itself."""

EVENTS = frozenset({*DECISIONS, MANAGEMENT_DENIED, *CHANGES, *OF_THE_AUDIT})
"""Every event."""

GROUPS = frozenset(event.partition(".")[0] for event in EVENTS)
"""Groups of events: the part before the dot."""


def is_among(event: str, wanted: tuple[str, ...]) -> bool:
    """Whether ``event`` is one of ``wanted``, which are names of events or groups."""
    return event in wanted or event.partition(".")[0] in wanted
