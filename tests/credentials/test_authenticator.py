"""From proof to subject: what is asked, what is refused, and what changes under way."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.credentials.authenticator import SIGN_IN
from authsvc.credentials.licenses import REFUSED
from authsvc.credentials.machine_secret import PERSONAL_KIND, REFRESH_KIND, SERVICE_KIND, MachineSecret
from authsvc.credentials.proof import Junk, MachineProof, Nothing, PasswordProof, Proof
from authsvc.credentials.subject import LicenseSubject, MemberSubject, ServiceAccountSubject, Subject
from authsvc.errors import StoreUnavailable, Throttled, WrongSecret
from authsvc.redaction import Secret
from authsvc.tenancy.records import Member
from tests.support.builders import (
    LICENSE_ID,
    MACHINE_ID,
    MEMBER_ID,
    NOW,
    PASSWORD,
    license_token,
    machine_secret,
    make_app,
    make_license,
    make_member,
    make_personal_token,
    make_refresh_token,
    make_service_account,
    plain_hash,
)
from tests.support.desk import Desk, opened

WRONG = Secret("wrong horse battery")
ME = PasswordProof("me@acme.test", PASSWORD)
LICENSE = MachineProof(license_token())
PERSONAL = MachineProof(machine_secret(PERSONAL_KIND))
REFRESH = MachineProof(machine_secret(REFRESH_KIND))
SERVICE = MachineProof(machine_secret(SERVICE_KIND))
EVERYBODY: dict[str, Proof] = {
    "member": ME,
    "license": LICENSE,
    "personal": PERSONAL,
    "refresh": REFRESH,
    "service": SERVICE,
}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Return a desk that knows everybody."""
    async with opened() as made:
        yield made


async def test_subjects(desk: Desk) -> None:
    """Each credential proves its own kind of subject, with the facts of one instant."""
    apps = {"acme": make_app("acme")}
    expected: list[Subject] = [
        MemberSubject(make_member(), apps),
        MemberSubject(make_member(), apps, make_personal_token()),
        MemberSubject(make_member(), apps, make_refresh_token()),
        ServiceAccountSubject(make_service_account(), apps),
        LicenseSubject(make_license(), apps["acme"]),
    ]

    assert expected == [await desk(proof, "acme", "unknown") for proof in (ME, PERSONAL, REFRESH, SERVICE, LICENSE)]


@pytest.mark.parametrize("who", [who for who in EVERYBODY if who != "license"])
async def test_two_round_trips(desk: Desk, who: str) -> None:
    """Whatever the credential: one question for it, and one for everything else as of one instant."""
    await desk(EVERYBODY[who], "acme", "api")

    assert ["first", "second"] == desk.facts_reader.calls


@pytest.mark.parametrize(("slug", "questions"), [("acme", 1), ("api", 2)])
async def test_a_pull_with_a_license_takes_one_round_trip(desk: Desk, slug: str, questions: int) -> None:
    """Asking for the license's own app brings everything at once; asking for another one takes a second question."""
    await desk(LICENSE, slug)

    assert ["second"] * questions == desk.facts_reader.calls


async def test_a_license_brings_its_own_app(desk: Desk) -> None:
    """A license's app is looked up whatever was asked for; a member's apps are those that were asked for."""
    member, license_ = await desk(ME), await desk(LICENSE, "api")

    assert isinstance(member, MemberSubject)
    assert isinstance(license_, LicenseSubject)
    assert [{}, make_app("acme")] == [member.apps, license_.app]


async def test_nothing_and_junk(desk: Desk) -> None:
    """Neither asks the store; no credentials is an invitation, junk is a refusal."""
    nothing, junk = await desk.refusal(Nothing()), await desk.refusal(Junk("why"))

    assert [(SIGN_IN, "no credentials"), (REFUSED, "why")] == [(str(nothing), nothing.detail), (str(junk), junk.detail)]
    assert [] == desk.facts_reader.calls


