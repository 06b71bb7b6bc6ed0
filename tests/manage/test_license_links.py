"""Links to the pages of licenses: a secret that ends, can be taken back, and is no more than its maker."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from authsvc.credentials.machine_secret import LINK_KIND, PAGE_KIND, MachineSecret
from authsvc.errors import Conflict, InputRefused, NotFound, PermissionDenied
from authsvc.manage.actor import Actor
from authsvc.manage.license_by_link import VOID
from authsvc.redaction import Secret
from authsvc.tenancy.license_link import DOWNLOAD_WINDOW, MAX_DOWNLOADS, MAX_LINKS
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import PASSWORD
from tests.support.installation import APP, OPERATOR, TEAM, Installation, confirmed

NETWORK = "192.0.2.0/24"
MAKER = "kim@acme.test"

Change = Callable[[Installation, License], Awaitable[object]]


async def license_of(house: Installation, customer: str = "Globex") -> License:
    """Make a license."""
    terms = LicenseTerms.parse(customer=customer, expires="90d", contact="sales@acme.test", now=house.now)
    license_, _ = await house.licenses.create(APP, terms, house.operation())
    return license_


async def made(house: Installation, license_: License, actor: Actor = OPERATOR, expires: str = "30d") -> Secret:
    """Make a link to the page of a license."""
    _, secret = await house.license_links.create(license_.id, house.operation(actor), expires=expires)
    return secret


async def file_by(house: Installation, link: Secret) -> Secret:
    """Return the license file that a link gives."""
    return Secret((await house.license_by_link.download(link, NETWORK, house.operation()))[1])


async def opens(house: Installation, link: Secret) -> bool:
    """Whether a link opens the page; if not, everything it could give is refused with the one sentence."""
    attempts = (
        house.license_by_link.open(link, house.now),
        file_by(house, link),
    )
    results = await asyncio.gather(*attempts, return_exceptions=True)
    errors = [one for one in results if isinstance(one, NotFound)]
    assert not errors or [(VOID, "license_link_void")] * 2 == [(str(one), one.code) for one in errors]
    assert errors or not any(isinstance(one, BaseException) for one in results)
    return not errors


async def test_a_link_opens_one_license_and_gives_its_file(house: Installation) -> None:
    """The page is that of the license; the file pulls; the audit has who made it, and from where it was used."""
    license_, other = await license_of(house), await license_of(house, "Initech")
    link = await made(house, license_)
    page = await house.license_by_link.open(link, house.now)

    assert (license_, "active", True) == (page.license, page.state, page.gives_file)
    assert other.id not in repr(page)
    assert "pull" == await house.gets(await file_by(house, link), scope=f"repository:{APP}/x:pull")
    created, downloaded = house.told[-2:]
    assert ("license-link.created", "system:authsvc", license_.id) == (
        *(created.event, created.actor),
        created.facts["license"],
    )
    assert ("license-link.downloaded", license_.subject, NETWORK, page.link.id) == (
        *(downloaded.event, downloaded.actor),
        *(downloaded.facts["network"], downloaded.facts["link"]),
    )
    (listed,) = await house.license_links.list(OPERATOR, license_.id, house.now)
    assert (house.now, True) == (listed.link.downloaded_at, listed.works)


async def test_the_store_has_no_link(house: Installation) -> None:
    """Neither Redis nor what is logged has the secret: only its SHA-256."""
    link = await made(house, await license_of(house))
    await file_by(house, link)
    stored = repr(await house.everything_stored()) + repr(house.told)
    secret = MachineSecret.parse(link.reveal())
    assert secret is not None

    assert secret.sha256() in stored
    assert link.reveal().rpartition("_")[2] not in stored
    assert link.reveal() not in repr(link)


async def test_what_opens_nothing(house: Installation) -> None:
    """Junk, an unknown link, a wrong secret and a secret of another kind get one sentence."""
    link = await made(house, await license_of(house))
    invitation = await house.links.invite("new@acme.test", TEAM, "viewer", (), house.operation())
    known = MachineSecret.parse(link.reveal())
    assert known is not None
    guesses = [
        Secret(""),
        Secret(link.reveal()[:-1]),
        MachineSecret.build(PAGE_KIND, known.id, bytes(32)).text,
        MachineSecret.build(PAGE_KIND, "0" * 16, bytes(32)).text,
        MachineSecret.build(LINK_KIND, known.id, bytes(32)).text,
        invitation,
    ]

    assert [False] * len(guesses) == [await opens(house, guess) for guess in guesses]
    assert await opens(house, link)


async def test_a_link_ends(house: Installation) -> None:
    """It works until the instant that was said, and not at it."""
    link = await made(house, await license_of(house), expires="2d")
    house.pass_time(hours=48)
    house.now -= timedelta(microseconds=1)
    assert await opens(house, link)
    house.now += timedelta(microseconds=1)

    assert not await opens(house, link)


@pytest.mark.parametrize("expires", ["367d", "0d", "2020-01-01", "soon"])
async def test_an_end_that_no_link_may_have(house: Installation, expires: str) -> None:
    """In the past, or too far away."""
    license_ = await license_of(house)
    with pytest.raises(InputRefused) as refused:
        await made(house, license_, expires=expires)
    assert "expires" == refused.value.field


async def test_links_are_taken_back_one_or_all(house: Installation) -> None:
    """By id of a link, of the license with a link of it, or of the license alone: then all of them."""
    license_, other = await license_of(house), await license_of(house, "Initech")
    links = [await made(house, license_) for _ in range(4)]
    foreign = await made(house, other)
    ids = [(await house.license_by_link.open(link, house.now)).link.id for link in (*links, foreign)]
    assert 1 == await house.license_links.revoke(ids[0], house.operation())
    assert 1 == await house.license_links.revoke(license_.id, house.operation(), link=ids[1])
    with pytest.raises(NotFound, match="has no link"):
        await house.license_links.revoke(license_.id, house.operation(), link=ids[4])
    assert [False, False, True, True] == [await opens(house, link) for link in links]
    assert 2 == await house.license_links.revoke(license_.id, house.operation())

    assert [False] * 4 == [await opens(house, link) for link in links]
    assert await opens(house, foreign)
    assert () == await house.license_links.list(OPERATOR, license_.id, house.now)
    assert 0 == await house.license_links.revoke(license_.id, house.operation())


async def test_a_license_has_a_bounded_number_of_links(house: Installation) -> None:
    """One more is refused; those that have ended do not count, and nothing of them stays."""
    license_ = await license_of(house)
    short = [await made(house, license_, expires="1d") for _ in range(MAX_LINKS)]
    with pytest.raises(Conflict) as refused:
        await made(house, license_)
    assert "license_links_too_many" == refused.value.code
    house.pass_time(hours=24)
    links = [await made(house, license_) for _ in range(MAX_LINKS)]

    assert [True] * MAX_LINKS == [await opens(house, link) for link in links]
    assert not any([await opens(house, link) for link in short])
    assert MAX_LINKS == len(await house.license_links.list(OPERATOR, license_.id, house.now))


async def test_many_links_at_once_are_bounded_too(house: Installation) -> None:
    """However many are made at the same instant, no more than the limit come into being."""
    license_ = await license_of(house)
    results = await asyncio.gather(*(made(house, license_) for _ in range(MAX_LINKS + 5)), return_exceptions=True)

    assert MAX_LINKS == sum(isinstance(result, Secret) for result in results)
    assert MAX_LINKS == len(await house.license_links.list(OPERATOR, license_.id, house.now))


ENDED: dict[str, Change] = {
    "revoked": lambda house, license_: house.licenses.revoke(license_.id, house.operation()),
    "archived": lambda house, license_: house.licenses.archive(license_.id, house.operation()),
    "archived with its app": lambda house, _: confirmed(house.teams.archive_app, APP, house.operation()),
}


@pytest.mark.parametrize("how", ENDED)
async def test_a_license_that_is_not_in_force_gives_no_file(house: Installation, how: str) -> None:
    """The page opens and says so; reinstated, it gives the file again."""
    license_ = await license_of(house)
    link = await made(house, license_)
    await ENDED[how](house, license_)
    page = await house.license_by_link.open(link, house.now)
    assert (False, how.partition(" ")[0]) == (page.gives_file, page.state)
    with pytest.raises(Conflict) as refused:
        await file_by(house, link)
    assert "license_not_in_force" == refused.value.code
    await house.teams.reinstate_app(APP, house.operation())
    await house.licenses.reinstate(license_.id, house.operation())

    assert "pull" == await house.gets(await file_by(house, link), scope=f"repository:{APP}/x:pull")


async def test_an_expired_license_gives_no_file(house: Installation) -> None:
    """Expiry is as revocation is; a link may end later than its license."""
    license_ = await license_of(house)
    link = await made(house, license_, expires="200d")
    house.pass_time(hours=24 * 91)

    assert "expired" == (await house.license_by_link.open(link, house.now)).state
    with pytest.raises(Conflict, match="expired"):
        await file_by(house, link)


async def test_a_rotated_license_gives_the_new_file(house: Installation) -> None:
    """The link is one to the license: after a rotation it gives the file that works, also when the old one does not."""
    license_ = await license_of(house)
    link = await made(house, license_)
    old = await file_by(house, link)
    await house.licenses.rotate(license_.id, timedelta(0), house.operation())

    assert "refused" == await house.gets(old, scope=f"repository:{APP}/x:pull")
    assert "pull" == await house.gets(await file_by(house, link), scope=f"repository:{APP}/x:pull")


async def test_downloads_by_one_link_are_bounded(house: Installation) -> None:
    """Each is a line of the audit; other links of the license are not affected, and an hour later it goes on."""
    license_ = await license_of(house)
    link, other = await made(house, license_), await made(house, license_)
    at_once = await asyncio.gather(*(file_by(house, link) for _ in range(3)))
    for _ in range(MAX_DOWNLOADS - len(at_once)):
        await file_by(house, link)
    with pytest.raises(Conflict) as refused:
        await file_by(house, link)
    assert "downloads_too_many" == refused.value.code
    assert await file_by(house, other)
    house.now += DOWNLOAD_WINDOW + timedelta(seconds=1)

    assert await file_by(house, link)


# --- a link is no more than its maker ---------------------------------------------------------------------------------


async def member(house: Installation, role: str = "developer", *apps: str) -> Actor:
    """Add a member and return the actor."""
    return Actor.of_member(await house.members.add(MAKER, TEAM, role, apps, PASSWORD, house.operation()))


ENDS_OF_A_MAKER: dict[str, Callable[[Installation], Awaitable[object]]] = {
    "removed": lambda house: house.members.remove(MAKER, house.operation()),
    "disabled": lambda house: house.members.disable(MAKER, house.operation()),
    "a viewer now": lambda house: house.members.set_role(MAKER, "viewer", None, house.operation()),
    "limited to another app": lambda house: house.members.set_role(MAKER, "developer", ("annex",), house.operation()),
}


@pytest.mark.parametrize("how", ENDS_OF_A_MAKER)
async def test_a_link_counts_as_long_as_its_maker_could_make_it(house: Installation, how: str) -> None:
    """Who may no longer make links has none that works, and the list says so; the operator's go on working."""
    license_, actor = await license_of(house), await member(house)
    theirs, ours = await made(house, license_, actor), await made(house, license_)
    assert await opens(house, theirs)
    await ENDS_OF_A_MAKER[how](house)

    assert [False, True] == [await opens(house, theirs), await opens(house, ours)]
    listed = await house.license_links.list(OPERATOR, license_.id, house.now)
    assert {actor.subject: False, "system:authsvc": True} == {one.link.creator: one.works for one in listed}


