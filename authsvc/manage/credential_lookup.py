"""Looks up what a member signs in with: tokens, sign-ins and sessions of their own."""

from authsvc.credentials.machine_secret import is_id
from authsvc.errors import NotFound
from authsvc.manage.actor import Actor
from authsvc.manage.stores import Stores
from authsvc.tenancy.machine_records import PersonalToken, RefreshToken
from authsvc.tenancy.portal_session import PortalSession
from authsvc.tenancy.versioned import Versioned


async def find_token(
    stores: Stores, actor: Actor, token_id: str
) -> tuple[Versioned[PersonalToken] | None, Versioned[RefreshToken] | None]:
    """Return the personal token or the sign-in of this id; one of the two is None. A member sees their own alone.

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


async def find_session(stores: Stores, actor: Actor, session_id: str) -> Versioned[PortalSession]:
    """Return the actor's session of this id.

    Raises:
        NotFound: the actor has no such session.
    """
    found = await stores.sessions.get(session_id) if is_id(session_id) else None
    if found is None or found.record.member != actor.id:
        raise NotFound("there is no such session", code="session_not_found", field="session_id")
    return found
