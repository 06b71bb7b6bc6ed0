"""Importing licenses: everything is checked first, nothing is made twice, and a repetition finishes what is missing."""

import asyncio
import json
import stat
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from attrs import define, evolve

from authsvc.cli.license_folder import LicenseFolder
from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import Conflict, InputRefused
from authsvc.license_file import registry_token
from authsvc.manage.license_import import Changed, ImportOutcome, LicenseImport, Plan
from authsvc.manage.license_rows import LicenseRow, Read, RowProblem
from authsvc.manage.license_signer import LicenseSigner
from authsvc.manage.operation import Operation
from authsvc.manage.row_batches import BATCH, COMMAND_BATCH, MAX_ROWS
from authsvc.store.batched_writes import MAX_SCRIPTS
from authsvc.store.connection import MAX_CONNECTIONS
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import NOW
from tests.support.installation import APP, OPERATOR, OTHER_APP, TEAM, Installation, confirmed

END = datetime(2031, 1, 31, tzinfo=UTC)


def make_rows(count: int) -> list[LicenseRow]:
    """Return rows with references A-0, A-1 and so on."""
    return [LicenseRow(n + 2, f"A-{n}", LicenseTerms(f"Customer {n}", END, fields={"seats": n})) for n in range(count)]


async def importing(house: Installation, sink: LicenseFolder | None = None, app: str = APP) -> LicenseImport:
    """Return an import into an open app."""
    return LicenseImport(house.licenses, await house.licenses.open_app(OPERATOR, app), sink)


async def carry_out(
    house: Installation,
    rows: Iterable[Read],
    sink: LicenseFolder | None = None,
    operation: Callable[[], Operation] | None = None,
) -> ImportOutcome:
    """Import rows and return what it did."""
    return await (await importing(house, sink)).carry_out(OPERATOR, rows, operation or house.operation, lambda _: None)


async def check(house: Installation, *rows: Read, sink: LicenseFolder | None = None) -> Plan:
    """Return what importing the rows would do."""
    return await (await importing(house, sink)).check(OPERATOR, rows, house.now)


async def test_a_row_is_a_license(house: Installation) -> None:
    """Each license says what its row says, under its reference, and its file logs in."""
    rows = make_rows(2 * BATCH + 3)
    done: list[int] = []
    outcome = await (await importing(house)).carry_out(OPERATOR, rows, house.operation, done.append)
    made = {license_.reference: license_ for license_ in await house.listed(APP)}

    assert ImportOutcome(created=len(rows)) == outcome
    assert [BATCH, BATCH, 3] == done
    assert {row.reference: row.terms.customer for row in rows} == {ref: one.customer for ref, one in made.items()}
    token = registry_token(await house.licenses.download(OPERATOR, made["A-7"].id))
    assert token is not None
    assert "pull" == await house.gets(token)
    assert len(rows) == len([entry for entry in house.told if entry.event == "license.created"])


@define
class CountedSigner:
    """Derives and signs, and counts what it does."""

    signer: LicenseSigner
    derived: int = 0
    signed: int = 0

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Derive one."""
        self.derived += 1
        return await self.signer.derive_license_token(license_id, generation)

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return the public keys."""
        return await self.signer.license_keys()

    async def sign_license(self, payload: bytes) -> str:
        """Sign one."""
        self.signed += 1
        return await self.signer.sign_license(payload)


