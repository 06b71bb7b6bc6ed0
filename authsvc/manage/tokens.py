"""A member's credentials for tools: personal tokens, and the sign-ins of ``docker login``."""

from collections.abc import Callable
from datetime import datetime

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import (
    ID_BYTES,
    PERSONAL_KIND,
    REFRESH_KIND,
    SECRET_BYTES,
    MachineSecret,
    new_id,
)
from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.credential_lookup import find_token
from authsvc.manage.credential_stores import SignInStore
from authsvc.manage.idempotency import repeatable, shows_secret
from authsvc.manage.lookup import find_member, parse_member
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_end
from authsvc.tenancy.machine_records import (
    MAX_REFRESH_TOKENS,
    REFRESH_LIFE,
    REFRESH_WINDOW,
    ApiAccess,
    PersonalToken,
    RefreshToken,
)
from authsvc.tenancy.names import parse_text
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.records import Member

OPERATION_BYTES = 16
MAX_CLIENT = 60
"""Most characters of the unverified client name that are stored."""

MAX_PERSONAL_TOKENS = 100
"""Most valid personal tokens of one member."""


@frozen
class TokenLine:
    """One row of a member's list.

    Attributes:
        id: for ``revoke``.
        kind: ``personal`` or ``sign-in``.
        name: the token's name, or the client that signed in.
        created_at: aware.
        ends_at: when it expires, or None.
        used_at: when it was last used, or None.
        live: whether it is valid now.
        api: what it may do at the management API, or None.
    """

    id: str
    kind: str
    name: str
    created_at: datetime
    ends_at: datetime | None
    used_at: datetime | None
    live: bool
    api: str | None = None


@frozen(eq=False, repr=False)
class Tokens:
    """Creates, lists and revokes a member's tokens.

    Every method raises StoreUnavailable when the store does not answer.
    """

    stores: Stores

    async def _revoked(self, _token_id: str, _operation: Operation) -> None:
        return None

    @permitted(Permission.TOKEN_CREATE)
    @shows_secret
    async def create(
        self, name: str, member: str, expires: str | None, api: str | None, operation: Operation
    ) -> tuple[PersonalToken, Secret]:
        """Return a new personal token and its secret, which is shown only this once.

        Args:
            name: unique among the member's live tokens.
            member: id or e-mail address of the owner.
            expires: a day, an instant or a number of days such as ``90d``; None for no end.
            api: ``read``, ``manage`` or None.
            operation: the circumstances.

        Raises:
            InputRefused: something is not acceptable.
            NotFound: there is no such member.
            Conflict: the member has a live token of this name, or too many, or was changed concurrently.
            PermissionDenied: it is another member's.
        """
        operation.actor.require_self(parse_member(member), Permission.TOKEN_CREATE)
        owner = await find_member(self.stores, operation.actor, member)
        title = parse_text(name, "name")
        ends = None if expires is None else parse_end(expires, operation.now, "expires")
        made = await self.stores.personal_tokens.of_member(owner.record.id)
        live = [token for token in made if _live(token, operation.now)]
        # By name and then by age: the last one with a name is the valid one.
        namesake = next((token for token in reversed(made) if token.name == title), None)
        if namesake in live:
            raise Conflict(
                f"{owner.record.email} has a token {title!r} already; revoke it or choose another name",
                code="name_taken",
                field="name",
            )
        if len(live) >= MAX_PERSONAL_TOKENS:
            raise Conflict(
                f"{owner.record.email} has {len(live)} live tokens; revoke some that are not used",
                code="tokens_too_many",
            )
        secret = MachineSecret.build(
            PERSONAL_KIND, new_id(operation.entropy(ID_BYTES)), operation.entropy(SECRET_BYTES)
        )
        token = PersonalToken(
            id=secret.id,
            name=title,
            member=owner.record.id,
            sha256=secret.sha256(),
            created_at=operation.now,
            expires_at=ends,
            api=parse_api(api),
        )
        entry = operation.entry("token.created", token=token.id, member=token.member, team=owner.record.team, api=api)
        await self.stores.personal_tokens.add(token, owner, namesake, entry)
        return token, secret.text

    @permitted(Permission.TOKEN_LIST)
    async def list(
        self, actor: Actor, member: str, now: datetime, *, after: str | None = None, limit: int = MAX_PAGE
    ) -> Page[TokenLine]:
        """Return one page of a member's credentials other than the password: tokens by name, then the sign-ins.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such member.
            PermissionDenied: it is another member's.
        """
        actor.require_self(parse_member(member), Permission.TOKEN_LIST)
        owner = (await find_member(self.stores, actor, member)).record
        page = await self.stores.personal_tokens.page(owner.id, after, page_size(limit))
        personal = page.items
        sign_ins = await self.stores.sign_ins.of_holder(owner.id) if page.next is None else []
        used = await self.stores.usage.used_at([*(token.id for token in personal), *(token.id for token in sign_ins)])
        lines = [
            *(_token_line(token, used.get(token.id), now) for token in personal),
            *(_sign_in_line(sign_in, owner, used.get(sign_in.id), now) for sign_in in sign_ins),
        ]
        return Page(tuple(line for line in lines if line.live), page.next, page.unreadable)

    @permitted(Permission.TOKEN_SHOW)
    async def show(self, actor: Actor, token_id: str, now: datetime) -> TokenLine:
        """Return a personal token or a sign-in, valid or not.

        Raises:
            NotFound: there is no such token for the actor.
        """
        personal, sign_in = await find_token(self.stores, actor, token_id)
        used = (await self.stores.usage.used_at([token_id])).get(token_id)
        if personal is not None:
            return _token_line(personal.record, used, now)
        owner = None if sign_in is None else await self.stores.members.get(sign_in.record.member)
        if sign_in is None or owner is None:
            raise NotFound(f"there is no token {token_id[:40]!r}", code="token_not_found", field="token_id")
        return _sign_in_line(sign_in.record, owner.record, used, now)

    @permitted(Permission.TOKEN_REVOKE)
    @repeatable(_revoked)
    async def revoke(self, token_id: str, operation: Operation) -> None:
        """Refuse a personal token or a sign-in from now on. Revoking twice keeps the first time.

        Raises:
            NotFound: there is no such token.
            Conflict: it was changed concurrently.
            PermissionDenied: the actor uses a token, which may not end a sign-in.
        """
        personal, sign_in = await find_token(self.stores, operation.actor, token_id)
        if sign_in is not None:
            operation.actor.require_in_person("end a sign-in")
        found = personal or sign_in
        if found is None:
            return
        operation.require_match(found.record)
        if found.record.revoked_at is not None:
            return
        owner = await self.stores.members.get(found.record.member)
        facts = {"token": token_id, "member": found.record.member, "team": owner and owner.record.team}
        if personal is not None:
            changed = evolve(personal.record, revoked_at=operation.now)
            entry = operation.entry_of_change("token.revoked", personal.record, changed, **facts)
            await self.stores.personal_tokens.replace(personal, changed, entry)
        elif sign_in is not None:
            ended = evolve(sign_in.record, revoked_at=operation.now)
            entry = operation.entry_of_change("sign-in.revoked", sign_in.record, ended, **facts)
            await self.stores.sign_ins.replace(sign_in, ended, entry)


