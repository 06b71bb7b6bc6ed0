"""Headers of every page (OWASP ASVS 5.0 V3.4): no content of other hosts is run or loaded, and no page is framed."""

from aiohttp import web

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

# URLs may be secret: not even requests for our own files contain the page's URL. Not no-referrer: with that,
# browsers send "Origin: null" with every form (Fetch, "append a request Origin header").
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "strict-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}

FOR_EVER = "public, max-age=31536000, immutable"
"""Of a file whose path changes with its content."""


def secure(response: web.StreamResponse) -> None:
    """Add the headers."""
    response.headers.update(HEADERS)