async def test_no_key_is_used_in_vain(house: Installation, tmp_path: Path) -> None:
    """A token is derived once for a license, and a file is signed once, if it is wanted."""
    work, signer = await importing(house), CountedSigner(house.licenses.signer)
    work = evolve(work, licenses=evolve(work.licenses, signer=signer))
    rows, folder = make_rows(6), LicenseFolder(tmp_path)
    await work.carry_out(OPERATOR, rows[:3], house.operation, print)
    assert (3, 0) == (signer.derived, signer.signed)
    outcome = await evolve(work, sink=folder).carry_out(OPERATOR, rows[3:], house.operation, print)
    assert (ImportOutcome(3, 0, {"written": 3, "kept": 0, "outdated": 0}), 6, 3) == (
        outcome,
        signer.derived,
        signer.signed,
    )
    await evolve(work, sink=folder).carry_out(OPERATOR, rows, house.operation, print)
    assert (9, 6) == (signer.derived, signer.signed)
    for license_ in await house.listed(APP):
        token = registry_token(folder.path(license_).read_text(encoding="ascii"))
        assert token is not None
        assert "pull" == await house.gets(token)


async def test_a_command_carries_out_more_at_once_than_a_worker(house: Installation) -> None:
    """A worker has other requests to answer."""
    done: list[int] = []
    rows = make_rows(COMMAND_BATCH + 2)
    work = evolve(await importing(house), batch=COMMAND_BATCH)
    await work.carry_out(OPERATOR, rows, house.operation, done.append)
    assert [COMMAND_BATCH, 2] == done
    assert BATCH < COMMAND_BATCH
    assert COMMAND_BATCH // MAX_SCRIPTS < MAX_CONNECTIONS


async def test_the_same_file_again_makes_nothing(house: Installation) -> None:
    """Not a byte of the store changes, however often it is imported."""
    rows = make_rows(40)
    await carry_out(house, rows)
    before = await house.everything_stored()
    house.pass_time(days=1)

    assert Plan(rows=40) == await check(house, *rows)
    assert ImportOutcome(existing=40) == await carry_out(house, rows)
    assert before == await house.everything_stored()


async def test_what_was_done_to_a_license_since_is_no_difference(house: Installation) -> None:
    """Extended, rotated, revoked, archived or expired: the row is known, and its license stays as it is."""
    rows = make_rows(5)
    await carry_out(house, rows)
    ids = {one.reference: one.id for one in await house.listed(APP)}
    await house.licenses.extend(ids["A-0"], "2032-01-31", house.operation())
    await house.licenses.rotate(ids["A-1"], END - NOW, house.operation())
    await house.licenses.revoke(ids["A-2"], house.operation())
    await house.licenses.archive(ids["A-3"], house.operation())
    house.now = END

    assert Plan(rows=5) == await check(house, *rows)
    assert ImportOutcome(existing=5) == await carry_out(house, rows)
    assert ["revoked", "archived"] == [(await house.licenses.show(OPERATOR, ids[f"A-{n}"])).state(NOW) for n in (2, 3)]


async def test_a_changed_row_is_told_and_not_applied(house: Installation) -> None:
    """The plan names line, reference, license and columns; the license stays as it is."""
    rows = make_rows(3)
    await carry_out(house, rows)
    changed = evolve(rows[1], terms=evolve(rows[1].terms, customer="Other", fields={"seats": 99}))
    before = {one.reference: one for one in await house.listed(APP)}
    plan = await check(house, rows[0], changed, rows[2], make_rows(4)[3])

    assert [Changed(3, "A-1", before["A-1"].id, ("customer", "field.seats"))] == plan.changed
    assert (4, 1, []) == (plan.rows, plan.new, plan.problems)
    assert ImportOutcome(existing=3) == await carry_out(house, [rows[0], changed, rows[2]])
    assert before == {one.reference: one for one in await house.listed(APP)}


async def test_all_rows_are_checked_before_the_first_is_written(house: Installation) -> None:
    """Every problem is told in the order of the lines, and the store is as before."""
    before = await house.everything_stored()
    past = LicenseRow(4, "past", LicenseTerms("Past", NOW))
    long = LicenseRow(5, "long", LicenseTerms("Long", END, fields={f"f{n}": "x" * 200 for n in range(40)}))
    twin = LicenseRow(6, "A-0", LicenseTerms("Twin", END))
    plan = await check(house, make_rows(1)[0], [RowProblem(3, "type", "no", "license_type_invalid")], past, long, twin)

    assert [(3, "type"), (4, "expires"), (5, "row"), (6, "reference")] == [(p.line, p.column) for p in plan.problems]
    assert "'A-0' is on line 2 already" in plan.problems[-1].text
    assert "may have 8192" in plan.problems[2].text
    assert before == await house.everything_stored()


