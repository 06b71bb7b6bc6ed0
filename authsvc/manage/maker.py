"""Who made something that has rights of its own, as that actor is now."""

from datetime import datetime

from authsvc.manage.actor import OPERATOR, Actor, ActorKind
from authsvc.manage.stores import Stores
from authsvc.tenancy.machine_records import PersonalToken
from authsvc.tenancy.records import Member


async def maker_now(stores: Stores, subject: str, token: str | None, now: datetime) -> Actor | None:
    """Return the actor who made something, with the rights of now; None if nothing is left of it.

    Args:
        stores: the records.
        subject: of the actor.
        token: id of the personal token by which a member acted, or None.
        now: decides whether token and service account are in force.
    """
    if subject == OPERATOR:
        return Actor.operator()
    kind, _, maker_id = subject.partition(":")
    if kind == ActorKind.SERVICE_ACCOUNT:
        account = await stores.service_accounts.get(maker_id)
        if account is None:
            return None
        creator = account.record.creator
        behind = None if creator is None else await stores.members.get(creator)
        return Actor.of_service_account(account.record, None if behind is None else behind.record, now)
    member = await stores.members.get(maker_id)
    used = None if token is None or member is None else await stores.personal_tokens.get(token)
    return member_now(None if member is None else member.record, token, None if used is None else used.record, now)


def member_now(member: Member | None, token: str | None, used: PersonalToken | None, now: datetime) -> Actor | None:
    """Return the member who made something, with the rights of now; None if nothing is left of it.

    Args:
        member: as they are now; None if they are not there.
        token: id of the personal token by which they acted, or None.
        used: that token as it is now; None if it is not there.
        now: decides whether the token is in force.
    """
    if member is None:
        return None
    if token is None:
        return Actor.of_member(member)
    return None if used is None else Actor.of_personal_token(used, member, now)
