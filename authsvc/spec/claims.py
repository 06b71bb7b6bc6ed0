"""The claims of a registry token (distribution "Docker Registry v2 authentication using JWT", RFC 7519 §4.1)."""

from datetime import datetime
from typing import Any

from msgspec import Struct

NOT_BEFORE_LEEWAY = 60
"""Seconds by which ``nbf`` lies before ``iat``: the registry's clock may be that much behind (design #3)."""


class Access(Struct, frozen=True):
    """A granted resource: one entry of the ``access`` claim.

    Attributes:
        type: ``repository``.
        name: exact and case-sensitive; the registry does not support wildcards.
        actions: sorted; never ``*``, which the registry would take for "everything".
        resource_class: echoed in ``class``, or None.
    """

    type: str
    name: str
    actions: tuple[str, ...]
    resource_class: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as the registry reads it."""
        entry: dict[str, Any] = {"type": self.type, "name": self.name, "actions": list(self.actions)}
        if self.resource_class is not None:
            entry["class"] = self.resource_class
        return entry


class Claims(Struct, frozen=True):
    """What a token says.

    Attributes:
        issuer: the ``issuer`` of the registry's configuration.
        subject: ``member:<id>``, ``license:<id>`` …; comes back as ``actor.name`` in registry events.
        audience: the configured service; registry 2.8 refuses a list.
        issued_at: aware; every time in the token derives from it.
        expires_at: aware.
        token_id: unique, for the log.
        access: what is granted; a token with an empty list is valid, and only gives access to ``/v2/``.
        degraded: whether it was issued from memory, while the store was unreachable; the registry ignores the claim.
    """

    issuer: str
    subject: str
    audience: str
    issued_at: datetime
    expires_at: datetime
    token_id: str
    access: tuple[Access, ...] = ()
    degraded: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the claim set; all times are integers, since the registry refuses a float."""
        issued_at = int(self.issued_at.timestamp())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "sub": self.subject,
            "aud": self.audience,
            "iat": issued_at,
            "nbf": issued_at - NOT_BEFORE_LEEWAY,
            "exp": int(self.expires_at.timestamp()),
            "jti": self.token_id,
            "access": [entry.to_json() for entry in self.access],
        }
        return {**claims, "degraded": True} if self.degraded else claims
