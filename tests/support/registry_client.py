"""A registry client that behaves like docker's: asks, is challenged, fetches a token, asks again."""

import re
import time
from collections.abc import Callable, Iterable, Mapping

from attrs import Factory, define, frozen

from tests.support.http_client import Place, Reply, ask, get_token
from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.tenants import Account

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class TokenRefused(Exception):
    """The token endpoint said no."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.reason}: {reply.body[:500]!r}")
        self.reply = reply


@frozen
class _Held:
    token: str
    renew_at: float


@define
class Client:
    """One client with one account, talking to one registry.

    Attributes:
        port: of the registry, or its host and port.
        account: None for nobody.
        clock: seconds, by which a token's age is told.
        service: that tokens are for; None for the port on localhost.
    """

    port: Place
    account: Account | None
    clock: Callable[[], float] = time.monotonic
    service: str | None = None
    _held: dict[str, _Held] = Factory(dict)

    def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] = b"",
        scope: str | None = None,
    ) -> Reply:
        """Send a request, with a token if one is needed.

        Args:
            method: of the request.
            target: path and query, sent as they are.
            headers: of the request.
            body: of the request; what is no bytes can be sent only once, so it needs ``scope``.
            scope: known beforehand; asked for without waiting for a challenge.
        """
        given = dict(headers or {})
        if scope is None:
            reply = ask(self.port, method, target, headers=given, body=body)
            if reply.status != 401 or "www-authenticate" not in reply.headers:
                return reply
            challenge = dict(_PARAMETER.findall(reply.headers["www-authenticate"]))
            scope = challenge.get("scope", "")
        given["Authorization"] = f"Bearer {self.token(scope)}"
        return ask(self.port, method, target, headers=given, body=body)

    def token(self, scope: str) -> str:
        """Return a token for ``scope``, a new one when the held one is about to end.

        Raises:
            TokenRefused: there is none.
        """
        held = self._held.get(scope)
        if held is None or self.clock() >= held.renew_at:
            reply = get_token(self.port, self.account, *scope.split(), service=self.service)
            if reply.status != 200:
                raise TokenRefused(reply)
            facts = reply.json()
            held = self._held[scope] = _Held(facts["token"], self.clock() + facts["expires_in"])
        return held.token

    def push_blob(self, repository: str, content: bytes) -> None:
        """Upload one blob."""
        begun = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        place = begun.headers["location"]
        ended = self.ask("PUT", f"{place}&digest={digest_of(content)}", body=content)
        assert ended.status == 201, ended

    def push(self, repository: str, tag: str, image: Image) -> None:
        """Upload an image."""
        self.push_blob(repository, image.layer)
        self.push_blob(repository, image.config)
        reply = self.put_manifest(repository, tag, image.manifest)
        assert reply.status == 201, reply

    def put_manifest(self, repository: str, reference: str, manifest: bytes, media_type: str = MANIFEST) -> Reply:
        """Upload a manifest."""
        target = f"/v2/{repository}/manifests/{reference}"
        return self.ask("PUT", target, headers={"Content-Type": media_type}, body=manifest)

    def get_manifest(self, repository: str, reference: str) -> Reply:
        """Download a manifest."""
        return self.ask("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": MANIFEST})

    def pull(self, repository: str, reference: str, image: Image) -> None:
        """Download an image and compare it."""
        manifest = self.get_manifest(repository, reference)
        assert (manifest.status, manifest.body) == (200, image.manifest), manifest
        for blob in (image.config, image.layer):
            reply = self.ask("GET", f"/v2/{repository}/blobs/{digest_of(blob)}")
            assert (reply.status, reply.body) == (200, blob), reply
