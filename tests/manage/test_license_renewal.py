"""New ends in bulk: by reference, checked before anything changes, and the same file twice changes nothing."""

import asyncio
import io
from typing import Any

import pytest

from authsvc.errors import InputRefused
from authsvc.manage.license_renewal import LicenseRenewal, RenewalOutcome, RenewalPlan
from authsvc.manage.license_rows import RENEWAL_ROWS, ReadRenewal, read_csv, read_jsonl
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from tests.support.installation import APP, OPERATOR, Installation


async def make(house: Installation, reference: str, **terms: Any) -> License:
    """Make a license with a reference."""
    parsed = LicenseTerms.parse(customer="Globex", expires="2026-12-01", now=house.now, **terms)
    opened = await house.licenses.open_app(OPERATOR, APP)
    return (await house.licenses.create_in(opened, parsed, house.operation(), reference))[0]


def rows(text: str) -> list[ReadRenewal]:
    """Read a CSV file."""
    return list(read_csv(io.StringIO(text, newline=""), RENEWAL_ROWS))


async def renewal(house: Installation) -> LicenseRenewal:
    """Return the renewal of the app."""
    return LicenseRenewal(house.stores, await house.teams.app(OPERATOR, APP))


async def check(house: Installation, text: str) -> RenewalPlan:
    """Check a file."""
    return await (await renewal(house)).check(OPERATOR, rows(text), house.now)


async def carry_out(house: Installation, text: str) -> RenewalOutcome:
    """Renew by a file."""
    done: list[int] = []
    outcome = await (await renewal(house)).carry_out(OPERATOR, rows(text), house.operation, done.append)
    assert sum(done) == len(rows(text))
    return outcome


async def test_a_file_gives_licenses_their_new_ends_once(house: Installation) -> None:
    """Tokens stay the same, each change is in the audit, and the same file again changes nothing."""
    licenses = [await make(house, f"R-{number}") for number in range(40)]
    text = "reference,expires\n" + "".join(f"R-{number},2027-12-0{number % 3 + 1}\n" for number in range(40))
    plan = await check(house, text)
    assert (40, 40, 0, []) == (plan.rows, plan.changed, plan.unchanged, plan.problems)
    assert licenses == [await house.licenses.show(OPERATOR, one.id) for one in licenses]

    assert (40, 0) == ((outcome := await carry_out(house, text)).renewed, outcome.unchanged)
    renewed = [await house.licenses.show(OPERATOR, one.id) for one in licenses]
    assert [f"2027-12-0{number % 3 + 1}" for number in range(40)] == [str(one.expires_at.date()) for one in renewed]
    assert [one.tokens for one in licenses] == [one.tokens for one in renewed]
    assert ["2026-12-01T00:00:00+00:00", "2027-12-01T00:00:00+00:00"] in [
        entry.facts.get("changed", {}).get("expires_at") for entry in house.told
    ]
    entries = len(house.told)
    assert (0, 40) == ((outcome := await carry_out(house, text)).renewed, outcome.unchanged)
    assert (0, 40) == ((plan := await check(house, text)).changed, plan.unchanged)
    assert entries == len(house.told)


async def test_a_file_of_an_import_renews_too(house: Installation) -> None:
    """Its other columns are not looked at, and a license without a reference has its customer's name."""
    await make(house, "Globex")
    text = "customer,expires,type,customer_email,field.seats\nGlobex,2027-12-01,paid,nonsense,25\n"

    assert 1 == (await carry_out(house, text)).renewed


@pytest.mark.parametrize(
    ("row", "column", "sentence"),
    [
        ("R-9,2027-12-01", "reference", "has no license with the reference 'R-9'"),
        ("R-1,2026-01-01", "expires", "is not in the future"),
        ("R-1,2026-08-20", "expires", "begins on 2026-08-25T00:00:00Z; it must end later"),
        ("R-1,tomorrow", "expires", "date; write 2027-01-31"),
        ("R-1,", "expires", "it is empty"),
        (",2027-12-01", "reference", "it is empty"),
        ("R-0,2027-12-01", "reference", "is on line 2 already"),
    ],
)
async def test_every_problem_is_named_before_anything_changes(
    house: Installation, row: str, column: str, sentence: str
) -> None:
    """By its line and its column."""
    await make(house, "R-0")
    await make(house, "R-1", not_before="2026-08-25")
    plan = await check(house, f"reference,expires\nR-0,2027-12-01\n{row}\n")

    ((line, named, text),) = [(problem.line, problem.column, problem.text) for problem in plan.problems]
    assert (3, column) == (line, named)
    assert sentence in text


async def test_a_file_without_the_column_is_refused_at_once(house: Installation) -> None:
    """The first row is named."""
    plan = await check(house, "reference,contact\nR-0,x\n")

    assert [(1, "expires")] == [(problem.line, problem.column) for problem in plan.problems]
    (row,) = read_jsonl(['{"reference": 7, "expires": "2027-12-01"}\n'], RENEWAL_ROWS)
    assert not isinstance(row, list)
    assert "7" == row.reference


async def test_a_license_that_is_gone_since_the_check_stops_the_rest(house: Installation) -> None:
    """A repetition goes on where it ended."""
    await make(house, "R-0")

    with pytest.raises(InputRefused, match="start again"):
        await carry_out(house, "reference,expires\nR-0,2027-12-01\nR-1,2027-12-01\n")


async def test_two_renewals_at_once_end_alike(house: Installation) -> None:
    """A license that both change at the same moment is changed once, or the second is told to look again."""
    await asyncio.gather(*(make(house, f"R-{number}") for number in range(20)))
    text = "reference,expires\n" + "".join(f"R-{number},2027-12-01\n" for number in range(20))
    await asyncio.gather(carry_out(house, text), carry_out(house, text), return_exceptions=True)
    await carry_out(house, text)

    assert {"2027-12-01"} == {str(one.expires_at.date()) for one in await house.listed(APP)}