UNPROVEN: dict[str, Proof] = {
    "unknown member": PasswordProof("you@acme.test", PASSWORD),
    "wrong password": PasswordProof("me@acme.test", WRONG),
    "endless password": PasswordProof("me@acme.test", Secret("x" * 2000)),
    "unknown license": MachineProof(license_token("c000000000000009")),
    "rotated license": MachineProof(license_token(generation=2)),
    "foreign license": MachineProof(MachineSecret.build("lic", LICENSE_ID, bytes(32))),
    "unknown kind": MachineProof(machine_secret("xx")),
    "link": MachineProof(machine_secret("link")),
    "wrong personal": MachineProof(machine_secret(PERSONAL_KIND, seed=9)),
    "wrong refresh": MachineProof(machine_secret(REFRESH_KIND, seed=9)),
    "wrong service": MachineProof(machine_secret(SERVICE_KIND, seed=9)),
    "license as personal": MachineProof(MachineSecret.build(PERSONAL_KIND, LICENSE_ID, bytes(32))),
    "junk": Junk("x"),
}


@pytest.mark.parametrize("case", UNPROVEN)
async def test_one_sentence(desk: Desk, case: str) -> None:
    """Unknown, wrong, rotated or of another kind: whoever asks learns nothing from the sentence."""
    error = await desk.refusal(UNPROVEN[case])

    assert (REFUSED, WrongSecret) == (str(error), type(error))
    assert error.detail


async def test_the_detail_tells_them_apart(desk: Desk) -> None:
    """The log knows what the client does not."""
    details = {(await desk.refusal(proof)).detail for proof in UNPROVEN.values()}

    assert len(details) >= 10


async def test_the_detail_holds_no_secret(desk: Desk) -> None:
    """Neither sentence nor detail shows a password or a token."""
    shown = [f"{error!r} {error.detail}" for error in [await desk.refusal(proof) for proof in UNPROVEN.values()]]

    assert not [
        text for text in shown if "horse" in text or "_000" in text or license_token(generation=2).text.reveal() in text
    ]


@pytest.mark.parametrize("case", ["unknown member", "wrong password"])
async def test_one_hash(desk: Desk, case: str) -> None:
    """An unknown account costs one hash, as a wrong password does."""
    await desk.refusal(UNPROVEN[case])

    assert desk.hashes == 1


async def test_machines_cost_no_hash(desk: Desk) -> None:
    """A machine secret is never hashed with Argon2, right or wrong."""
    for proof in (LICENSE, PERSONAL, REFRESH, SERVICE):
        await desk(proof)
    await desk.refusal(UNPROVEN["rotated license"])

    assert desk.hashes == 0


