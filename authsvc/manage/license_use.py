"""The licenses of an app that a change of the app affects; the number that is examined is limited (design #18)."""

from datetime import datetime

from attrs import frozen

from authsvc.manage.stores import Stores
from authsvc.tenancy.records import License

MOST_EXAMINED = 1_000
"""Most licenses that are examined; 1,000 take about 60 ms."""


@frozen
class FoundLicenses:
    """Licenses of an app that have not ended.

    Attributes:
        examined: including revoked and archived ones; once the indexes are settled, those that end first.
        all_examined: whether there are no others.
    """

    examined: tuple[License, ...]
    all_examined: bool


async def licenses_not_ended(stores: Stores, app: str, now: datetime, most: int) -> FoundLicenses:
    """Return the licenses of an app that have not ended, at most ``most``.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    found: dict[str, License] = {}
    async for page in stores.licenses.pages_not_ended(app, now):
        found |= {license_.id: license_ for license_ in page}
        if len(found) > most:
            return FoundLicenses(tuple(found.values())[:most], all_examined=False)
    return FoundLicenses(tuple(found.values()), all_examined=True)
