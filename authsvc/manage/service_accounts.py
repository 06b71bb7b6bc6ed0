"""Service accounts: accounts of machines, with grants instead of a role."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import ID_BYTES, SECRET_BYTES, SERVICE_KIND, MachineSecret, new_id
from authsvc.errors import Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import require
from authsvc.manage.idempotency import repeatable, shows_secret
from authsvc.manage.lookup import (
    SERVICE_ACCOUNT_NAME,
    find_apps_of,
    find_member_by_id,
    find_service_account,
    find_team,
)
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.rotation import ended, rotation_ends
from authsvc.manage.stores import Stores
from authsvc.manage.tokens import parse_api
from authsvc.policy import ACTIONS, ROLE_ACTIONS
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_end, render_instant
from authsvc.tenancy.machine_records import Grant, ServiceAccount
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.patterns import MAX_PATTERNS, parse_pattern
from authsvc.tenancy.records import Member, TokenDigest, rotated
from authsvc.tenancy.versioned import Versioned

MAX_NAME = 60


@frozen(eq=False, repr=False)
class ServiceAccounts:
    """Makes and changes service accounts. An account is named by its id, or by team and name.

    If ``team`` is None, it is the actor's team.

    Every method raises StoreUnavailable when the store does not answer, and Conflict when what it changes was changed
    concurrently.
    """

    stores: Stores

    async def _first(self, account_id: str, operation: Operation) -> ServiceAccount:
        return (await find_service_account(self.stores, operation.actor, account_id)).record

    @permitted(Permission.SERVICE_ACCOUNT_CREATE)
    @shows_secret
    async def create(
        self, name: str, team: str, grants: Sequence[str], api: str | None, expires: str | None, operation: Operation
    ) -> tuple[ServiceAccount, Secret]:
        """Return a new service account and its secret, which is shown only this once.

        Args:
            name: unique in the team, of a slug's grammar.
            team: slug.
            grants: ``APP/PATTERN:ACTION,ACTION`` each.
            api: ``read``, ``manage`` or None.
            expires: a day, an instant or a number of days such as ``90d``; None for no end.
            operation: the circumstances.

        Raises:
            InputRefused: something is not acceptable.
            NotFound: there is no such team or app.
            Conflict: the name is taken.
        """
        if not (SERVICE_ACCOUNT_NAME.fullmatch(name) and len(name) <= MAX_NAME):
            raise InputRefused(
                f"{name[:60]!r} cannot name a service account: use a-z, 0-9 and '-', such as ci-build",
                code="name_invalid",
                field="name",
            )
        owner = await find_team(self.stores, operation.actor, team)
        rows = await self._grants(grants, owner.slug, api)
        secret = MachineSecret.build(SERVICE_KIND, new_id(operation.entropy(ID_BYTES)), operation.entropy(SECRET_BYTES))
        account = ServiceAccount(
            id=secret.id,
            name=name,
            team=owner.slug,
            grants=rows,
            tokens=(TokenDigest(1, secret.sha256()),),
            created_at=operation.now,
            creator=operation.actor.member_id,
            expires_at=None if expires is None else parse_end(expires, operation.now, "expires"),
            api=parse_api(api),
        )
        entry = operation.entry("service-account.created", **_facts(account), grants=[row.render() for row in rows])
        await self.stores.service_accounts.add(account, entry)
        return account, secret.text

    @permitted(Permission.SERVICE_ACCOUNT_LIST)
    async def list(
        self, actor: Actor, team: str, *, after: str | None = None, limit: int = MAX_PAGE
    ) -> Page[tuple[ServiceAccount, datetime | None]]:
        """Return one page of a team's service accounts that are not revoked, by name, each with its last use.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such team.
        """
        owner = await find_team(self.stores, actor, team)
        page = await self.stores.service_accounts.page(owner.slug, after, page_size(limit))
        used = await self.stores.usage.used_at([account.id for account in page.items])
        return Page(tuple((one, used.get(one.id)) for one in page.items), page.next, page.unreadable)

    @permitted(Permission.SERVICE_ACCOUNT_SHOW)
    async def show(self, actor: Actor, name: str, team: str | None = None) -> tuple[ServiceAccount, datetime | None]:
        """Return one service account, revoked or not, with its last use.

        Raises:
            InputRefused: ``team`` is not a valid slug.
            NotFound: there is no such account, or no such team, for the actor.
        """
        account = (await find_service_account(self.stores, actor, name, team)).record
        used = await self.stores.usage.used_at([account.id])
        return account, used.get(account.id)

    @permitted(Permission.SERVICE_ACCOUNT_SET_GRANTS)
    @repeatable(_first)
    async def set_grants(
        self, name: str, team: str | None, grants: Sequence[str], operation: Operation
    ) -> ServiceAccount:
        """Replace all grants of the account; its secret stays, and the next token has the new grants.

        Args:
            name: id, or name within ``team``.
            team: slug; None for the actor's own.
            grants: as for :meth:`create`.
            operation: the circumstances.

        Raises:
            InputRefused: a grant is not acceptable, or gives more than the member who made the account may do.
            NotFound: there is no such account, or the team has no such app.
            Conflict: the account is revoked.
        """
        stored = await self._unrevoked(name, team, operation)
        account = stored.record
        rows = await self._grants(grants, account.team, account.api)
        if account.creator is not None:
            _require_held(rows, await find_member_by_id(self.stores, operation.actor, account.creator))
        return await self._change(stored, evolve(account, grants=rows), "service-account.grants_set", operation)

    @permitted(Permission.SERVICE_ACCOUNT_ROTATE)
    @shows_secret
    async def rotate(
        self, name: str, team: str | None, overlap: timedelta, operation: Operation, confirmed: str | None = None
    ) -> tuple[ServiceAccount, Secret]:
        """Return the account with a new secret; the newest old one still works for ``overlap``, others end now.

        Raises:
            NotFound: there is no such account.
            ConfirmationNeeded: a token that an earlier rotation gave more time would end now; without ``overlap`` no
                confirmation is needed, since every old token shall end.
            Conflict: it is revoked or has ended, so that no secret would be valid.
        """
        stored = await self._unrevoked(name, team, operation)
        account = stored.record
        if account.expires_at is not None and operation.now >= account.expires_at:
            end = render_instant(account.expires_at)
            raise Conflict(f"the service account {name!r} ended at {end}; make a new one", code="service_account_ended")
        secret = MachineSecret.build(SERVICE_KIND, account.id, operation.entropy(SECRET_BYTES))
        tokens = rotated(account.tokens, secret.sha256(), overlap, operation.now)
        changed = evolve(account, tokens=tokens)
        if overlap and account.disabled_at is None:
            require(rotation_ends(f"the service account {name}", account.tokens, tokens, operation.now), confirmed)
        facts = {"generation": tokens[0].generation, "ended": ended(account.tokens, tokens, operation.now)}
        await self._change(stored, changed, "service-account.rotated", operation, **facts)
        return changed, secret.text

    @permitted(Permission.SERVICE_ACCOUNT_DISABLE)
    @repeatable(_first)
    async def disable(self, name: str, team: str | None, operation: Operation) -> ServiceAccount:
        """Refuse the account from now on.

        Raises:
            NotFound: there is no such account.
        """
        stored = await find_service_account(self.stores, operation.actor, name, team)
        operation.require_match(stored.record)
        changed = evolve(stored.record, disabled_at=stored.record.disabled_at or operation.now)
        return await self._change(stored, changed, "service-account.disabled", operation)

    @permitted(Permission.SERVICE_ACCOUNT_ENABLE)
    @repeatable(_first)
    async def enable(self, name: str, team: str | None, operation: Operation) -> ServiceAccount:
        """Undo :meth:`disable`.

        Raises:
            NotFound: there is no such account.
            Conflict: it is revoked, which cannot be undone.
        """
        stored = await self._unrevoked(name, team, operation)
        return await self._change(stored, evolve(stored.record, disabled_at=None), "service-account.enabled", operation)

    @permitted(Permission.SERVICE_ACCOUNT_REVOKE)
    @repeatable(_first)
    async def revoke(self, name: str, team: str | None, operation: Operation) -> ServiceAccount:
        """Refuse the account permanently; its name is never reused.

        Raises:
            NotFound: there is no such account.
        """
        stored = await find_service_account(self.stores, operation.actor, name, team)
        operation.require_match(stored.record)
        changed = evolve(stored.record, revoked_at=stored.record.revoked_at or operation.now)
        return await self._change(stored, changed, "service-account.revoked", operation)

    async def _change(
        self, old: Versioned[ServiceAccount], new: ServiceAccount, event: str, operation: Operation, **facts: object
    ) -> ServiceAccount:
        if new != old.record:
            entry = operation.entry_of_change(event, old.record, new, **_facts(new), **facts)
            await self.stores.service_accounts.replace(old, new, entry)
        return new

    async def _unrevoked(self, name: str, team: str | None, operation: Operation) -> Versioned[ServiceAccount]:
        stored = await find_service_account(self.stores, operation.actor, name, team)
        operation.require_match(stored.record)
        if stored.record.revoked_at is not None:
            raise Conflict(f"the service account {name!r} is revoked; make a new one", code="service_account_revoked")
        return stored

    async def _grants(self, grants: Sequence[str], team: str, api: str | None) -> tuple[Grant, ...]:
        # The number is checked first, since each grant costs a read.
        if len(grants) > MAX_PATTERNS or (not grants and api is None):
            raise InputRefused(
                f"a service account needs 1 to {MAX_PATTERNS} grants, such as myapp/**:pull",
                code="grants_count_invalid",
                field="grants",
            )
        return tuple([await self._grant(text, team) for text in grants])

    async def _grant(self, text: str, team: str) -> Grant:
        path, colon, actions_text = text.rpartition(":")
        slug, slash, pattern = path.partition("/")
        actions = tuple(sorted({action for action in actions_text.split(",") if action}))
        if not (colon and slash and actions and ACTIONS.issuperset(actions)):
            raise InputRefused(
                f"{text[:80]!r} is not a grant; write APP/PATTERN:ACTIONS with actions of {', '.join(sorted(ACTIONS))}"
                ", such as myapp/**:pull,push",
                code="grant_invalid",
                field="grants",
            )
        await find_apps_of(self.stores, [slug], team)
        return Grant(slug, parse_pattern(pattern, "grants"), actions)


def _require_held(grants: Sequence[Grant], creator: Member) -> None:
    """Check that the grants do not exceed what the account's creator may do now; otherwise they would have no effect.

    Raises:
        InputRefused: one exceeds it.
    """
    for grant in grants:
        outside = creator.apps is not None and grant.app not in creator.apps
        more = set(grant.actions) if outside else set(grant.actions) - ROLE_ACTIONS[creator.role]
        if more:
            raise InputRefused(
                f"{grant.render()!r} gives more than {creator.email}, who created the account, may do now "
                f"({', '.join(sorted(more))}); leave that out, or make a new account",
                code="grant_exceeds_creator",
                field="grants",
            )


def _facts(account: ServiceAccount) -> dict[str, object]:
    return {"service_account": account.id, "name": account.name, "team": account.team}
