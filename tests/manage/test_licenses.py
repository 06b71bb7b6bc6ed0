"""Licenses from their first day to their last: the end, the registry token and the file, each by its own rule."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from authsvc.credentials.machine_secret import derive_license_token
from authsvc.errors import ConfirmationNeeded, Conflict, InputRefused, NotFound
from authsvc.license_file import registry_token
from authsvc.manage.licenses import Licenses
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import SERVICE, TOKEN_KEY
from tests.support.installation import APP, DENIED, OPERATOR, OTHER_APP, REFUSED, Installation, KeysInMemory, confirmed

DAY = timedelta(days=1)
PULL = f"repository:{APP}/x:pull"


async def make(house: Installation, expires: str = "2026-09-01", **terms: Any) -> tuple[License, str]:
    """Make a license and return it with its registry token."""
    operation = house.operation()
    parsed = LicenseTerms.parse(customer="Globex", expires=expires, now=operation.now, **terms)
    made, file = await house.licenses.create(APP, parsed, operation)
    return made, token_in(file)


def token_in(file: str) -> str:
    """Return the registry token in a license file."""
    token = registry_token(file)
    assert token is not None
    return token


def says(file: str) -> dict[str, Any]:
    """Return what a license file says."""
    said: dict[str, Any] = json.loads(file)["license"]
    return said


async def test_a_license_pulls_its_app_and_nothing_else(house: Installation) -> None:
    """It never pushes or deletes, and another app of the same vendor is out of reach."""
    _, token = await make(house)

    assert "pull" == await house.gets(token)
    assert "" == await house.gets(token, scope=f"repository:{OTHER_APP}/x:pull")


async def test_extending_keeps_the_token(house: Installation) -> None:
    """The file that is installed goes on working; the new file says the new end and holds the same token."""
    made, token = await make(house)
    changed, file = await house.licenses.extend(made.id, "2027-01-31", house.operation())
    house.now = datetime.fromisoformat("2027-01-30T23:59:59+00:00")

    assert "pull" == await house.gets(token)
    assert (token, "2027-01-31T00:00:00Z") == (token_in(file), says(file)["expires_at"])
    assert made.tokens == changed.tokens
    house.pass_time(seconds=1)
    assert f"license {made.id} of Globex expired on 2027-01-31; ask the vendor" == await house.why(token)


@pytest.mark.parametrize(("before", "after"), [("1", "true"), ("true", "1"), ("1", "1.0"), ("false", "0")])
async def test_a_field_changes_to_a_value_that_python_calls_equal(house: Installation, before: str, after: str) -> None:
    """What the new file says is what is stored, and the audit has it."""
    made, _ = await make(house, fields=[f"seats={before}"])
    changed, file = await house.licenses.set(made.id, LicenseUpdate.parse(fields=[f"seats={after}"]), house.operation())
    stored = await house.licenses.show(OPERATOR, made.id)

    assert [after] * 3 == [
        json.dumps(fields["seats"]) for fields in (says(file)["fields"], stored.fields, changed.fields)
    ]
    assert json.dumps({"fields.seats": [json.loads(before), json.loads(after)]}) == json.dumps(
        house.told[-1].facts["changed"]
    )


async def test_an_expired_license_comes_back_by_extending(house: Installation) -> None:
    """The holder has nothing to install: the same token works again."""
    made, token = await make(house)
    house.pass_time(days=60)
    assert DENIED == await house.gets(token)
    await house.licenses.extend(made.id, "30d", house.operation())

    assert "pull" == await house.gets(token)


async def test_an_earlier_end_counts_at_once(house: Installation) -> None:
    """A license that is cut short gives no registry token beyond its new end."""
    made, token = await make(house)
    await house.licenses.extend(made.id, "2026-08-01T12:02:00Z", house.operation())
    assert datetime.fromisoformat("2026-08-01T12:02:00+00:00") == (await house.ask(token)).claims.expires_at
    house.pass_time(minutes=2)

    assert DENIED == await house.gets(token)


@pytest.mark.parametrize("expires", ["2026-08-01", "2026-08-01T12:00:00Z", "0d", "tomorrow", "2026-02-30", ""])
async def test_an_end_that_is_none_is_refused(house: Installation, expires: str) -> None:
    """An end lies in the future; the license stays as it was."""
    made, _ = await make(house)

    with pytest.raises(InputRefused, match="expires"):
        await house.licenses.extend(made.id, expires, house.operation())
    assert made == await house.licenses.show(OPERATOR, made.id)


async def test_an_end_before_the_beginning_is_refused(house: Installation) -> None:
    """A license that begins later cannot end before."""
    made, _ = await make(house, not_before="2026-08-20")

    with pytest.raises(InputRefused, match="begins on 2026-08-20T00:00:00Z; it must end later"):
        await house.licenses.extend(made.id, "2026-08-20", house.operation())


async def test_a_license_waits_for_its_beginning(house: Installation) -> None:
    """Before not_before it is refused with the day, from then on it pulls."""
    made, token = await make(house, not_before="2026-08-20", contact="sales@acme.test")
    house.now = datetime.fromisoformat("2026-08-19T23:59:59.999999+00:00")
    assert f"license {made.id} of Globex begins on 2026-08-20; contact sales@acme.test" == await house.why(token)
    house.pass_time(microseconds=1)

    assert "pull" == await house.gets(token)


async def test_rotation_overlaps(house: Installation) -> None:
    """The old token works until the overlap ends, to the microsecond, and the new one from now on."""
    made, first = await make(house)
    _, file = await house.licenses.rotate(made.id, DAY, house.operation())
    second = token_in(file)
    assert first != second
    assert ["pull", "pull"] == [await house.gets(first), await house.gets(second)]
    house.pass_time(days=1, microseconds=-1)
    assert "pull" == await house.gets(first)
    house.pass_time(microseconds=1)

    assert [REFUSED, "pull"] == [await house.gets(first), await house.gets(second)]


async def test_rotation_without_overlap_cuts_at_once(house: Installation) -> None:
    """A leaked file fails at the first use after the answer."""
    made, first = await make(house)
    assert "pull" == await house.gets(first)
    _, file = await house.licenses.rotate(made.id, timedelta(0), house.operation())

    assert [REFUSED, "pull"] == [await house.gets(first), await house.gets(token_in(file))]


async def test_two_tokens_at_most_are_live(house: Installation) -> None:
    """A second rotation ends the oldest token, and a third one without overlap all but the newest."""
    made, first = await make(house)
    files = [(await confirmed(house.licenses.rotate, made.id, 2 * DAY, house.operation()))[1] for _ in range(2)]
    tokens = [first, *map(token_in, files)]
    assert [REFUSED, "pull", "pull"] == [await house.gets(token) for token in tokens]
    changed, file = await house.licenses.rotate(made.id, timedelta(0), house.operation())

    assert [REFUSED] * 3 == [await house.gets(token) for token in tokens]
    assert "pull" == await house.gets(token_in(file))
    assert [4] == [token.generation for token in changed.tokens]


async def test_a_second_rotation_asks_before_it_ends_a_promise(house: Installation) -> None:
    """Nothing happens until somebody has confirmed the very token that would end, and its promised end."""
    made, first = await make(house)
    second = token_in((await house.licenses.rotate(made.id, 7 * DAY, house.operation()))[1])
    house.pass_time(hours=1)
    with pytest.raises(ConfirmationNeeded) as asked:
        await house.licenses.rotate(made.id, DAY, house.operation())
    assert (
        f"the license {made.id} of Globex has been rotated already: token 1, which was to work until "
        "2026-08-08T12:00:00Z, ends now, and any client that still uses it is refused" == str(asked.value)
    )
    assert ["pull", "pull"] == [await house.gets(token) for token in (first, second)]

    _, file = await house.licenses.rotate(made.id, DAY, house.operation(), asked.value.mark)
    assert [REFUSED, "pull", "pull"] == [await house.gets(token) for token in (first, second, token_in(file))]
    with pytest.raises(ConfirmationNeeded, match="token 2, which was to work until 2026-08-02T13:00:00Z, ends now"):
        await house.licenses.rotate(made.id, DAY, house.operation(), asked.value.mark)
    assert {"generation": 3, "ended": [1]} == {name: house.told[-1].facts[name] for name in ("generation", "ended")}


async def test_a_rotation_that_breaks_no_promise_asks_nobody(house: Installation) -> None:
    """The overlap is over, the license is refused anyhow, or nothing at all is to work on: there is nothing to ask."""
    made, _ = await make(house)
    await house.licenses.rotate(made.id, DAY, house.operation())
    house.pass_time(days=1)
    await house.licenses.rotate(made.id, DAY, house.operation())
    await house.licenses.rotate(made.id, timedelta(0), house.operation())
    await house.licenses.rotate(made.id, DAY, house.operation())
    await house.licenses.revoke(made.id, house.operation())
    changed, _ = await house.licenses.rotate(made.id, DAY, house.operation())

    assert [6, 5] == [token.generation for token in changed.tokens]


async def test_of_two_rotations_at_once_neither_ends_what_the_other_promised(house: Installation) -> None:
    """The second one meets a license that was changed, or asks; it never ends the first one's promise in silence."""
    made, first = await make(house)
    rotations = (house.licenses.rotate(made.id, DAY, house.operation()) for _ in range(2))
    outcomes = await asyncio.gather(*rotations, return_exceptions=True)

    assert 1 == sum(isinstance(outcome, Conflict) for outcome in outcomes)
    assert "pull" == await house.gets(first)