CHANGES: dict[str, tuple[Callable[[Member], Member | None], bool]] = {
    "nothing": (lambda member: member, True),
    "epoch": (lambda member: evolve(member, epoch=2), False),
    "password": (lambda member: evolve(member, epoch=2, password_hash=plain_hash(WRONG)), False),
    "removed": (lambda member: evolve(member, removed_at=NOW), False),
    "gone": (lambda _: None, False),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_member_changes_during_the_hash(desk: Desk, change: str) -> None:
    """What changes while the password is being hashed ends the sign-in, also when the hash was right (threat 50)."""
    edit, stays = CHANGES[change]

    def meanwhile() -> None:
        changed = edit(desk.facts_reader.members.pop(MEMBER_ID))
        if changed is not None:
            desk.facts_reader.put(changed)

    desk.during_hash = meanwhile
    if stays:
        assert isinstance(await desk(ME), MemberSubject)
        return
    error = await desk.refusal(ME)

    assert (REFUSED, f"member:{MEMBER_ID} changed during the check") == (str(error), error.detail)


async def test_the_newest_facts_count(desk: Desk) -> None:
    """A role that changes during the hash is the new one in the answer."""
    disabled = make_member(disabled_at=NOW)
    desk.during_hash = lambda: desk.facts_reader.put(disabled)

    assert MemberSubject(disabled, {}) == await desk(ME)


@pytest.mark.parametrize(
    ("proof", "record"),
    [
        (LICENSE, make_license(generations=((2, None),))),
        (LICENSE, make_license(generations=((2, None), (1, NOW)))),
        (SERVICE, make_service_account(tokens=())),
        (PERSONAL, make_personal_token(sha256="0" * 64)),
        (REFRESH, make_refresh_token(sha256="0" * 64)),
    ],
    ids=["license", "overlap ends", "service", "personal", "refresh"],
)
async def test_a_machine_changes_between_the_questions(desk: Desk, proof: Proof, record: Any) -> None:
    """A secret that is rotated between the two questions is refused."""
    desk.facts_reader.after_first = lambda: desk.facts_reader.put(record)

    assert "changed during the check" in str((await desk.refusal(proof, slug="another")).detail)


async def test_a_revoked_license_is_proven(desk: Desk) -> None:
    """Identity and right are two things: a revoked license proves who asks, and policy says no with the reason."""
    revoked = make_license(revoked_at=NOW)
    desk.facts_reader.put(revoked)

    assert LicenseSubject(revoked, make_app("acme")) == await desk(LICENSE)


@pytest.mark.parametrize(
    ("generation", "at", "expected"),
    [(2, NOW, True), (1, NOW, True), (1, NOW + timedelta(hours=24) - timedelta(microseconds=1), True),
     (1, NOW + timedelta(hours=24), False), (2, NOW + timedelta(days=9), True), (3, NOW, False)],
)  # fmt: skip
async def test_overlap(desk: Desk, generation: int, at: datetime, expected: bool) -> None:
    """After a rotation the old token works to the end of the overlap, not a moment longer."""
    desk.facts_reader.put(make_license(generations=((2, None), (1, NOW + timedelta(hours=24)))))
    proof = MachineProof(license_token(generation=generation))

    if expected:
        assert isinstance(await desk(proof, now=at), LicenseSubject)
    else:
        assert str(await desk.refusal(proof, at)) == REFUSED


@pytest.mark.parametrize(
    ("record", "at"),
    [
        (make_refresh_token(revoked_at=NOW), NOW),
        (make_refresh_token(epoch=0), NOW),
        (make_refresh_token(), NOW + timedelta(days=27)),
        (make_refresh_token(created_at=NOW - timedelta(days=90)), NOW),
    ],
    ids=["revoked", "epoch", "idle", "old"],
)
async def test_an_ended_sign_in(desk: Desk, record: Any, at: datetime) -> None:
    """A refresh token that ended says so: it was proven, and the way out is to sign in again."""
    desk.facts_reader.put(record)
    if record.created_at < NOW - timedelta(days=30):
        desk.facts_reader.used_at[MACHINE_ID] = NOW

    assert (
        str(await desk.refusal(REFRESH, at)) == "your sign-in has ended; sign in again with your password: docker login"
    )


@pytest.mark.parametrize("proof", [PERSONAL, REFRESH], ids=["personal", "refresh"])
@pytest.mark.parametrize("gone", [True, False], ids=["gone", "removed"])
async def test_a_token_ends_with_its_member(desk: Desk, proof: Proof, gone: bool) -> None:
    """A token of somebody who is no member any more proves nobody."""
    del desk.facts_reader.members[MEMBER_ID]
    if not gone:
        desk.facts_reader.put(make_member(removed_at=NOW))

    assert (await desk.refusal(proof)).detail == "the member of the token no longer exists"


async def test_who_used_what(desk: Desk) -> None:
    """Every machine credential that signed in is told; one that was refused is not."""
    for proof in (LICENSE, PERSONAL):
        await desk(proof)
    await desk(ME)
    await desk.refusal(UNPROVEN["rotated license"])

    assert [LICENSE_ID, MACHINE_ID] == desk.used


async def test_wrong_machine_secrets_are_throttled(desk: Desk) -> None:
    """After ten wrong secrets for one id the next is told to wait, while the right one is evaluated as ever."""
    wrong = UNPROVEN["foreign license"]
    for _ in range(10):
        await desk.refusal(wrong)

    with pytest.raises(Throttled, match="too many unknown tokens or license files from this network; wait 30"):
        await desk(wrong)
    assert isinstance(await desk(LICENSE), LicenseSubject)


async def test_machines_and_people_do_not_throttle_each_other(desk: Desk) -> None:
    """A cluster with an outdated token keeps nobody's password out, and an attack on passwords no machine."""
    for number in range(200):
        with pytest.raises((WrongSecret, Throttled)):
            await desk(MachineProof(license_token(f"c{number:015}", generation=9)))
    assert isinstance(await desk(ME), MemberSubject)
    for number in range(200):
        with pytest.raises((WrongSecret, Throttled)):
            await desk(PasswordProof(f"m{number}@acme.test", Secret(f"guess number {number}")))
    with pytest.raises(Throttled):
        await desk(evolve(ME, password=WRONG))

    assert isinstance(await desk(LICENSE), LicenseSubject)
    assert isinstance(await desk(PERSONAL), MemberSubject)
    assert isinstance(await desk(SERVICE), ServiceAccountSubject)
    assert isinstance(await desk(REFRESH), MemberSubject)


@pytest.mark.parametrize("who", EVERYBODY)
async def test_the_store_is_away(desk: Desk, who: str) -> None:
    """A store that does not answer is no wrong password: everybody hears of it, and nobody is refused for it."""
    await desk(EVERYBODY[who])
    desk.facts_reader.away = True

    with pytest.raises(StoreUnavailable):
        await desk(EVERYBODY[who])


async def test_licenses_go_on_while_the_store_is_away() -> None:
    """With the setting on, a license that the store had a moment ago is believed, marked as such; nobody else is."""
    async with opened(believing=True) as desk:
        for proof in EVERYBODY.values():
            await desk(proof)
        desk.facts_reader.away = True

        for proof in (ME, PERSONAL, REFRESH, SERVICE):
            with pytest.raises(StoreUnavailable):
                await desk(proof)
        assert LicenseSubject(make_license(), make_app("acme"), stale=True) == await desk(LICENSE)
        desk.facts_reader.recent.clear()
        with pytest.raises(StoreUnavailable):
            await desk(LICENSE)


async def test_a_seen_revocation_is_not_forgotten() -> None:
    """What the store said last counts: revoked stays revoked, and a rotated token is not believed."""
    async with opened(believing=True) as desk:
        await desk(LICENSE)
        desk.facts_reader.put(make_license(revoked_at=NOW))
        await desk(LICENSE)
        desk.facts_reader.away = True
        believed = await desk(LICENSE)
        desk.facts_reader.away = False
        desk.facts_reader.put(make_license(generations=((2, None),)))
        await desk.refusal(LICENSE)
        desk.facts_reader.away = True

        assert isinstance(believed, LicenseSubject)
        assert (NOW, True) == (believed.license.revoked_at, believed.stale)
        with pytest.raises(StoreUnavailable):
            await desk(LICENSE)


async def test_a_rotated_token_is_not_believed_beyond_its_overlap() -> None:
    """The end of an overlap counts without the store too."""
    async with opened(believing=True) as desk:
        desk.facts_reader.put(make_license(generations=((2, None), (1, NOW + timedelta(seconds=5)))))
        await desk(LICENSE)
        desk.facts_reader.away = True

        assert isinstance(await desk(LICENSE, now=NOW + timedelta(seconds=4)), LicenseSubject)
        with pytest.raises(StoreUnavailable):
            await desk(LICENSE, now=NOW + timedelta(seconds=5))
