"""Tests a linked registry in the steps of a pull; results are worded so that a vendor can act on them."""

import asyncio
from collections.abc import AsyncIterator, Callable

from attrs import evolve, field, frozen

from authsvc.errors import InputRefused, UpstreamFailed, UpstreamNotFound, UpstreamRefused
from authsvc.redaction import Secret
from authsvc.registries.upstream.access import ProviderTokens, UpstreamAccess, basic_of
from authsvc.registries.upstream.client import UpstreamClient
from authsvc.registries.upstream.session import UpstreamSession
from authsvc.upstreams.challenge import BASIC, token_server
from authsvc.upstreams.link import UpstreamLink, upstream_repository
from authsvc.upstreams.probe import STEPS, ProbeStep
from authsvc.upstreams.providers import PRESETS, Provider

NAME_REMEDY = "check the spelling of the address; this server must be able to resolve it"

ADDRESS_REMEDY = "use the registry's public address; only the operator of this installation can except private networks"

TLS_REMEDY = (
    "this server needs a direct connection to the registry, and a certificate for its name from a known authority; "
    "the operator of this installation can name an authority of your own"
)

CHALLENGE_REMEDY = (
    "check that this is the address of the registry itself and not of its website; if it really has its token server "
    "on that host, name the host as a token host of the link"
)

MANIFEST_REMEDY = "check the repository's name, and that the credential may pull from it"

SLOW_REMEDY = "the registry, its token server or a name server answers slowly or not at all; try again later"

PROBE_SECONDS = 25.0
"""Longest test: less than nginx waits for an answer of authsvc, which is 30 s."""

NO_REPOSITORY = "not tried: name a repository of the upstream to test a pull from it"


@frozen(eq=False, repr=False)
class RegistryProbe:
    """Tests registries.

    Attributes:
        session: to them.
        monotonic: seconds of a clock that never goes back.
        ecr: exchanges credentials of Amazon.
        deadline: seconds that all steps may take together.
    """

    session: UpstreamSession = field(repr=False)
    monotonic: Callable[[], float] = field(repr=False)
    ecr: ProviderTokens | None = field(default=None, repr=False)
    deadline: float = PROBE_SECONDS

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> tuple[ProbeStep, ...]:
        """Return the result of each step; steps after the first failed one are not tried.

        Args:
            link: with its address and user name; it need not be saved.
            secret: its credential, or None.
            repository: of the upstream, optionally with ``:TAG``, for a test pull; None for one of the link's patterns.
        """

        async def unseal(_link: UpstreamLink) -> Secret:
            return secret or Secret("")

        # With a separate id, a test is neither delayed by failures of pulls nor answered from their cache.
        tested = evolve(link, id=f"{link.id}.test", sealed_secret=None if secret is None else "given")
        access = UpstreamAccess(self.session, unseal, self.monotonic, self.ecr)
        found: list[ProbeStep] = []
        try:
            async with asyncio.timeout(self.deadline):
                async for step in _Probe(UpstreamClient(self.session, access), tested).steps(repository):
                    found.append(step)  # noqa: PERF401  what was found before the deadline counts
        except TimeoutError:
            late = STEPS[len(found)]
            found.append(ProbeStep(late, ok=False, words=f"not done within {self.deadline:g} s", remedy=SLOW_REMEDY))
        rest = STEPS[len(found) :]
        return (*found, *(ProbeStep(step, None, "not tried") for step in rest))