async def test_a_second_rotation_does_not_lengthen_an_overlap(house: Installation) -> None:
    """The token before the newest ends with its own overlap, counted from the rotation that replaced it."""
    made, _ = await make(house)
    second = token_in((await house.licenses.rotate(made.id, DAY, house.operation()))[1])
    house.pass_time(hours=12)
    await confirmed(house.licenses.rotate, made.id, DAY, house.operation())
    house.pass_time(days=1, microseconds=-1)
    assert "pull" == await house.gets(second)
    house.pass_time(microseconds=1)

    assert REFUSED == await house.gets(second)


async def test_a_file_is_the_same_whenever_it_is_downloaded(house: Installation) -> None:
    """The token is derived, so a download gives it again, after a renewal and after a rotation too."""
    made, token = await make(house, repositories=["worker", "api/*"], fields=["seats=25"], contact="x@acme.test")
    assert token == token_in(await house.licenses.download(OPERATOR, made.id))
    await house.licenses.extend(made.id, "2027-01-31", house.operation())
    assert token == token_in(await house.licenses.download(OPERATOR, made.id))
    _, rotated = await house.licenses.rotate(made.id, DAY, house.operation())

    assert says(rotated) == says(await house.licenses.download(OPERATOR, made.id))
    assert derive_license_token(TOKEN_KEY, made.id, 2).text.reveal() == token_in(rotated)


