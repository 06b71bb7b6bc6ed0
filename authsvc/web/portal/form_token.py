"""Protection of forms against requests from other sites (OWASP ASVS 5.0 V3.5.1): three checks, each of which suffices.

- ``Origin`` must be the public URL (RFC 6454): a browser sends it with every POST, and no page can change it.
- ``Sec-Fetch-Site``, where the browser sends it, must be ``same-origin`` (W3C Fetch Metadata).
- The form has a token that only our own page can contain: it is derived from the browser's cookie, which no other site
can read.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from authsvc.errors import PermissionDenied

FIELD = "form_token"
"""Name of the token's field."""

OTHER_SITE = "this form was not sent by a page of this portal; open the page again and repeat what you did"
OLD_FORM = "this page is older than your session; open it again and repeat what you did"


def form_token(cookie: str) -> str:
    """Return the token of forms that are shown to the browser with ``cookie``: 43 characters."""
    digest = hashlib.sha256(f"authsvc form token\0{cookie}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def browser_of(cookie: str) -> str:
    """Return a value that identifies a browser's cookie where the cookie itself must not appear, as in a challenge."""
    return hashlib.sha256(f"authsvc browser\0{cookie}".encode()).hexdigest()


def check_form(origins: Sequence[str], site: str | None, public_origin: str, cookie: str | None, sent: str) -> None:
    """Check that a form was sent by one of our pages.

    Args:
        origins: values of the header ``Origin``.
        site: value of ``Sec-Fetch-Site``, or None.
        public_origin: scheme, host and port of the public URL.
        cookie: of the browser, or None.
        sent: the form's token.

    Raises:
        PermissionDenied: it came from elsewhere, or from a page of an earlier session.
    """
    if list(origins) != [public_origin] or site not in {None, "same-origin"}:
        raise PermissionDenied(OTHER_SITE)
    if cookie is None or not hmac.compare_digest(form_token(cookie).encode(), sent.encode()):
        raise PermissionDenied(OLD_FORM)
