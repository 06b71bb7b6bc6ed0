"""What a change of an app affects is told of so many licenses as one page looks at, and it says that there are more."""

from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.errors import ConfirmationNeeded
from authsvc.manage.license_use import FoundLicenses, licenses_not_ended
from authsvc.redaction import Secret
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from authsvc.upstreams.terms import LinkTerms
from tests.support.installation import APP, OPERATOR, Installation
from tests.support.migrated import migrate

QUAY = LinkTerms.parse("quay", None, "org+robot", Secret("robot-key"), ["org/**"])
NAMING = ["proxy/quay/org/**"]


async def sell(house: Installation, expires: str, customer: str = "Globex", images: list[str] | None = None) -> License:
    """Make a license."""
    terms = LicenseTerms.parse(customer=customer, expires=expires, repositories=images, now=house.now)
    return (await house.licenses.create(APP, terms, house.operation()))[0]


async def asked(house: Installation, most: int, mark: str | None = None) -> ConfirmationNeeded:
    """Return the question that archiving the app asks when it looks at so many licenses."""
    with pytest.raises(ConfirmationNeeded) as needed:
        await evolve(house.teams, most_examined=most).archive_app(APP, house.operation(), mark)
    return needed.value


async def test_those_that_end_first_are_looked_at_and_no_ended_one(house: Installation) -> None:
    """Once the indexes are settled; one more license than the bound makes the difference."""
    await migrate(house.records)
    late, ended, soon, middle = [await sell(house, expires) for expires in ("90d", "1d", "10d", "30d")]
    house.now = ended.expires_at + timedelta(seconds=1)

    for most, expected in (
        (4, FoundLicenses((soon, middle, late), all_examined=True)),
        (3, FoundLicenses((soon, middle, late), all_examined=True)),
        (2, FoundLicenses((soon, middle), all_examined=False)),
    ):
        assert expected == await licenses_not_ended(house.stores, APP, house.now, most)


async def test_every_license_is_found_in_steps(house: Installation) -> None:
    """Before the indexes are settled and after: none is left out where one step ends, and none comes twice."""
    made = {(await sell(house, f"{10 + number % 7}d")).id for number in range(205)}
    before = await licenses_not_ended(house.stores, APP, house.now, 205)
    await migrate(house.records)
    after = await licenses_not_ended(house.stores, APP, house.now, 205)

    for found in (before, after):
        assert (205, made, True) == (len(found.examined), {one.id for one in found.examined}, found.all_examined)


@pytest.mark.parametrize("settled", [True, False])
async def test_archiving_says_at_least_and_the_mark_is_of_what_was_said(house: Installation, settled: bool) -> None:
    """A mark of the whole number is not one of the bounded number; the right one archives the app."""
    if settled:
        await migrate(house.records)
    for customer in ("Globex", "Initech", "Hooli"):
        await sell(house, "30d", customer)
    whole, bounded = await asked(house, 3), await asked(house, 2)
    again = await asked(house, 2, whole.mark)

    assert str(whole).endswith("for 3 licenses in force of 3 customers")
    assert str(bounded).endswith(
        "for at least 2 licenses in force of at least 2 customers and licenses that were not counted"
    )
    assert (whole.mark != bounded.mark, bounded.mark) == (True, again.mark)
    teams = evolve(house.teams, most_examined=2)
    assert (await teams.archive_app(APP, house.operation(), bounded.mark)).archived_at == house.now
    use = await teams.use_of(OPERATOR, APP, house.now)
    assert (use.licenses, use.all_counted) == (2, False)


async def test_licenses_that_were_not_looked_at_are_asked_about(house: Installation) -> None:
    """Where none of those that were looked at is in force, the others may be: nothing ends unasked."""
    await migrate(house.records)
    link = await house.upstreams.link(APP, "quay", QUAY, house.operation())
    for _ in range(2):
        await house.licenses.revoke((await sell(house, "10d", images=NAMING)).id, house.operation())
    await sell(house, "90d", images=NAMING)

    assert str(await asked(house, 2)).endswith("for licenses that were not counted")
    upstreams = evolve(house.upstreams, most_examined=2)
    with pytest.raises(ConfirmationNeeded) as needed:
        await upstreams.unlink(link.id, None, house.operation())
    assert str(needed.value) == (
        "unlinking the upstream quay of the app acme ends access to its images for 0 licenses of the 2 that were "
        "looked at; the app has more licenses, which may name it too"
    )
    use = await upstreams.use(OPERATOR, link.id, None, house.now)
    assert use.ends is not None
    assert (use.total, use.all_examined, use.examined, use.ends.mark) == (0, False, 2, needed.value.mark)
    await upstreams.unlink(link.id, None, house.operation(), use.ends.mark)
    assert house.told[-1].event == "upstream.unlinked"
