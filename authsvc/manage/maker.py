"""Who made something that has rights of its own, as that actor is now."""

from datetime import datetime

from authsvc.manage.actor import OPERATOR, Actor, ActorKind
from authsvc.manage.stores import Stores


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
    if member is None:
        return None
    if token is None:
        return Actor.of_member(member.record)
    used = await stores.personal_tokens.get(token)
    return None if used is None else Actor.of_personal_token(used.record, member.record, now)
