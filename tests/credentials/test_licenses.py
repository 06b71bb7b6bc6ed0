"""Several licenses in one password: which are found, what is remembered of them, what is counted and noted."""

from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.credentials.licenses import REFUSED
from authsvc.credentials.machine_secret import LICENSE_KIND, MachineSecret
from authsvc.credentials.proof import LicensesProof, MachineProof, Proof
from authsvc.credentials.subject import LicensesSubject, LicenseSubject, Subject
from authsvc.errors import StoreUnavailable, Throttled, WrongSecret
from authsvc.tenancy.records import License
from tests.support.builders import LICENSE_ID, NOW, license_token, make_app, make_license
from tests.support.desk import Desk, opened

OTHER_ID = "c000000000000002"
MINE = make_license()
OTHER = make_license(OTHER_ID, app="api")
UNKNOWN = license_token("c000000000000009")
FORGED = MachineSecret.build(LICENSE_KIND, LICENSE_ID, bytes(32))
BOTH = LicensesProof((license_token(OTHER_ID), license_token()))
LATER = NOW + timedelta(seconds=9)


def at_desk(desk: Desk, *records: License) -> Desk:
    """Return the desk with further licenses."""
    for record in (OTHER, *records):
        desk.facts_reader.put(record)
    return desk


async def found(desk: Desk, proof: LicensesProof, *slugs: str) -> LicensesSubject:
    """Return the subject of a proof that holds several licenses."""
    subject = await desk(proof, *slugs)
    assert isinstance(subject, LicensesSubject)
    return subject


def licenses_of(subject: Subject) -> tuple[License, ...]:
    """Return the licenses of a subject."""
    if isinstance(subject, LicenseSubject):
        return (subject.license,)
    assert isinstance(subject, LicensesSubject)
    return subject.licenses


async def test_all_of_them_in_one_round_trip() -> None:
    """Each secret proves its own license; only the app that is asked for is looked up."""
    async with opened() as desk:
        subject = await found(at_desk(desk), BOTH, "acme")

        assert LicensesSubject((MINE, OTHER), {"acme": make_app("acme")}) == subject
        assert ["licenses"] == desk.facts_reader.calls
        assert f"license:{LICENSE_ID},{OTHER_ID}" == subject.id


async def test_signing_in_looks_up_every_app() -> None:
    """Who asks for nothing is told whether any license counts, which takes each license's app."""
    async with opened() as desk:
        subject = await found(at_desk(desk), BOTH)

        assert {"acme", "api"} == set(subject.apps)
        assert ["licenses"] * 2 == desk.facts_reader.calls


@pytest.mark.parametrize("secret", [UNKNOWN, FORGED, license_token(generation=2)], ids=["unknown", "forged", "rotated"])
async def test_a_wrong_secret_spoils_nothing(secret: MachineSecret) -> None:
    """Beside one that opens a license the others neither grant, nor refuse, nor count as failures."""
    async with opened() as desk:
        proof = LicensesProof((secret, license_token(OTHER_ID)))
        for _ in range(30):
            assert (OTHER,) == (await found(at_desk(desk), proof, "api")).licenses


async def test_none_that_opens_anything_is_a_wrong_secret() -> None:
    """Only then the sentence is that of any wrong secret, and the throttle counts it."""
    async with opened() as desk:
        proof = LicensesProof((UNKNOWN, FORGED))
        errors = [await desk.refusal(proof) for _ in range(10)]

        assert {(REFUSED, WrongSecret)} == {(str(error), type(error)) for error in errors}
        assert UNKNOWN.text.reveal() not in str(errors[0].detail)
        with pytest.raises(Throttled):
            await desk(proof, "acme")


@pytest.mark.parametrize("old_first", [True, False])
async def test_two_generations_of_one_license_are_one(old_first: bool) -> None:
    """The file from before a rotation and the one from after it are the same license, also after the overlap."""
    rotated = make_license(generations=((2, None), (1, LATER)))
    secrets = (license_token(), license_token(generation=2))
    proof = LicensesProof(secrets if old_first else secrets[::-1])
    async with opened() as desk:
        desk.facts_reader.put(rotated)

        for at in (NOW, LATER):
            subject = await desk(proof, "acme", now=at)
            assert LicensesSubject((rotated,), {"acme": make_app("acme")}) == subject