@frozen(eq=False, repr=False)
class _Probe:
    client: UpstreamClient
    link: UpstreamLink

    async def steps(self, repository: str | None) -> AsyncIterator[ProbeStep]:
        """Yield the steps, up to the first that fails."""
        for step in (self._dns, self._address, self._connection, self._challenge, self._token):
            found = await step(repository)
            yield found
            if not found.ok:
                return
        yield await self._manifest(repository)

    async def _dns(self, _: str | None) -> ProbeStep:
        host = self.link.origin.host
        try:
            await self.client.session.resolver.look_up(self.link.origin, self.link.team)
        except InputRefused as error:
            return ProbeStep("dns", ok=False, words=str(error), remedy=ADDRESS_REMEDY)
        except UpstreamFailed as error:
            return ProbeStep("dns", ok=False, words=str(error), remedy=NAME_REMEDY)
        return ProbeStep("dns", ok=True, words=f"{host} can be resolved")

    async def _address(self, _: str | None) -> ProbeStep:
        try:
            addresses = await self.client.session.resolver.addresses(self.link.origin, self.link.team)
        except UpstreamFailed as error:
            return ProbeStep("address", ok=False, words=str(error), remedy=ADDRESS_REMEDY)
        return ProbeStep("address", ok=True, words=f"leads to {', '.join(map(str, addresses[:4]))}")

    async def _connection(self, _: str | None) -> ProbeStep:
        try:
            await self.client.access.challenge(self.link)
        except UpstreamFailed as error:
            if error.facts.get("stage") in {"connection", "tls"}:
                return ProbeStep("tls", ok=False, words=str(error), remedy=TLS_REMEDY)
        plain = "there is a connection, without TLS: everything crosses this network in clear"
        tls = "the certificate is valid for this name"
        return ProbeStep("tls", ok=True, words=tls if self.link.origin.scheme == "https" else plain)

    async def _challenge(self, _: str | None) -> ProbeStep:
        try:
            challenge = await self.client.access.challenge(self.link)
            if challenge is None:
                return ProbeStep("challenge", ok=True, words="asks for no credential")
            if challenge.scheme == BASIC:
                return ProbeStep("challenge", ok=True, words="asks for user name and secret with every request (Basic)")
            server = token_server(self.link, challenge)
        except UpstreamFailed as error:
            return ProbeStep("challenge", ok=False, words=str(error), remedy=CHALLENGE_REMEDY)
        return ProbeStep("challenge", ok=True, words=f"asks for tokens of {server.origin.authority}")

    async def _token(self, repository: str | None) -> ProbeStep:
        """Sign in for the repository to test; if there is none, for a name from the link."""
        hint = PRESETS[self.link.provider].hint
        try:
            name = self._repository(repository)[0] or "library/none"
            challenge = await self.client.access.challenge(self.link)
            basic = await basic_of(self.link, self.client.access.unseal)
            is_exchanged = self.link.provider is Provider.ECR and basic is not None
            if is_exchanged or (challenge is not None and challenge.scheme != BASIC):
                await self.client.access.authorization(self.link, name)
                return ProbeStep("token", ok=True, words="gives a token" + ("" if basic else " without a credential"))
        except UpstreamRefused as error:
            return ProbeStep("token", ok=False, words=str(error), remedy=hint)
        except UpstreamFailed as error:
            return ProbeStep("token", ok=False, words=str(error), remedy="try again later")
        if challenge is not None and basic is None:
            return ProbeStep("token", ok=False, words="asks for a credential; this link has none", remedy=hint)
        return ProbeStep("token", ok=True, words="no token is needed")

    async def _manifest(self, repository: str | None) -> ProbeStep:
        name, tag = self._repository(repository)
        if name is None:
            return ProbeStep("manifest", None, NO_REPOSITORY)
        try:
            tag = tag or await self._some_tag(name)
            found = await self.client.head_manifest(self.link, name, tag)
        except UpstreamNotFound as error:
            return ProbeStep("manifest", ok=False, words=str(error), remedy=MANIFEST_REMEDY)
        except UpstreamRefused as error:
            remedy = PRESETS[self.link.provider].hint if error.credential else MANIFEST_REMEDY
            return ProbeStep("manifest", ok=False, words=str(error), remedy=remedy)
        except UpstreamFailed as error:
            return ProbeStep("manifest", ok=False, words=str(error), remedy="try again later")
        return ProbeStep("manifest", ok=True, words=f"{name}:{tag} is {found.digest}")

    async def _some_tag(self, name: str) -> str:
        names = (await self.client.list_tags(self.link, name)).names
        return names[-1] if names and "latest" not in names else "latest"

    def _repository(self, given: str | None) -> tuple[str | None, str | None]:
        """Return the repository to test, as the upstream names it, and its tag; each None if not given."""
        known = next((pattern for pattern in self.link.repositories if "*" not in pattern), None)
        name, _, tag = (given or known or "").partition(":")
        return (upstream_repository(self.link, name.split("/")), tag or None) if name else (None, None)