async def test_another_token_key_is_noticed_and_rotation_is_the_way_out(house: Installation) -> None:
    """A file is never written with a token that would not log in; a rotation derives one under the new key."""
    made, token = await make(house)
    moved = Licenses(house.stores, KeysInMemory(token=bytes(32)), SERVICE)
    with pytest.raises(Conflict, match="made under another license-token key"):
        await moved.download(OPERATOR, made.id)
    _, file = await moved.rotate(made.id, DAY, house.operation())

    assert ["pull", "pull"] == [await house.gets(token), await house.gets(token_in(file))]


@pytest.mark.parametrize("end", ["revoke", "archive"])
async def test_revoking_and_archiving_refuse_at_once_and_reinstating_undoes_both(house: Installation, end: str) -> None:
    """The customer reads that the license was revoked, whichever it was; only archiving hides it from lists."""
    made, token = await make(house)
    await getattr(house.licenses, end)(made.id, house.operation())
    sentence = await house.why(token)
    listed = await house.listed(APP)
    house.pass_time(hours=1)
    await getattr(house.licenses, end)(made.id, house.operation())
    assert sentence == await house.why(token)
    await house.licenses.reinstate(made.id, house.operation())

    assert f"license {made.id} of Globex was revoked on 2026-08-01 12:00 UTC; ask the vendor" == sentence
    assert (0 if end == "archive" else 1) == len(listed)
    assert [made] == await house.listed(APP)
    assert "pull" == await house.gets(token)
    assert made.id == (await house.licenses.show(OPERATOR, made.id)).id


