"""Creates, lists and revokes links to the pages of licenses.

The holder of such a link sees the page of one license and downloads its file, without an account. It is a secret of 256
random bits of which only the SHA-256 is stored; it ends, and can be revoked. After a rotation of the license it gives
the new file; for a license that is not active it gives none. It is valid only as long as its creator may make it
(:mod:`authsvc.manage.license_by_link`).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from authsvc.credentials.machine_secret import ID_BYTES, PAGE_KIND, SECRET_BYTES, MachineSecret, is_id, new_id
from authsvc.errors import InputRefused, NotFound
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.idempotency import repeatable, shows_secret
from authsvc.manage.lookup import find_license
from authsvc.manage.maker import maker_now
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.manage.subject_names import names_of
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_end, render_instant
from authsvc.tenancy.license_link import DEFAULT_LINK_LIFE, MAX_LINK_LIFE, LicenseLink
from authsvc.tenancy.versioned import Versioned


@frozen
class ListedLink:
    """A link as it is listed.

    Attributes:
        link: the record.
        works: whether its creator could make it now, so that it is valid.
        maker: name of its creator; None for the operator, and for a removed account.
    """

    link: LicenseLink
    works: bool
    maker: str | None


async def works(stores: Stores, link: LicenseLink, now: datetime) -> bool:
    """Return whether an existing link is valid now.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    if now >= link.expires_at:
        return False
    maker = await maker_now(stores, link.creator, link.token, now)
    return maker is not None and maker.may(Permission.LICENSE_LINK_CREATE) and maker.sees(link.team, link.app)


@frozen(eq=False, repr=False)
class LicenseLinks:
    """Creates and revokes links. A license is named by its id or its reference.

    Every method raises StoreUnavailable when the store does not answer.
    """

    stores: Stores

    async def _revoked(self, _link_id: str, _operation: Operation) -> int:
        return 0  # of a repeat: nothing is left to read again

    @permitted(Permission.LICENSE_LINK_CREATE)
    @shows_secret
    async def create(
        self, license_id: str, operation: Operation, *, expires: str = DEFAULT_LINK_LIFE, app: str | None = None
    ) -> tuple[LicenseLink, Secret]:
        """Return a new link to the page of a license, and its secret, which is shown only this once.

        Raises:
            InputRefused: the end is not acceptable.
            NotFound: there is no such license for the actor.
            Conflict: the license has as many links as it may have, or was changed concurrently.
        """
        license_ = await find_license(self.stores, operation.actor, license_id, app)
        end = parse_end(expires, operation.now, "expires")
        if end > operation.now + MAX_LINK_LIFE:
            raise InputRefused(
                f"a link ends after {MAX_LINK_LIFE.days} days at the latest", code="period_invalid", field="expires"
            )
        secret = MachineSecret.build(PAGE_KIND, new_id(operation.entropy(ID_BYTES)), operation.entropy(SECRET_BYTES))
        link = LicenseLink(
            id=secret.id,
            license=license_.record.id,
            app=license_.record.app,
            team=license_.record.team,
            sha256=secret.sha256(),
            created_at=operation.now,
            expires_at=end,
            creator=operation.actor.subject,
            token=operation.actor.token,
        )
        facts = {"license": link.license, "app": link.app, "team": link.team}
        entry = operation.entry("license-link.created", **facts, link=link.id, expires_at=render_instant(end))
        await self.stores.license_links.add(link, license_, entry)
        return link, secret.text

    @permitted(Permission.LICENSE_LINK_LIST)
    async def list(
        self, actor: Actor, license_id: str, now: datetime, app: str | None = None
    ) -> tuple[ListedLink, ...]:
        """Return the links to the page of a license that have not ended, those that end first at the top.

        Raises:
            NotFound: there is no such license for the actor.
        """
        license_ = (await find_license(self.stores, actor, license_id, app)).record
        found = await self.stores.license_links.of_license(license_.id)
        live = [one.record for one in found if now < one.record.expires_at]
        answers, names = await asyncio.gather(
            asyncio.gather(*(works(self.stores, link, now) for link in live)),
            names_of(self.stores, (link.creator for link in live), license_.team),
        )
        makers = (names.get(link.creator) for link in live)
        return tuple(map(ListedLink, live, answers, makers))

    @permitted(Permission.LICENSE_LINK_REVOKE)
    @repeatable(_revoked)
    async def revoke(self, name: str, operation: Operation, *, link: str | None = None, app: str | None = None) -> int:
        """Revoke links to the page of a license; return how many.

        Args:
            name: id or reference of the license; or, when ``link`` is None, the id of the only link.
            operation: the circumstances.
            link: id of a link of the license; None for all of them.
            app: slug of the only app in which a reference is looked for.

        Raises:
            NotFound: there is no such license for the actor, or it has no such link.
            PreconditionFailed: a link has none of the given entity tags.
        """
        chosen: Sequence[Versioned[LicenseLink]] = () if link is not None else await self._one(operation.actor, name)
        if not chosen:
            license_ = (await find_license(self.stores, operation.actor, name, app)).record
            found = await self.stores.license_links.of_license(license_.id)
            chosen = [one for one in found if link in {None, one.record.id}]
        if link is not None and not chosen:
            raise NotFound(f"the license has no link {link[:40]!r}", code="license_link_not_found", field="link")
        for one in chosen:
            operation.require_match(one.record)
        if chosen:
            first, ids = chosen[0].record, [one.record.id for one in chosen]
            facts = {"license": first.license, "app": first.app, "team": first.team}
            await self.stores.license_links.remove(chosen, operation.entry("license-link.revoked", **facts, links=ids))
        return len(chosen)

    async def _one(self, actor: Actor, name: str) -> Sequence[Versioned[LicenseLink]]:
        """Return the link with this id, if the actor sees it."""
        found = await self.stores.license_links.get(name) if is_id(name) else None
        return [found] if found is not None and actor.sees(found.record.team, found.record.app) else []
