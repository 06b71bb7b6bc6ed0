"""Creates, changes, purges and removes links of external registries to apps."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import ID_BYTES, new_id
from authsvc.errors import Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import require
from authsvc.manage.idempotency import repeatable
from authsvc.manage.license_use import MOST_EXAMINED
from authsvc.manage.lookup import find_app, find_team, find_upstream, no_app
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.secret_sealer import SecretSealer
from authsvc.manage.stores import Stores
from authsvc.manage.upstream_checks import UpstreamChecks
from authsvc.manage.upstream_use import UpstreamUse, ended_by_unlinking, licenses_naming, use_of_link
from authsvc.redaction import Secret
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.versioned import Versioned
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink, credential_context, new_targets, parse_exposed, parse_link_name
from authsvc.upstreams.probe import ProbeStep
from authsvc.upstreams.providers import PRESETS
from authsvc.upstreams.terms import LinkTerms, UpstreamCredential, parse_credential, with_token_hosts


@frozen
class LinkChange:
    """Changes to a link; attributes that are None do not change anything.

    Attributes:
        repositories: patterns that replace all present ones.
        token_hosts: hosts that replace all present ones.
        username: of the new credential.
        secret: of the new credential.
        credential_ends_at: when the new credential ends, as stated by the vendor.
        anonymous: whether the credential is removed.
    """

    repositories: Sequence[str] | None = None
    token_hosts: Sequence[str] | None = None
    username: str | None = None
    secret: Secret | None = None
    credential_ends_at: datetime | None = None
    anonymous: bool = False

    @property
    def has_credential(self) -> bool:
        """Whether the credential is changed."""
        return self.anonymous or self.username is not None or self.secret is not None


@frozen(eq=False, repr=False)
class Upstreams:
    """Links external registries. A link is named by its id, or by its app and its name there.

    Every method raises StoreUnavailable when the store does not answer, and Conflict when what it changes was changed
    concurrently. Methods that seal a secret also raise the errors of the sealer.

    Attributes:
        stores: the records.
        sealer: seals the secrets of credentials.
        checks: sends requests to upstreams.
        most_examined: most licenses of an app that are examined to find those that name a link.
    """

    stores: Stores
    sealer: SecretSealer
    checks: UpstreamChecks
    most_examined: int = MOST_EXAMINED

    async def _first(self, link_id: str, operation: Operation) -> UpstreamLink:
        return (await find_upstream(self.stores, operation.actor, link_id)).record

    async def _ended(self, _link_id: str, _operation: Operation) -> None:
        """Return the result for a repeated removal: there is nothing to read again."""

    @permitted(Permission.UPSTREAM_LINK)
    @repeatable(_first)
    async def link(
        self,
        app: str,
        name: str,
        terms: LinkTerms,
        operation: Operation,
        credential_ends_at: datetime | None = None,
    ) -> UpstreamLink:
        """Return a new link.

        Args:
            app: slug.
            name: unique in the app; part of every image name.
            terms: of the link.
            operation: the circumstances.
            credential_ends_at: when the credential ends, as stated by the vendor; None when that is unknown.

        Raises:
            InputRefused: the name is not acceptable, or the address is not allowed for upstreams.
            NotFound: there is no such app.
            Conflict: the app is archived or has a link of this name, or app or team have as many as they may have.
        """
        known = parse_link_name(name)
        found = await find_app(self.stores, operation.actor, app)
        if found.record.archived_at is not None:
            raise Conflict(f"the app {app!r} is archived; nothing is pulled from it", code="app_archived", field="app")
        await self.checks.vet_host(terms.origin, found.record.team)
        link = UpstreamLink(
            id=new_id(operation.entropy(ID_BYTES)),
            team=found.record.team,
            app=found.record.slug,
            name=known,
            provider=terms.provider,
            origin=terms.origin,
            token_hosts=terms.token_hosts,
            repositories=terms.repositories,
            username=None,
            sealed_secret=None,
            credential_version=1,
            purge_count=0,
            created_at=operation.now,
            created_by=operation.actor.member_id,
            changed_at=operation.now,
            credential_ends_at=credential_ends_at,
        )
        link = await self._with_credential(link, terms.credential)
        entry = operation.entry(
            "upstream.linked",
            **_facts(link),
            provider=str(link.provider),
            origin=link.origin.text,
            repositories=list(link.repositories),
            username=link.username,
        )
        await self.stores.upstreams.add(link, found, entry)
        return link

    @permitted(Permission.UPSTREAM_LIST)
    async def list(
        self,
        actor: Actor,
        *,
        team: str | None = None,
        app: str | None = None,
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[tuple[UpstreamLink, UpstreamHealth]]:
        """Return one page of the links of an app, of a team, or of all teams that the actor sees, each with its health.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such team or app for the actor.
        """
        owner = actor.team if team is None else (await find_team(self.stores, actor, team)).slug
        if app is not None:
            found = (await find_app(self.stores, actor, app)).record
            if team is not None and found.team != owner:
                raise no_app(app)
            owner = found.team
        page = await self.stores.upstreams.page(owner, after, page_size(limit), app=app)
        health = await self.stores.upstreams.health(page.items)
        return Page(tuple(zip(page.items, health, strict=True)), page.next, page.unreadable)

    @permitted(Permission.UPSTREAM_SHOW)
    async def show(self, actor: Actor, name: str, app: str | None = None) -> tuple[UpstreamLink, UpstreamHealth]:
        """Return one link with its health; its secret is never shown again.

        Args:
            actor: the caller.
            name: id, or name within ``app``.
            app: slug, or None.

        Raises:
            NotFound: there is no such link, or no such app, for the actor.
        """
        link = (await find_upstream(self.stores, actor, name, app)).record
        return link, (await self.stores.upstreams.health([link]))[0]

    @permitted(Permission.UPSTREAM_USE)
    async def use(self, actor: Actor, name: str, app: str | None, now: datetime) -> UpstreamUse:
        """Return which licenses name a link, and when each pulled through it: those that unlinking would affect.

        Args:
            actor: the caller.
            name: id, or name within ``app``.
            app: slug, or None.
            now: the time of the request.

        Raises:
            NotFound: there is no such link, or no such app, for the actor.
        """
        link = (await find_upstream(self.stores, actor, name, app)).record
        return await use_of_link(self.stores, link, now, self.most_examined)

    @permitted(Permission.UPSTREAM_SET)
    @repeatable(_first)
    async def set(self, name: str, app: str | None, change: LinkChange, operation: Operation) -> UpstreamLink:
        """Change the repositories, token hosts or credential of a link, and return it.

        A new credential is a new version: images that were fetched with the old one are no longer served. A stored
        credential is sent only to hosts that were set when it was entered, so a change that adds a token host must
        include the credential again.

        Raises:
            InputRefused: something is not acceptable, or the stored credential would be sent to another host.
            NotFound: there is no such link.
        """
        stored = await self._found(name, app, operation)
        new = old = stored.record
        if change.repositories is not None:
            new = evolve(new, repositories=parse_exposed(change.repositories))
        if change.token_hosts is not None:
            new = evolve(new, token_hosts=with_token_hosts(PRESETS[old.provider], old.origin, change.token_hosts))
        if change.has_credential:
            new = evolve(new, credential_version=old.credential_version + 1, credential_ends_at=None)
            new = await self._with_credential(new, _credential(old, change))
        if change.credential_ends_at is not None:
            new = evolve(new, credential_ends_at=change.credential_ends_at)
        return await self._replace(stored, new, "upstream.changed", operation)

    @permitted(Permission.UPSTREAM_TEST)
    async def test(
        self, name: str, app: str | None, repository: str | None, operation: Operation
    ) -> Sequence[ProbeStep]:
        """Return the result of each step of a test of the link; it is also stored in the link's health.

        It does not change the link, and no audit entry is written.

        Args:
            name: id, or name within ``app``.
            app: slug, or None.
            repository: as the upstream names it, optionally with a tag; None for one of the link's patterns.
            operation: the circumstances.

        Raises:
            NotFound: there is no such link.
            Conflict: its secret cannot be unsealed.
        """
        link = (await find_upstream(self.stores, operation.actor, name, app)).record
        secret = None
        if link.sealed_secret is not None:
            opened = await self.sealer.unseal(link.sealed_secret, credential_context(link))
            secret = Secret(opened.decode())
        steps = await self.checks.probe(link, secret, repository)
        failed = next((step for step in steps if step.ok is False), None)
        await self.stores.upstreams.note(link, operation.now, failed)
        return steps

    @permitted(Permission.UPSTREAM_PURGE)
    @repeatable(_first)
    async def purge(self, name: str, app: str | None, operation: Operation) -> UpstreamLink:
        """Invalidate everything that is cached of the upstream; the next pulls fetch it again.

        Raises:
            NotFound: there is no such link.
        """
        stored = await self._found(name, app, operation)
        purged = evolve(stored.record, purge_count=stored.record.purge_count + 1)
        return await self._replace(stored, purged, "upstream.purged", operation)

    @permitted(Permission.UPSTREAM_UNLINK)
    @repeatable(_ended)
    async def unlink(self, name: str, app: str | None, operation: Operation, confirmed: str | None = None) -> None:
        """Remove a link: nothing can be pulled through it any more, and its credential is deleted.

        Raises:
            NotFound: there is no such link.
            ConfirmationNeeded: active licenses name it, or may name it, if the app has too many to examine all.
        """
        stored = await self._found(name, app, operation)
        link = stored.record
        naming = await licenses_naming(self.stores, link, operation.now, self.most_examined)
        require(ended_by_unlinking(link, naming), confirmed)
        entry = operation.entry("upstream.unlinked", **_facts(link), licenses=len(naming.licenses))
        await self.stores.upstreams.remove(stored, entry)

    async def _with_credential(self, link: UpstreamLink, credential: UpstreamCredential | None) -> UpstreamLink:
        if credential is None:
            return evolve(link, username=None, sealed_secret=None)
        sealed = await self.sealer.seal(credential.secret.reveal().encode(), credential_context(link))
        return evolve(link, username=credential.username, sealed_secret=sealed)

    async def _found(self, name: str, app: str | None, operation: Operation) -> Versioned[UpstreamLink]:
        stored = await find_upstream(self.stores, operation.actor, name, app)
        operation.require_match(stored.record)
        return stored

    async def _replace(
        self, old: Versioned[UpstreamLink], new: UpstreamLink, event: str, operation: Operation
    ) -> UpstreamLink:
        if new == old.record:
            return new
        _require_credential(old.record, new)
        new = evolve(new, changed_at=operation.now)
        await self.stores.upstreams.replace(old, new, operation.entry_of_change(event, old.record, new, **_facts(new)))
        return new


def _credential(link: UpstreamLink, change: LinkChange) -> UpstreamCredential | None:
    """Return the new credential of a link; a new secret without a username is for the present one.

    Raises:
        InputRefused: it is not valid for the provider.
    """
    preset = PRESETS[link.provider]
    if change.anonymous:
        return parse_credential(preset, None, None)
    username = change.username
    if username is None and not preset.fixed_usernames:
        username = link.username
    return parse_credential(preset, username, change.secret)


def _require_credential(old: UpstreamLink, new: UpstreamLink) -> None:
    """Check that a change does not send the stored credential to additional hosts.

    Otherwise a stolen session, which cannot read the credential, could have it sent to a host of the attacker.

    Raises:
        InputRefused: it would be sent to another host.
    """
    added = new_targets(old, new)
    if added and new.sealed_secret is not None and new.credential_version == old.credential_version:
        raise InputRefused(
            f"the credential of {old.name} would be sent to {' and '.join(added)} too: give its secret again in the "
            "same change, to show that you have it",
            code="credential_needed",
            field="secret",
        )


def _facts(link: UpstreamLink) -> dict[str, object]:
    return {"upstream": link.id, "name": link.name, "app": link.app, "team": link.team}
