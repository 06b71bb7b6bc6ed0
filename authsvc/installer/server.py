"""Queries the server's preflight: which images may be pulled with this license, and whether they exist."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request

from authsvc import __version__
from authsvc.installer import host, proxies
from authsvc.installer.license_store import ToolError

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO, Any

PATH = "/auth/preflight"
IMAGES_PER_REQUEST = 50
"""Most images that the server checks in one request."""

MAX_REPLY = 4 * 1024 * 1024
"""Longest reply that is read, in bytes."""

DEADLINE = 60.0
"""Seconds that one step of a request may take."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow no redirects: the request contains the registry token."""

    def redirect_request(self, *_: object) -> None:
        return None


class Server:
    """The installation that a license names."""

    def __init__(
        self,
        registry: str,
        login: tuple[str, str],
        *,
        plain_http: bool,
        ca_file: str | None,
        environ: Mapping[str, str],
    ) -> None:
        """Use https, or plain http on request or for this machine itself; ``environ`` names the proxy.

        ``login`` is a user name and a password.

        Raises:
            Refused: the file with certificates cannot be used.
        """
        self._registry = registry
        self._login = login
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ToolError(f"cannot use {ca_file} as certificates: {error.strerror or error}", 2) from error
        proxy = proxies.proxy_for("https", registry, environ)
        self._opener = urllib.request.build_opener(
            _NoRedirect,
            urllib.request.HTTPSHandler(context=context),
            # Without this handler urllib would read the environment itself, and use its http_proxy for localhost.
            urllib.request.ProxyHandler({"https": proxy} if proxy else {}),
        )
        # As docker does: https first, and plain http to this machine alone.
        loopback = host.is_loopback(registry)
        self._schemes = ("http",) if plain_http else ("https", "http") if loopback else ("https",)

    def preflight(self, images: list[str]) -> dict[str, Any]:
        """Return the server's answer for any number of images, as one.

        Raises:
            Refused: there is no answer, or the server refuses.
        """
        chunks = [images[at : at + IMAGES_PER_REQUEST] for at in range(0, len(images), IMAGES_PER_REQUEST)] or [[]]
        answers = [self._ask(chunk) for chunk in chunks]
        return {**answers[-1], "images": [image for answer in answers for image in answer["images"]]}

    def _ask(self, images: list[str]) -> dict[str, Any]:
        problem: Exception | None = None
        for scheme in self._schemes:
            try:
                return self._post(scheme, images)
            except (OSError, http.client.HTTPException) as error:
                problem = error
        reason = getattr(problem, "reason", None) or problem
        raise ToolError(f"no answer from {self._registry}: {reason}") from problem

    def _post(self, scheme: str, images: list[str]) -> dict[str, Any]:
        login = base64.b64encode(":".join(self._login).encode()).decode("ascii")
        request = urllib.request.Request(  # noqa: S310  the scheme is one of two of ours
            f"{scheme}://{self._registry}{PATH}",
            data=json.dumps({"images": images}).encode("ascii"),
            headers={
                "Authorization": f"Basic {login}",
                "Content-Type": "application/json",
                "User-Agent": f"authsvc-license/{__version__}",
            },
        )
        try:
            with self._opener.open(request, timeout=DEADLINE) as reply:
                return _answer(reply)
        except urllib.error.HTTPError as error:
            raise ToolError(_reason(error, self._registry)) from error


def _answer(reply: IO[bytes]) -> dict[str, Any]:
    try:
        body: Any = json.loads(reply.read(MAX_REPLY))
        good = isinstance(body, dict) and isinstance(body["warnings"], list) and all(map(_is_row, body["images"]))
        good = good and all(map(_is_license, (body.get("license"), *(body.get("licenses") or ()))))
    except (ValueError, KeyError, TypeError, RecursionError):
        body, good = {}, False
    if not good:
        raise ToolError("the server's answer is not one of authsvc's preflight; is it the right registry?")
    return dict(body)


def _is_row(image: Any) -> bool:
    """Whether an entry of ``images`` is one: an object that names its image; its other texts may be missing."""
    texts = (str, type(None))
    return (
        isinstance(image, dict)
        and isinstance(image.get("image"), str)
        and all(isinstance(image.get(name), texts) for name in ("digest", "reason"))
    )


def _is_license(license_: Any) -> bool:
    """Whether this is what is said of a license, if anything is."""
    named = ("id", "app", "customer", "expires_at")
    return license_ is None or (
        isinstance(license_, dict) and all(isinstance(license_.get(name), str) for name in named)
    )


def _reason(error: urllib.error.HTTPError, registry: str) -> str:
    """Return the sentence in a refusal (OCI distribution specification, "Error Codes")."""
    try:
        message = json.loads(error.read(MAX_REPLY))["errors"][0]["message"]
    except (ValueError, KeyError, IndexError, TypeError, OSError, RecursionError):
        message = None
    if isinstance(message, str) and message:
        return f"denied: {message}" if error.code == http.client.UNAUTHORIZED else message
    return f"{registry} answered {error.code} {error.reason}; it seems to have no preflight"