async def test_a_reference_is_of_its_app(house: Installation) -> None:
    """The same reference in another app is another license."""
    rows = make_rows(1)
    await carry_out(house, rows)
    other = await importing(house, app=OTHER_APP)

    assert 1 == (await other.check(OPERATOR, rows, house.now)).new
    assert ImportOutcome(created=1) == await other.carry_out(OPERATOR, rows, house.operation, lambda _: None)


async def test_two_imports_at_once_make_every_license_once(house: Installation) -> None:
    """Three people who import the same file at the same moment get one set of licenses."""
    rows = make_rows(100)
    outcomes = await asyncio.gather(*(carry_out(house, rows) for _ in range(3)))

    assert 100 == sum(outcome.created for outcome in outcomes)
    assert {100} == {outcome.created + outcome.existing for outcome in outcomes}
    assert 100 == len(await house.listed(APP))


@pytest.mark.parametrize("after", [0, 1, 15, 16, 50])
async def test_a_repetition_finishes_what_was_cut_off(house: Installation, tmp_path: Path, after: int) -> None:
    """Wherever it ended, importing again makes what is missing, and the files of all."""
    rows, sink = make_rows(80), LicenseFolder(tmp_path / "files")
    begun = 0

    def failing() -> Operation:
        nonlocal begun
        begun += 1
        if begun > after:
            raise InputRefused("cut off", code="encoding_invalid")
        return house.operation()

    with pytest.raises(InputRefused, match="cut off"):
        await carry_out(house, rows, sink, failing)
    there = len(await house.listed(APP))
    outcome = await carry_out(house, rows, sink)

    assert after == there == outcome.existing
    assert (80 - after, 80 - after) == (outcome.created, outcome.files["written"])
    files = sorted((tmp_path / "files").iterdir())
    assert sorted(one.id for one in await house.listed(APP)) == sorted(
        json.loads(file.read_text())["license"]["id"] for file in files
    )


async def test_an_archived_app_takes_none(house: Installation) -> None:
    """An import into it is refused at its beginning, and one that is under way ends."""
    opened = await importing(house)
    await confirmed(house.teams.archive_app, APP, house.operation())

    with pytest.raises(Conflict, match="is archived"):
        await importing(house)
    with pytest.raises(Conflict, match="changed at the same moment"):
        await opened.carry_out(OPERATOR, make_rows(3), house.operation, lambda _: None)
    assert [] == await house.listed(APP)


async def test_a_file_that_changes_under_the_import_ends_it(house: Installation) -> None:
    """A row that cannot be read any more is not passed over."""
    with pytest.raises(InputRefused, match="the file was changed while it was imported"):
        await carry_out(house, [make_rows(1)[0], [RowProblem(3, "type", "no", "license_type_invalid")]])


async def test_the_number_of_rows_is_bounded(house: Installation) -> None:
    """A file beyond the bound is refused while it is read, before its end."""
    read = 0

    def endless() -> Iterable[Read]:
        nonlocal read
        while True:
            read += 1
            yield []

    with pytest.raises(InputRefused, match="at most 100,000 rows"):
        await (await importing(house)).check(OPERATOR, endless(), house.now)
    assert read <= MAX_ROWS + BATCH


# Files


async def shelved(house: Installation, folder: Path) -> tuple[LicenseFolder, License, Path]:
    """Import one license with its file."""
    sink = LicenseFolder(folder)
    await carry_out(house, make_rows(1), sink)
    (license_,) = await house.listed(APP)
    return sink, license_, sink.path(license_)


