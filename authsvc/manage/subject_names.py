"""Names for people of the subjects in records: e-mail addresses, names of service accounts, customers."""

import asyncio
from collections.abc import Iterable

from authsvc.manage.stores import Stores
from authsvc.tenancy.subjects import split_subject

MAX_NAMED = 200
"""Most subjects that are looked up at one time; further ones get no name."""


async def names_of(stores: Stores, subjects: Iterable[str | None], team: str | None = None) -> dict[str, str]:
    """Return the name of each subject that has a record, with one command.

    Args:
        stores: the records.
        subjects: of any kind.
        team: slug; subjects of another team have no name. None for any team.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    wanted = list(dict.fromkeys(one for subject in subjects if subject is not None for one in split_subject(subject)))
    found = await asyncio.gather(*(_name_of(stores, subject, team) for subject in wanted[:MAX_NAMED]))
    return {subject: name for subject, name in zip(wanted, found, strict=False) if name is not None}


async def _name_of(stores: Stores, subject: str, team: str | None) -> str | None:
    kind, _, record_id = subject.partition(":")
    match kind:
        case "member":
            member = await stores.members.get(record_id)
            return None if member is None or team not in {None, member.record.team} else member.record.email
        case "service-account":
            account = await stores.service_accounts.get(record_id)
            return None if account is None or team not in {None, account.record.team} else account.record.name
        case "license":
            license_ = await stores.licenses.get(record_id)
            return None if license_ is None or team not in {None, license_.record.team} else license_.record.customer
        case "customer":
            customer = await stores.customers.get(record_id)
            return None if customer is None or team not in {None, customer.record.team} else customer.record.name
        case _:
            return None
