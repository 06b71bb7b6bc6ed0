"""Sessions of the portal: begun when a member signs in, listed, and ended one by one or all at once."""

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
        id: names it in :meth:`Sessions.end`.
        created_at: when the member signed in.
        used_at: when it was last used, to the minute or so; None when it never was since then.
        ends_at: when it ends by itself if it is not used again.
        network: where the browser was when the member signed in.
        browser: what it calls itself.
        passkey: id of the passkey that the member signed in with, or None.
    """

    id: str
    created_at: datetime
    used_at: datetime | None
    ends_at: datetime
    network: str
    browser: str
    passkey: str | None = None


@frozen
class Sessions:
    """Begins, lists and ends the sessions of the member who asks.

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
        """Return the cookie of a new session for the actor, who has just proven who they are.

        Beyond the newest 20 sessions of a member the oldest end.

        Args:
            epoch: of the member whose password or passkey was checked: a session of an older one is not in force.
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
        """Return a passkey as it is stored and as it is after its use.

        Raises:
            NotFound: the actor has it no longer.
            Conflict: it was used meanwhile, and this signature is older.
        """
        found = await find_passkey(self.stores, operation.actor, use.id)
        if not found.record.counts_on(use.sign_count):
            raise Conflict("the passkey was used at the same moment; sign in again", code="version_conflict")
        return found, evolve(found.record, sign_count=use.sign_count)

    @permitted(Permission.SESSION_LIST)
    async def list(self, actor: Actor, now: datetime) -> tuple[SessionLine, ...]:
        """Return the actor's sessions that are in force, newest first: at most 20."""
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
            Conflict: it was changed at the same moment.
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
        """End every session of the actor, and what ``docker login`` keeps; tokens stay.

        Raises:
            Conflict: the member was changed at the same moment.
        """
        stored = await find_member(self.stores, operation.actor, operation.actor.id)
        operation.require_match(stored.record)
        changed = at_next_epoch(stored.record)
        entry = operation.entry_of_change("member.signed_out", stored.record, changed, **facts_of(changed))
        await self.stores.members.replace(stored, changed, entry)
        return changed