async def test_a_link_made_with_a_token_ends_with_it(house: Installation) -> None:
    """Revoking a stolen token takes back what was made with it."""
    license_, _ = await license_of(house), await member(house)
    token, _ = await house.tokens.create("laptop", MAKER, None, "manage", house.operation())
    stored = await house.stores.members.by_email(MAKER)
    assert stored is not None
    link = await made(house, license_, Actor.of_personal_token(token, stored.record, house.now))
    assert await opens(house, link)
    await house.tokens.revoke(token.id, house.operation())

    assert not await opens(house, link)


async def test_a_service_accounts_link_ends_with_it(house: Installation) -> None:
    """Rotating its secret leaves the link alone; revoking the account does not."""
    license_ = await license_of(house)
    account, _ = await house.service_accounts.create("ci", TEAM, [f"{APP}/**:pull"], "manage", None, house.operation())
    link = await made(house, license_, Actor.of_service_account(account, None, house.now))
    await house.service_accounts.rotate("ci", TEAM, timedelta(0), house.operation())
    assert await opens(house, link)
    await house.service_accounts.revoke("ci", TEAM, house.operation())

    assert not await opens(house, link)


async def test_a_viewer_makes_and_sees_no_link(house: Installation) -> None:
    """To a viewer the file is closed, and so is every way to it."""
    license_, viewer = await license_of(house), await member(house, "viewer")
    with pytest.raises(PermissionDenied):
        await made(house, license_, viewer)
    with pytest.raises(PermissionDenied):
        await house.license_links.revoke(license_.id, house.operation(viewer))
    with pytest.raises(PermissionDenied):
        await house.license_links.list(viewer, license_.id, house.now)
