"""One-time links: an invitation to a team, or the right to set a new password (192 bits and more, 72 hours).

A link is bound to one person in their present state: team, address and role for an invitation, account and epoch for a
reset. It becomes void when it is used, when there is a newer link for the same address, when the account changes, and
when the member who made it loses the right to do so or the token that was used for it ends. Only its SHA-256 is stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import ID_BYTES, LINK_KIND, SECRET_BYTES, MachineSecret, new_id
from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.actor import OPERATOR, Actor, ActorKind
from authsvc.manage.authorization import permitted
from authsvc.manage.idempotency import repeatable, shows_secret
from authsvc.manage.lookup import (
    find_apps_of,
    find_member,
    find_member_by_id,
    find_team,
)
from authsvc.manage.maker import maker_now, member_now
from authsvc.manage.members import at_next_epoch, facts_of, new_member, parse_role
from authsvc.manage.new_passwords import PasswordHasher, hashed_for
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import LINK_LIFE, LinkPurpose, OneTimeLink, PersonalToken
from authsvc.tenancy.names import parse_email
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned

VOID = "the link is not valid: used, ended, taken back, replaced, or the account changed; ask for a new one"
"""One sentence for every reason, so that guesses reveal nothing."""


@frozen
class OpenLink:
    """A link as it is listed.

    Attributes:
        link: the record.
        maker: address of the member who made it; None for the operator.
        works: whether its creator could make it now, and its member is unchanged; else it is void.
    """

    link: OneTimeLink
    maker: str | None
    works: bool


@frozen(eq=False, repr=False)
class Links:
    """Creates, lists, redeems and revokes one-time links.

    Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
        hasher: hashes new passwords.
    """

    stores: Stores
    hasher: PasswordHasher

    async def _redeemed(self, member_id: str, _operation: Operation) -> Member:
        # The link authenticates the person, and the request is the same.
        return await find_member_by_id(self.stores, Actor.operator(), member_id)

    async def _revoked(self, _link_id: str, _operation: Operation) -> None:
        return  # of a repeat: nothing is left to read again

    @permitted(Permission.LINK_LIST)
    async def list(self, actor: Actor, team: str, now: datetime) -> tuple[OpenLink, ...]:
        """Return the open links of a team, those that end first at the top.

        Raises:
            NotFound: there is no such team for the actor.
        """
        owner = await find_team(self.stores, actor, team)
        links = [one.record for one in await self.stores.links.of_team(owner.slug, now)]
        behind = await self._behind(links)
        return tuple(_listed(link, behind, now) for link in links)

    @permitted(Permission.LINK_REVOKE)
    @repeatable(_revoked)
    async def revoke(self, link: str, team: str, operation: Operation) -> None:
        """Revoke a link.

        Args:
            link: its id, or the address of the person it is for.
            team: slug of the team that it is a link of.
            operation: the circumstances.

        Raises:
            NotFound: there is no such team for the actor, or it has no such link that is open.
            Conflict: it was used or replaced at the same moment.
        """
        owner = await find_team(self.stores, operation.actor, team)
        name = link.strip().lower()
        for one in await self.stores.links.of_team(owner.slug, operation.now):
            if name in {one.record.id, one.record.email}:
                operation.require_match(one.record)
                entry = operation.entry("link.revoked", **_facts_of(one.record))
                return await self.stores.links.remove(one, entry)
        raise NotFound(f"the team has no open link {link[:60]!r}", code="link_not_found", field="link")

    @permitted(Permission.MEMBER_INVITE)
    @shows_secret
    async def invite(self, email: str, team: str, role: str, apps: Sequence[str], operation: Operation) -> Secret:
        """Return the secret of a new one-time link that invites this address; an older link becomes void.

        Raises:
            InputRefused: something is not acceptable, or the address belongs to a member.
            NotFound: there is no such team or app.
            Conflict: the team has as many open links as it may have.
        """
        canonical, rank = parse_email(email), parse_role(role)
        owner = await find_team(self.stores, operation.actor, team)
        limits = await find_apps_of(self.stores, apps, owner.slug)
        if await self.stores.members.by_email(canonical) is not None:
            raise InputRefused(
                f"{canonical} is a member already", code="email_taken", field="email", facts={"email": canonical}
            )
        return await self._link(
            OneTimeLink(
                id="",
                purpose=LinkPurpose.INVITE,
                sha256="",
                team=owner.slug,
                email=canonical,
                role=rank,
                apps=limits,
                created_at=operation.now,
                expires_at=operation.now + LINK_LIFE,
                creator=operation.actor.member_id,
                token=operation.actor.token,
            ),
            operation,
        )

    @permitted(Permission.MEMBER_RESET)
    @shows_secret
    async def reset(self, member: str, operation: Operation) -> Secret:
        """Return the secret of a new one-time link that sets a new password; an older link becomes void.

        Args:
            member: id or e-mail address.
            operation: the circumstances.

        Raises:
            InputRefused: it is neither an id nor an address.
            NotFound: there is no such member for the actor.
            PermissionDenied: a token asks for a link to its own member's password.
            Conflict: the team has as many open links as it may have.
        """
        found = (await find_member(self.stores, operation.actor, member)).record
        if found.id == operation.actor.member_id:
            operation.actor.require_in_person("set its member's password")
        return await self._link(
            OneTimeLink(
                id="",
                purpose=LinkPurpose.RESET,
                sha256="",
                team=found.team,
                email=found.email,
                role=found.role,
                apps=found.apps,
                created_at=operation.now,
                expires_at=operation.now + LINK_LIFE,
                creator=operation.actor.member_id,
                token=operation.actor.token,
                member=found.id,
                epoch=found.epoch,
            ),
            operation,
        )

    @permitted(Permission.LINK_REDEEM)
    @repeatable(_redeemed)
    async def redeem(self, link: Secret, password: Secret, operation: Operation) -> Member:
        """Use up a link and return the member that it made or gave a new password; not if the password is refused.

        Raises:
            InputRefused: the link is void (one sentence for every reason), or the password is not acceptable.
            Throttled: too many passwords were tried with this link.
            Overloaded: too many new passwords wait to be hashed.
        """
        secret = MachineSecret.parse(link.reveal().strip())
        stored = None if secret is None or secret.kind != LINK_KIND else await self.stores.links.get(secret.id)
        if secret is None or stored is None or not secret.has_digest(stored.record.sha256):
            raise _void()
        if operation.now >= stored.record.expires_at or not await self._maker_still_may(stored.record, operation.now):
            raise _void()
        terms = stored.record
        password_hash = await hashed_for(
            terms.id, password, terms.email, terms.team, self.stores, self.hasher, operation
        )
        try:
            if terms.purpose is LinkPurpose.INVITE:
                return await self._join(stored, password_hash, operation)
            return await self._set_password(stored, password_hash, operation)
        except Conflict:  # another request used the same link first, or changed the account
            raise _void() from None

    async def _join(self, link: Versioned[OneTimeLink], password_hash: Secret, operation: Operation) -> Member:
        terms = link.record
        member = new_member(terms.email, terms.team, terms.role, terms.apps, password_hash, operation)
        entry = _by_redeemer(operation, member).entry(
            "member.joined", **facts_of(member), role=str(member.role), link=terms.id
        )
        await self.stores.links.accept_invite(link, member, entry)
        return member

    async def _set_password(self, link: Versioned[OneTimeLink], password_hash: Secret, operation: Operation) -> Member:
        terms = link.record
        old = await self.stores.members.by_email(terms.email)
        if old is None or (old.record.id, old.record.epoch) != (terms.member, terms.epoch):
            raise _void()
        member = at_next_epoch(old.record, password_hash=password_hash)
        facts = {**facts_of(member), "link": terms.id}
        entry = _by_redeemer(operation, member).entry_of_change("member.password_reset", old.record, member, **facts)
        await self.stores.links.accept_reset(link, old, member, entry)
        return member

    async def _maker_still_may(self, link: OneTimeLink, now: datetime) -> bool:
        """Whether a link's creator is the operator, or a member who could still make it, with the same token if any."""
        subject = OPERATOR if link.creator is None else f"{ActorKind.MEMBER}:{link.creator}"
        return _may_make(link, await maker_now(self.stores, subject, link.token, now))

    async def _behind(self, links: Sequence[OneTimeLink]) -> "_LinkRecords":
        """Return the records that links depend on, read at the same moment, each once."""
        people = sorted({one for link in links for one in (link.creator, link.member) if one is not None})
        used = sorted({link.token for link in links if link.token is not None})
        members, tokens = await asyncio.gather(
            asyncio.gather(*(self.stores.members.get(one) for one in people)),
            asyncio.gather(*(self.stores.personal_tokens.get(one) for one in used)),
        )
        return _LinkRecords(
            {one.record.id: one.record for one in members if one is not None},
            {one.record.id: one.record for one in tokens if one is not None},
        )

    async def _link(self, terms: OneTimeLink, operation: Operation) -> Secret:
        secret = MachineSecret.build(LINK_KIND, new_id(operation.entropy(ID_BYTES)), operation.entropy(SECRET_BYTES))
        link = evolve(terms, id=secret.id, sha256=secret.sha256())
        entry = operation.entry("link.created", **_facts_of(link))
        await self.stores.links.add(link, int(LINK_LIFE.total_seconds()), entry)
        return secret.text


