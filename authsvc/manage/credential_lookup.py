"""Looks up a member's credentials: tokens, sign-ins, passkeys and sessions."""

from authsvc.credentials.machine_secret import is_id
from authsvc.errors import NotFound
from authsvc.manage.actor import Actor
from authsvc.manage.stores import Stores
from authsvc.tenancy.machine_records import PersonalToken, RefreshToken
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.portal_session import PortalSession, holder_of
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned


async def find_token(
    stores: Stores, actor: Actor, token_id: str
) -> tuple[Versioned[PersonalToken] | None, Versioned[RefreshToken] | None]:
    """Return the personal token or the sign-in with this id; the other is None. A member sees only their own.

    Raises:
        NotFound: there is no such token for the actor.
    """
    known = is_id(token_id)
    personal = await stores.personal_tokens.get(token_id) if known else None
    sign_in = await stores.sign_ins.get(token_id) if known else None
    owner = personal.record.member if personal else sign_in.record.member if sign_in else None
    if owner is None or not (actor.is_operator or owner == actor.member_id):
        raise NotFound(f"there is no token {token_id[:40]!r}", code="token_not_found", field="token_id")
    return personal, None if personal else sign_in


async def find_passkey(stores: Stores, actor: Actor, passkey_id: str) -> Versioned[Passkey]:
    """Return the actor's passkey with this id.

    Raises:
        NotFound: the actor has no such passkey.
    """
    found = await stores.passkeys.get(passkey_id) if is_id(passkey_id) else None
    if found is None or found.record.member != actor.id:
        raise NotFound("there is no such passkey", code="passkey_not_found", field="passkey_id")
    return found


async def sessions_begun_with(
    stores: Stores, member: Member, passkey_id: str, but: str | None
) -> list[Versioned[PortalSession]]:
    """Return the member's sessions that were begun with a passkey and have not ended; ``but`` is left out."""
    sessions = await stores.sessions.of_holder(holder_of(member.id, member.epoch))
    begun = [one.id for one in sessions if one.passkey == passkey_id and one.id != but and one.revoked_at is None]
    found = [await stores.sessions.get(session_id) for session_id in begun]
    return [one for one in found if one is not None]


async def find_session(stores: Stores, actor: Actor, session_id: str) -> Versioned[PortalSession]:
    """Return the actor's session with this id.

    Raises:
        NotFound: the actor has no such session.
    """
    found = await stores.sessions.get(session_id) if is_id(session_id) else None
    if found is None or found.record.member != actor.id:
        raise NotFound("there is no such session", code="session_not_found", field="session_id")
    return found