async def test_files_are_private_and_whole(house: Installation, tmp_path: Path) -> None:
    """The folder is 0700, a file 0600, nothing else lies there, and the file is what a download gives."""
    _, license_, path = await shelved(house, tmp_path / "deep" / "files")

    assert [f"A-0-{license_.id}.license.json"] == [file.name for file in path.parent.iterdir()]
    assert (0o700, 0o600) == (stat.S_IMODE(path.parent.stat().st_mode), stat.S_IMODE(path.stat().st_mode))
    assert (
        json.loads(await house.licenses.download(OPERATOR, license_.id))["license"]
        == json.loads(path.read_text())["license"]
    )


async def test_a_file_that_is_there_is_never_overwritten(house: Installation, tmp_path: Path) -> None:
    """Its bytes stay; one of before a renewal is counted as outdated; a missing one is written again."""
    sink, license_, path = await shelved(house, tmp_path)
    before = path.read_bytes()
    assert {"written": 0, "kept": 1, "outdated": 0} == (await carry_out(house, make_rows(1), sink)).files
    await house.licenses.extend(license_.id, "2032-01-31", house.operation())
    assert {"written": 0, "kept": 0, "outdated": 1} == (await carry_out(house, make_rows(1), sink)).files
    assert before == path.read_bytes()
    path.unlink()

    assert {"written": 1, "kept": 0, "outdated": 0} == (await carry_out(house, make_rows(1), sink)).files
    assert "2032-01-31T00:00:00Z" == json.loads(path.read_text())["license"]["expires_at"]


@pytest.mark.parametrize("content", ["", "{}", "[]", "notes", '{"license": {"id": "another"}}', None])
async def test_something_else_under_the_name_is_told_before_the_first_write(
    house: Installation, tmp_path: Path, content: str | None
) -> None:
    """Whatever it is, it stays, and the row names it; a link into the void is something too."""
    sink, license_, path = await shelved(house, tmp_path)
    path.unlink()
    path.symlink_to("nowhere") if content is None else path.write_text(content)
    plan = await check(house, *make_rows(1), sink=sink)

    elsewhere = f"{path} is not the file of license {license_.id}; move it away"
    assert [RowProblem(2, "row", elsewhere, "file_unusable")] == plan.problems
    with pytest.raises(InputRefused, match="move it away"):
        await carry_out(house, make_rows(1), sink)
    assert content is None or content == path.read_text()


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("A 1/2", "A-1-2"),
        ("../../etc/passwd", "etc-passwd"),
        ("..", "license"),
        ("Zoë & Söhne", "Zoe-Sohne"),
        ("-rf", "rf"),
        ("x" * 200, "x" * 60),
        (".hidden", "hidden"),
        ("日本", "license"),
    ],
)
async def test_a_reference_becomes_a_harmless_name(
    house: Installation, tmp_path: Path, reference: str, name: str
) -> None:
    """Whatever a reference holds, its file lies in the folder under letters, digits, dots and dashes."""
    sink = LicenseFolder(tmp_path)
    await carry_out(house, [LicenseRow(2, reference, LicenseTerms("Globex", END))], sink)
    (license_,) = await house.listed(APP)

    assert [f"{name}-{license_.id}.license.json"] == [file.name for file in tmp_path.iterdir()]
    assert reference == license_.reference


async def test_a_half_written_file_of_a_killed_import_is_replaced(house: Installation, tmp_path: Path) -> None:
    """The next import into the folder removes what was not finished, and writes it."""
    _, _, path = await shelved(house, tmp_path)
    path.unlink()
    path.with_name(f".{path.name}.0123456789abcdef").write_text("half")
    await carry_out(house, make_rows(1), LicenseFolder(tmp_path))

    assert [path] == list(tmp_path.iterdir())