async def test_what_ends_a_license_survives_a_renewal_and_a_rotation(house: Installation) -> None:
    """A revoked license that is extended or rotated stays revoked."""
    made, token = await make(house)
    await house.licenses.revoke(made.id, house.operation())
    await house.licenses.extend(made.id, "2027-01-31", house.operation())
    _, file = await house.licenses.rotate(made.id, DAY, house.operation())

    assert [DENIED, DENIED] == [await house.gets(token), await house.gets(token_in(file))]


async def test_an_archived_app_takes_its_licenses_along(house: Installation) -> None:
    """Its licenses are refused with the day, and no new one is made."""
    made, token = await make(house)
    await confirmed(house.teams.archive_app, APP, house.operation())

    assert "the app acme was archived on 2026-08-01 12:00 UTC; ask the vendor" == await house.why(token)
    with pytest.raises(Conflict, match="is archived; a license for it could pull nothing"):
        await make(house)
    assert made == await house.licenses.show(OPERATOR, made.id)


@pytest.mark.parametrize("license_id", ["", "absent", "*", "0" * 16, "O" * 16, "0" * 17, "0" * 15 + "\n", "é" * 16])
@pytest.mark.parametrize("change", ["show", "download", "extend", "rotate", "revoke", "archive", "reinstate"])
async def test_what_is_not_there_is_refused(house: Installation, change: str, license_id: str) -> None:
    """Only something of the form of an id is ever looked up."""
    arguments = {"extend": ("2027-01-31",), "rotate": (DAY,)}.get(change, ())
    reads = change in {"show", "download"}
    asked = (OPERATOR, license_id) if reads else (license_id, *arguments, house.operation())

    with pytest.raises(NotFound, match="there is no license"):
        await getattr(house.licenses, change)(*asked)


async def test_every_change_is_told_with_the_state_it_leads_to(house: Installation) -> None:
    """The audit learns id, app, team and state; what changes nothing is not told."""
    made, _ = await make(house)
    await house.licenses.extend(made.id, "2026-09-01", house.operation())
    for change in ("revoke", "revoke", "archive", "reinstate", "reinstate"):
        await getattr(house.licenses, change)(made.id, house.operation())
    await house.licenses.rotate(made.id, DAY, house.operation())

    told = [(entry.event, entry.facts.get("state")) for entry in house.told[3:]]
    assert [
        ("license.created", None),
        ("license.changed", "revoked"),
        ("license.changed", "archived"),
        ("license.changed", "active"),
        ("license.rotated", "active"),
    ] == told


async def test_nothing_that_logs_in_is_stored(house: Installation) -> None:
    """Redis and the audit hold hashes: a stolen dump opens nothing."""
    made, first = await make(house)
    _, file = await house.licenses.rotate(made.id, DAY, house.operation())
    everything = await house.everything_stored() + repr([entry.to_json() for entry in house.told])

    assert not [token for token in (first, token_in(file)) if token[25:60] in everything]
