"""The operator's checks of Redis, of the registry without the proxy, and of authsvc in the role of the registry."""

import ssl
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote, urlsplit

from attrs import evolve, frozen

from authsvc.doctor.http_question import NoReply, Reply, ServerAddress, ask
from authsvc.doctor.inside_replies import InsideReplies, OwnFacts, RegistryReplies
from authsvc.doctor.outside_checks import REPOSITORY
from authsvc.doctor.outside_replies import status_of
from authsvc.doctor.push_checks import TIMES, ask_about_upload, bearer, begin_upload, give_up, location_of
from authsvc.doctor.registry_config import RegistryConfig, RegistryEndpoint
from authsvc.errors import SecretsRefused, StoreUnavailable
from authsvc.issuance import ISSUER
from authsvc.keys.secrets_dir import load_roots, load_token_root, registry_http_secret, root_is_offline
from authsvc.redaction import Secret
from authsvc.settings import Settings
from authsvc.signing.root import fingerprint
from authsvc.spec.registry_event import NOTIFICATION_PATH
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.server_check import ServerProblem, examine_server
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.system_token import SystemTokens

MORE_THAN_LISTED = 1001
"""Repositories in one answer: registry 2.8.2 and newer refuse more than 1000 (CVE-2023-2253)."""

NO_MANIFEST = f"sha256:{'0' * 64}"

REDIS_DEADLINE = 5.0
"""Seconds that one operation on Redis may take."""


@frozen(eq=False, repr=False)
class InsideQuestions:
    """Sends the requests.

    Attributes:
        settings: of the installation.
        tokens: sign what is shown to the registry.
        config: the registry's configuration; None when it cannot be read here.
        public: where the public URL is reached; None for not at all.
        clock: the wall clock.
    """

    settings: Settings
    tokens: SystemTokens
    config: RegistryConfig | None
    public: ServerAddress | None
    clock: Callable[[], datetime]

    async def ask(self) -> InsideReplies:
        """Return all answers.

        Raises:
            SecretsRefused: the roots in the secrets directory cannot be read.
            SignerUnavailable: there is no certificate that outlives a token.
        """
        own, (redis, worker_roots) = self._own(), await self._redis()
        replies = InsideReplies(own, redis, worker_roots, await self._registry(), self.config)
        if self.config is None or not self.config.endpoints:
            return replies
        # Of several, the one that looks like that of authsvc: the operator may have added others.
        endpoints = self.config.endpoints
        ours = next((one for one in endpoints if urlsplit(one.url).path == NOTIFICATION_PATH), endpoints[0])
        return evolve(replies, notified=await _notify(ours), receiver=ours.url)

    def _own(self) -> OwnFacts:
        directory = self.settings.secrets_dir
        roots = load_roots(directory)
        used = roots[0] if root_is_offline(directory) else load_token_root(directory)[0]
        try:
            http_secret = Secret(registry_http_secret(directory))
        except SecretsRefused:  # of another deployment than compose or `up`
            http_secret = None
        return OwnFacts(
            self.settings.public_url, ISSUER, fingerprint(used), tuple(map(fingerprint, roots)), http_secret
        )  # fmt: skip

    async def _redis(self) -> tuple[tuple[ServerProblem, ...] | None, tuple[str, ...]]:
        connection = Connection(self.settings.redis_url, deadline=max(REDIS_DEADLINE, self.settings.redis_deadline))
        try:
            problems = await examine_server(connection)
            workers = await RedisWorkerRegistry(connection, Codec()).list()
            return problems, tuple(worker.root for worker in workers)
        except StoreUnavailable:
            return None, ()
        finally:
            await connection.close()

    async def _registry(self) -> RegistryReplies | None:
        url = self.settings.registry_url
        if url is None:
            return None
        server, asked_at = _server_of(url), self.clock()
        replies = RegistryReplies(url, await ask(server, "GET", "/v2/"), asked_at)
        if isinstance(replies.challenge, NoReply):
            return replies
        now = self.clock()
        accepted = await ask(server, "GET", "/v2/", bearer(self.tokens.for_probe(now)))
        replies = evolve(replies, accepted=accepted)
        if status_of(accepted) != 200:  # noqa: PLR2004  HTTP
            return replies
        everything = self.tokens.for_repository(REPOSITORY, ("pull", "push", "delete"), now)
        catalog = bearer(self.tokens.for_catalog(now))
        began = await begin_upload(server, REPOSITORY, everything)
        return evolve(
            replies,
            deleted=await ask(server, "DELETE", f"/v2/{REPOSITORY}/manifests/{NO_MANIFEST}", bearer(everything)),
            catalog=await ask(server, "GET", f"/v2/_catalog?n={MORE_THAN_LISTED}", catalog),
            began=began,
            continued=await self._continued(server, began, everything),
        )

    async def _continued(self, server: ServerAddress, began: Reply, token: Secret) -> tuple[Reply, ...]:
        if status_of(began) != 202:  # noqa: PLR2004  HTTP
            return ()
        others = () if self.public is None else (self.public,) * TIMES
        continued = await ask_about_upload(location_of(began), token, server, *others)
        await give_up(server, location_of(began), token)
        return continued


async def _notify(endpoint: RegistryEndpoint) -> Reply:
    """Send a notification without events, as the registry sends them."""
    headers = {"Content-Type": "application/vnd.docker.distribution.events.v1+json"}
    if endpoint.authorization:
        headers["Authorization"] = endpoint.authorization.reveal()
    path = urlsplit(endpoint.url).path or "/"
    return await ask(_server_of(endpoint.url), "POST", path, headers, body=b'{"events": []}')


def _server_of(url: str) -> ServerAddress:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return ServerAddress("registry", unix_socket=unquote(parts.path))
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    return ServerAddress(parts.netloc, parts.hostname or "", port, ssl.create_default_context() if is_tls else None)