async def test_a_change_between_the_questions_counts() -> None:
    """A license that is rotated while its app is looked up is not among those proven (threat 50)."""
    async with opened() as desk:
        at_desk(desk).facts_reader.after_first = lambda: desk.facts_reader.put(make_license(generations=((2, None),)))

        assert (OTHER,) == (await found(desk, BOTH)).licenses


async def test_only_what_is_asked_for_counts_as_used() -> None:
    """A license that came along in the password was not used; a sign-in uses all of them."""
    async with opened() as desk:
        await found(at_desk(desk), BOTH, "api")
        assert [OTHER_ID] == desk.used
        await found(desk, BOTH)
        assert [OTHER_ID, LICENSE_ID, OTHER_ID] == desk.used


async def test_while_the_store_is_away_those_seen_lately_count() -> None:
    """What the store confirmed within a minute counts; the subject says that the rest is unknown."""
    async with opened(believing=True) as desk:
        await found(at_desk(desk), BOTH, "api")
        desk.facts_reader.away = True

        api = {"api": make_app("api")}
        assert LicensesSubject((OTHER,), api, stale=True, unchecked=True) == await found(desk, BOTH, "api")
        desk.facts_reader.recent.clear()
        with pytest.raises(StoreUnavailable):
            await desk(BOTH, "api")


@pytest.mark.parametrize(
    "ended", [evolve(MINE, revoked_at=NOW), evolve(MINE, archived_at=NOW)], ids=["revoked", "archived"]
)
@pytest.mark.parametrize("slug", ["acme", "api"], ids=["asked for", "came along"])
async def test_a_seen_end_is_not_forgotten_while_the_store_is_away(ended: License, slug: str) -> None:
    """Whether the ended license was asked for or only came along: it is not believed to be in force again."""
    async with opened(believing=True) as desk:
        await found(at_desk(desk), BOTH, "acme", "api")
        desk.facts_reader.put(ended)
        await found(desk, BOTH, slug)
        desk.facts_reader.away = True

        licenses = (await found(desk, BOTH, "acme")).licenses
        assert not [one for one in licenses if one.id == LICENSE_ID and one.state(NOW) == "active"]


async def test_an_end_seen_with_one_file_counts_for_the_other() -> None:
    """Two files of one license: what was seen of it with the new one ends the old one, too."""
    active, ended = (make_license(generations=((2, None), (1, LATER)), revoked_at=at) for at in (None, NOW))
    old, new = license_token(), license_token(generation=2)
    async with opened(believing=True) as desk:
        desk.facts_reader.put(active)
        await found(desk, LicensesProof((old, new)), "acme")
        desk.facts_reader.put(ended)
        await found(desk, LicensesProof((new, UNKNOWN)), "acme")
        desk.facts_reader.away = True

        assert (ended,) == (await found(desk, LicensesProof((old, UNKNOWN)), "acme")).licenses


async def test_an_end_of_one_that_came_along_counts_for_its_other_file() -> None:
    """A license that was not asked for was seen to be revoked: it stays revoked with its older file, too."""
    active, ended = (make_license(generations=((2, None), (1, LATER)), revoked_at=at) for at in (None, NOW))
    old, new, other = license_token(), license_token(generation=2), license_token(OTHER_ID)
    async with opened(believing=True) as desk:
        desk.facts_reader.put(active)
        await found(at_desk(desk), LicensesProof((old, other)), "acme", "api")
        desk.facts_reader.put(ended)
        await found(desk, LicensesProof((new, other)), "api")
        desk.facts_reader.away = True

        assert (ended, OTHER) == (await found(desk, LicensesProof((old, other)), "acme")).licenses


@pytest.mark.parametrize("proof", [MachineProof(license_token()), LicensesProof((license_token(), UNKNOWN))])
async def test_an_end_seen_just_before_the_store_went_away_counts(proof: Proof) -> None:
    """A sign-in takes two questions: the first answer says that it is revoked, the second one never comes."""
    async with opened(believing=True) as desk:
        await desk(proof, "acme")
        desk.facts_reader.put(evolve(MINE, revoked_at=NOW))
        desk.facts_reader.calls.clear()
        desk.facts_reader.after_first = lambda: setattr(desk.facts_reader, "away", True)
        subjects = [await desk(proof), await desk(proof, "acme")]

        licenses = [one for subject in subjects for one in licenses_of(subject)]
        assert [NOW] * 2 == [one.revoked_at for one in licenses]
