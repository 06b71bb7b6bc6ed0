"""The reply of the token endpoint (distribution "Token Authentication Specification", "Token Response Fields")."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from authsvc.redaction import Secret

MIN_EXPIRES_IN = 60
"""Lowest ``expires_in`` in seconds: clients raise lower values to 60 themselves."""


class TokenResponse(Struct, frozen=True):
    """A signed token and how long the client may keep it.

    Attributes:
        token: the compact JWS.
        expires_in: seconds from ``issued_at``; a little less than the token's real lifetime, at least 60.
        issued_at: aware UTC.
        refresh_token: kept by the client instead of a password (distribution "OAuth2 Token Authentication"), or None.
    """

    token: Secret
    expires_in: int
    issued_at: datetime
    refresh_token: Secret | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the body. ``token`` and ``access_token`` are equal, since clients differ in which one they read."""
        body: dict[str, Any] = {
            "token": self.token.reveal(),
            "access_token": self.token.reveal(),
            "expires_in": self.expires_in,
            "issued_at": f"{self.issued_at.astimezone(UTC).isoformat()[:19]}Z",
        }
        if self.refresh_token is not None:
            body["refresh_token"] = self.refresh_token.reveal()
        return body
