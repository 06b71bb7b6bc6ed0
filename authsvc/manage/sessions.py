"""Sessions of the portal: begins them when members sign in, lists and ends them."""

from datetime import datetime

from attrs import evolve, frozen

from authsvc.client import Client
from authsvc.credentials.machine_secret import ID_BYTES, SECRET_BYTES, SESSION_KIND, MachineSecret, new_id
from authsvc.errors import Conflict
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.credential_lookup import find_passkey, find_session
from authsvc.manage.idempotency import repeatable, shows_secret
from authsvc.manage.lookup import find_member, find_member_by_id
from authsvc.manage.members import at_next_epoch, facts_of
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.tenancy.passkey import Passkey, PasskeyUse
from authsvc.tenancy.portal_session import (
    MAX_BROWSER,
    MAX_SESSIONS,
    SESSION_LIFE,
    SESSION_WINDOW,
    PortalSession,
    holder_of,
)
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned


@frozen
class SessionLine:
    """One row of a member's list.

    Attributes:
        id: for :meth:`Sessions.end`.
        created_at: when the member signed in.
        used_at: when it was last used, to about the minute; None if never since then.
        ends_at: when it expires if it is not used again.
        network: of the browser at the sign-in.
        browser: its User-Agent.
        passkey: id of the passkey that the member signed in with, or None.
    """

    id: str
    created_at: datetime
    used_at: datetime | None
    ends_at: datetime
    network: str
    browser: str
    passkey: str | None = None


@frozen(eq=False, repr=False)
class Sessions:
    """Begins, lists and ends the sessions of the calling member.

    Every method raises StoreUnavailable when the store does not answer.
    """

    stores: Stores

    async def _ended(self, _session_id: str, _operation: Operation) -> None:
        return None

    async def _signed_out(self, member_id: str, operation: Operation) -> Member:
        return await find_member_by_id(self.stores, operation.actor, member_id)

    @permitted(Permission.SESSION_BEGIN)
    @shows_secret
    async def begin(self, epoch: int, client: Client, operation: Operation, use: PasskeyUse | None = None) -> Secret:
        """Return the cookie of a new session for the actor, who has just been authenticated.

        A member has at most 20 sessions; the oldest are ended.

        Args:
            epoch: of the member when the password or passkey was checked: a session of an older one is not valid.
            client: the browser.
            operation: the circumstances.
            use: of the passkey that was signed in with; None for the password.

        Raises:
            Conflict: the member signed in too often within an hour, or the passkey was used or removed at the same
                moment.
        """
        member = await find_member_by_id(self.stores, operation.actor, operation.actor.id)
        secret = MachineSecret.build(SESSION_KIND, new_id(operation.entropy(ID_BYTES)), operation.entropy(SECRET_BYTES))
        browser = "".join(character for character in client.user_agent if character.isprintable())[:MAX_BROWSER]
        passkey = None if use is None else use.id
        session = PortalSession(
            *(secret.id, member.id, epoch, secret.sha256(), operation.now, client.network, browser), passkey=passkey
        )
        used = None if use is None else await self._used(use, operation)
        facts = {"session": session.id, "member": member.id, "team": member.team}
        entry = operation.entry("session.begun", **facts, **({} if passkey is None else {"passkey": passkey}))
        life_seconds = int(SESSION_LIFE.total_seconds())
        await self.stores.sessions.add(session, MAX_SESSIONS, SESSION_WINDOW, life_seconds, entry, used)
        return secret.text

    async def _used(self, use: PasskeyUse, operation: Operation) -> tuple[Versioned[Passkey], Passkey]:
        """Return the stored record of a passkey, and the record after its use.

        Raises:
            NotFound: the actor no longer has it.
            Conflict: it was used meanwhile, so that this signature is older.
        """
        found = await find_passkey(self.stores, operation.actor, use.id)
        if not found.record.counts_on(use.sign_count):
            raise Conflict("the passkey was used at the same moment; sign in again", code="version_conflict")
        return found, evolve(found.record, sign_count=use.sign_count)

    @permitted(Permission.SESSION_LIST)
    async def list(self, actor: Actor, now: datetime) -> tuple[SessionLine, ...]:
        """Return the actor's valid sessions, newest first: at most 20."""
        member = await find_member_by_id(self.stores, actor, actor.id)
        sessions = await self.stores.sessions.of_holder(holder_of(member.id, member.epoch))
        used = await self.stores.usage.used_at([session.id for session in sessions])
        return tuple(
            SessionLine(
                *(one.id, one.created_at, used.get(one.id), one.ends_at(used.get(one.id)), one.network, one.browser),
                passkey=one.passkey,
            )
            for one in sessions
            if one.in_force(member.epoch, used.get(one.id), now)
        )

    @permitted(Permission.SESSION_END)
    @repeatable(_ended)
    async def end(self, session_id: str, operation: Operation) -> None:
        """Refuse a session of the actor from now on. Ending it twice keeps the first time.

        Raises:
            NotFound: the actor has no such session.
            Conflict: it was changed concurrently.
        """
        found = await find_session(self.stores, operation.actor, session_id)
        operation.require_match(found.record)
        if found.record.revoked_at is not None:
            return
        ended = evolve(found.record, revoked_at=operation.now)
        facts = {"session": session_id, "member": found.record.member, "team": operation.actor.team}
        entry = operation.entry_of_change("session.ended", found.record, ended, **facts)
        await self.stores.sessions.replace(found, ended, entry)

    @permitted(Permission.SESSION_END_ALL)
    @repeatable(_signed_out)
    async def end_all(self, operation: Operation) -> Member:
        """End every session of the actor, and the refresh tokens of ``docker login``; personal tokens stay.

        Raises:
            Conflict: the member was changed concurrently.
        """
        stored = await find_member(self.stores, operation.actor, operation.actor.id)
        operation.require_match(stored.record)
        changed = at_next_epoch(stored.record)
        entry = operation.entry_of_change("member.signed_out", stored.record, changed, **facts_of(changed))
        await self.stores.members.replace(stored, changed, entry)
        return changed