@frozen
class _LinkRecords:
    """The records that links depend on, by id: creators, members whose password is reset, and tokens of creators."""

    people: Mapping[str, Member]
    used: Mapping[str, PersonalToken]


def _listed(link: OneTimeLink, behind: _LinkRecords, now: datetime) -> OpenLink:
    maker = behind.people.get(link.creator or "")
    used = behind.used.get(link.token or "")
    actor = Actor.operator() if link.creator is None else member_now(maker, link.token, used, now)
    works = _may_make(link, actor)
    if link.member is not None:
        member = behind.people.get(link.member)
        works = works and member is not None and member.epoch == link.epoch
    return OpenLink(link, None if maker is None else maker.email, works)


def _may_make(link: OneTimeLink, maker: Actor | None) -> bool:
    """Whether the creator of a link could make it now."""
    purposes = {LinkPurpose.INVITE: Permission.MEMBER_INVITE, LinkPurpose.RESET: Permission.MEMBER_RESET}
    return maker is not None and maker.may(purposes[link.purpose]) and maker.sees(link.team)


def _by_redeemer(operation: Operation, member: Member) -> Operation:
    """Return the operation with the actor for the audit: the member, unless the operator acted for them."""
    return operation if operation.actor.is_operator else evolve(operation, actor=Actor.of_member(member))


def _facts_of(link: OneTimeLink) -> dict[str, str]:
    return {"team": link.team, "role": str(link.role), "link": link.id, "purpose": str(link.purpose)}


def _void() -> InputRefused:
    return InputRefused(VOID, code="link_void", field="link")
