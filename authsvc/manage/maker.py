"""The creator of a record that has rights, with the creator's current rights."""

from datetime import datetime

from authsvc.manage.actor import OPERATOR, Actor, ActorKind
from authsvc.manage.stores import Stores
from authsvc.tenancy.machine_records import PersonalToken
from authsvc.tenancy.records import Member


async def maker_now(stores: Stores, subject: str, token: str | None, now: datetime) -> Actor | None:
    """Return the creator of a record as an actor with its current rights; None if it no longer exists.

    Args:
        stores: the records.
        subject: of the actor.
        token: id of the personal token by which a member acted, or None.
        now: the time for which token and service account are checked.
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
    """Return the member who created a record, with the current rights; None if the member no longer exists.

    Args:
        member: the current record; None if there is none.
        token: id of the personal token by which they acted, or None.
        used: the current record of that token; None if there is none.
        now: the time for which the token is checked.
    """
    if member is None:
        return None
    if token is None:
        return Actor.of_member(member)
    return None if used is None else Actor.of_personal_token(used, member, now)