async def test_the_keys_lie_beside_the_files(house: Installation, tmp_path: Path) -> None:
    """Customers verify their files with them; an older set is replaced, and anything else is not."""
    sink, keys = LicenseFolder(tmp_path), tmp_path / "license-key.json"
    ours = await house.licenses.verification_keys()
    for before in (None, '{"keys": []}', ours):
        if before is not None:
            keys.write_text(before)
        sink.put_keys(ours)
        assert ours == keys.read_text()
    keys.write_text("notes")

    with pytest.raises(InputRefused, match="is not a key file of this installation"):
        sink.put_keys(ours)
    assert "notes" == keys.read_text()


async def test_a_folder_that_can_not_be_is_refused(house: Installation, tmp_path: Path) -> None:
    """A file where the folder should be is told at the beginning."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(InputRefused, match="cannot use"):
        LicenseFolder(tmp_path / "file" / "files")


def of_customer(number: int, name: str, reference: str | None, email: str | None = None) -> LicenseRow:
    """Return a row for a customer."""
    return LicenseRow(
        number, f"A-{number}", LicenseTerms(name, END, customer_reference=reference, customer_email=email)
    )


async def test_rows_of_one_customer_make_one_customer(house: Installation) -> None:
    """By reference or by name, and many rows at once; a reference that comes later is given to the customer."""
    rows = [of_customer(2, "Globex", None), *(of_customer(n, "Globex", "C-1", "it@globex.test") for n in range(3, 40))]
    await carry_out(house, rows)
    await carry_out(house, [of_customer(40, "GLOBEX INC", "C-1")])
    licenses = await house.listed(APP)
    (customer,) = (await house.customers.list(OPERATOR, TEAM)).items

    assert {customer.id} == {one.customer_id for one in licenses}
    assert ("Globex", "C-1", "it@globex.test") == (customer.name, customer.reference, customer.email)
    assert ["GLOBEX INC"] == [one.customer for one in licenses if one.reference == "A-40"]
    assert Plan(rows=38) == await check(house, *rows)


@pytest.mark.parametrize("attempt", range(5))
async def test_customers_come_out_as_if_rows_were_imported_one_by_one(
    house: Installation, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    """The first row names the customer; one that comes later has the customer that was there by then."""
    import_row, random = LicenseImport._one, Random(attempt)

    async def late(self: LicenseImport, *arguments: Any) -> None:
        await asyncio.sleep(random.random() / 50)
        await import_row(self, *arguments)

    monkeypatch.setattr(LicenseImport, "_one", late)
    described = [
        ("Globex", "C-1"),
        ("GLOBEX", "C-1"),
        ("Globex", None),
        ("Acme", None),
        ("ACME", "C-2"),
        ("Acme", "C-2"),
    ]
    rows = [of_customer(2 + number, *described[number % 6]) for number in range(12 + attempt)]
    await carry_out(house, rows)
    customers = {one.id: (one.name, one.reference) for one in (await house.customers.list(OPERATOR, TEAM)).items}

    assert [("ACME", "C-2"), ("Acme", None), ("Globex", "C-1")] == sorted(customers.values())
    theirs = {one.reference: customers[one.customer_id or ""][0] for one in await house.listed(APP)}
    assert ["Globex", "Globex", "Globex", "Acme", "ACME", "ACME"] == [theirs[f"A-{2 + number}"] for number in range(6)]


async def test_a_customer_that_would_be_another_is_a_problem(house: Installation) -> None:
    """Two references for one name, in the file or in the store, are found before the first license is made."""
    await carry_out(house, [of_customer(2, "Globex", "C-1")])
    plan = await check(
        house, of_customer(3, "Globex", "C-2"), of_customer(4, "New", "C-3"), of_customer(5, "New", "C-4")
    )

    assert [(3, "customer_reference"), (5, "customer_reference")] == [(one.line, one.column) for one in plan.problems]
    changed = await check(house, of_customer(2, "Globex", "C-9", "x@globex.test"))
    assert [("customer_reference",)] == [row.columns for row in changed.changed]
