"""The portal's two cookies.

Their names begin with ``__Host-`` (RFC 6265bis §4.1.3.2): a browser accepts them only over TLS or from localhost, and
only for exactly this host, so neither another host of the domain nor plain http can set or read them.
"""

from datetime import timedelta
from typing import Literal

from aiohttp import web

from authsvc.redaction import Secret
from authsvc.tenancy.portal_session import SESSION_LIFE

SESSION_COOKIE = "__Host-authsvc-session"
"""The cookie of a session."""

FORM_COOKIE = "__Host-authsvc-form"
"""The cookie that tokens of forms are derived from before the sign-in."""

FORM_LIFE = timedelta(hours=1)

_SAME_SITE: Literal["Lax"] = "Lax"


def cookie_of(request: web.Request, name: str) -> str | None:
    """Return the cookie of this name; None when there is none, more than one, or one that is not ASCII."""
    values = [
        value
        for header in request.headers.getall("Cookie", [])
        for pair in header.split(";")
        for found, separator, value in [pair.strip(" \t").partition("=")]
        if found == name and separator
    ]
    return values[0] if len(values) == 1 and values[0].isascii() else None


def set_session(response: web.Response, cookie: Secret) -> None:
    """Sign the browser in; the cookie of the sign-in form ends."""
    life = int(SESSION_LIFE.total_seconds())
    response.set_cookie(
        SESSION_COOKIE, cookie.reveal(), path="/", max_age=life, samesite=_SAME_SITE, secure=True, httponly=True
    )
    _delete(response, FORM_COOKIE)


def set_form(response: web.Response, value: str) -> None:
    """Set the cookie that the token of the form is derived from."""
    life = int(FORM_LIFE.total_seconds())
    response.set_cookie(FORM_COOKIE, value, path="/", max_age=life, samesite=_SAME_SITE, secure=True, httponly=True)


def end_session(response: web.Response) -> None:
    """Sign the browser out."""
    _delete(response, SESSION_COOKIE)


def _delete(response: web.Response, name: str) -> None:
    # With the attributes of the prefix, without which a browser ignores the header.
    response.del_cookie(name, path="/", secure=True, httponly=True, samesite=_SAME_SITE)