@frozen(eq=False, repr=False)
class SignIns:
    """Makes the refresh tokens that ``docker login`` stores instead of a member's password (design #8).

    Attributes:
        store: of the refresh tokens.
        entropy: returns the given number of random bytes.
    """

    store: SignInStore
    entropy: Callable[[int], bytes]

    @permitted(Permission.SIGN_IN_KEEP)
    async def keep(self, member: Member, client: str | None, now: datetime) -> Secret | None:
        """Return the secret of a new refresh token for ``member``; a member has at most 20, and the oldest are ended.

        Return None for a member who got 20 within an hour: a client that signs in repeatedly must not fill the audit or
        end the sign-ins of other machines. Clients then store the password, as with a registry without refresh tokens.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        operation = Operation(Actor.of_member(member), now, self.entropy(OPERATION_BYTES).hex(), self.entropy)
        secret = MachineSecret.build(REFRESH_KIND, new_id(operation.entropy(ID_BYTES)), operation.entropy(SECRET_BYTES))
        shown = "".join(c for c in client or "" if c.isprintable())[:MAX_CLIENT] or None
        token = RefreshToken(secret.id, member.id, member.epoch, secret.sha256(), now, shown)
        entry = operation.entry("sign-in.kept", token=token.id, member=member.id, team=member.team)
        life_seconds = int(REFRESH_LIFE.total_seconds())
        try:
            await self.store.add(token, MAX_REFRESH_TOKENS, REFRESH_WINDOW, life_seconds, entry)
        except Conflict:
            return None
        return secret.text


def parse_api(text: str | None) -> ApiAccess | None:
    """Return what a token may do at the management API.

    Raises:
        InputRefused: it is neither ``read`` nor ``manage``.
    """
    if text is not None and text not in list(ApiAccess):
        raise InputRefused(
            f"{text[:40]!r} is no API access; use {', '.join(ApiAccess)}, or leave it out",
            code="api_access_invalid",
            field="api",
        )
    return None if text is None else ApiAccess(text)


def _token_line(token: PersonalToken, used_at: datetime | None, now: datetime) -> TokenLine:
    api, live = None if token.api is None else str(token.api), _live(token, now)
    return TokenLine(token.id, "personal", token.name, token.created_at, token.expires_at, used_at, live, api)


def _sign_in_line(sign_in: RefreshToken, owner: Member, used_at: datetime | None, now: datetime) -> TokenLine:
    ended = sign_in.ended(used_at, now) or sign_in.epoch != owner.epoch or sign_in.revoked_at is not None
    end = sign_in.created_at + REFRESH_LIFE
    return TokenLine(sign_in.id, "sign-in", sign_in.client or "unknown", sign_in.created_at, end, used_at, not ended)


def _live(token: PersonalToken, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or now < token.expires_at)
