"""The two forms of a token request as one value.

GET with a query and Basic credentials (distribution "Token Authentication Specification"), and POST with an OAuth2
form (distribution "OAuth2 Token Authentication", RFC 6749 §4.3 and §6). ``account`` is never read: it is what the
client's user typed, and not verified.
"""

import base64
import binascii
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import parse_qsl

from attrs import frozen
from msgspec import Struct

from authsvc.redaction import Secret
from authsvc.spec.scope import ScopeSet, merge_scopes

MAX_REMEMBERED, MAX_REMEMBERED_TEXT = 1024, 512
"""Most queries whose parsed form is cached, and the longest such query: clients repeat the same query with every
image."""


class UserPassword(Struct, frozen=True):
    """A user name and a password, from a Basic header (RFC 7617) or the ``password`` grant (RFC 6749 §4.3)."""

    username: str
    password: Secret


class RefreshGrant(Struct, frozen=True):
    """The ``refresh_token`` grant (RFC 6749 §6); docker also sends a helper's ``<token>`` secret in it."""

    token: Secret


@frozen
class Unreadable:
    """Credentials were sent in a form that cannot be parsed."""

    why: str


Presented = UserPassword | RefreshGrant | Unreadable | None


class TokenRequest(Struct, frozen=True):
    """The request of a client to the token endpoint.

    Attributes:
        service: the registry it wants the token for, or None when it did not say.
        scopes: the requested access.
        presented: the credentials as sent; None for an anonymous request.
        client_id: the client software (RFC 6749 §2.2), not registered or verified; for the log only.
        offline: whether a refresh token was requested (``offline_token=true`` or ``access_type=offline``).
    """

    service: str | None
    scopes: ScopeSet
    presented: Presented
    client_id: str | None = None
    offline: bool = False


def from_query_string(query: str, authorization: str | None) -> TokenRequest:
    """Return the request of a GET with the percent-encoded ``query`` and the ``Authorization`` header.

    The header is never cached.
    """
    asked = _remembered(query) if len(query) <= MAX_REMEMBERED_TEXT else _asked(query)
    presented = _basic(authorization) if authorization is not None else None
    return TokenRequest(asked.service, asked.scopes, presented, asked.client_id, asked.offline)


def _asked(query: str) -> TokenRequest:
    return from_query(parse_qsl(query, keep_blank_values=True), None)


_remembered = lru_cache(MAX_REMEMBERED)(_asked)


def from_query(parameters: Iterable[tuple[str, str]], authorization: str | None) -> TokenRequest:
    """Return the request of a GET with the decoded query ``parameters`` and the ``Authorization`` header."""
    values = _Values(parameters)
    return TokenRequest(
        service=values.first("service"),
        scopes=merge_scopes(values.all("scope")),
        presented=_basic(authorization) if authorization is not None else None,
        client_id=values.first("client_id"),
        offline=values.first("offline_token") == "true",
    )


def from_form(parameters: Iterable[tuple[str, str]], authorization: str | None) -> TokenRequest:
    """Return the request of a POST with the decoded form ``parameters`` and the ``Authorization`` header.

    A form without ``grant_type`` is treated like the query of a GET: the header has the credentials.
    """
    values = _Values(parameters)
    grant = values.first("grant_type")
    presented: Presented
    if grant == "password":
        presented = UserPassword(values.first("username") or "", Secret(values.first("password") or ""))
    elif grant == "refresh_token":
        presented = RefreshGrant(Secret(values.first("refresh_token") or ""))
    elif grant is not None:
        presented = Unreadable("the grant type is neither password nor refresh_token")
    else:
        presented = _basic(authorization) if authorization is not None else None
    return TokenRequest(
        service=values.first("service"),
        scopes=merge_scopes(values.all("scope")),
        presented=presented,
        client_id=values.first("client_id"),
        offline=values.first("access_type") == "offline" or values.first("offline_token") == "true",
    )


def _basic(header: str) -> UserPassword | Unreadable:
    """Return the credentials of a Basic header (RFC 7617): UTF-8, split at the first colon, user may be empty."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return Unreadable("the authorization scheme is not Basic")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return Unreadable("the Basic credentials are not base64 of UTF-8")
    username, colon, password = text.partition(":")
    if not colon:
        return Unreadable("the Basic credentials hold no ':'")
    return UserPassword(username, Secret(password))


class _Values:
    """The parameters of a query or form: several per name, the first one counts unless all are asked for."""

    def __init__(self, parameters: Iterable[tuple[str, str]]) -> None:
        self._pairs = list(parameters)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def first(self, name: str) -> str | None:
        return next((value for key, value in self._pairs if key == name), None)
