"""``authsvc license import``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from attrs import asdict, evolve

from authsvc.cli.console import common_options, print_json, refuse, remark, run, say
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.row_file import (
    LastDays,
    RowFile,
    dry_run_option,
    format_option,
    operations_of,
    print_problems,
    progress,
    row_file_option,
)
from authsvc.counts import counted

if TYPE_CHECKING:
    from datetime import datetime

    from authsvc.cli.license_folder import LicenseFolder
    from authsvc.cli.license_tar import LicenseTar
    from authsvc.manage.license_import import ImportOutcome, LicenseImport, Plan
    from authsvc.manage.license_rows import Read
    from authsvc.manage.operation import Operation
    from authsvc.wiring.management import Management

STDOUT = "-"


@click.command("import")
@row_file_option
@click.option("--app", required=True, metavar="APP", help="The app of the licenses.")
@format_option
@click.option(
    "--output-dir", type=click.Path(path_type=Path), metavar="DIR", help="Write the license files to this folder."
)
@click.option(
    "--output-tar", type=FILE_NAME, metavar="FILE", help="Write all of them into one tar instead; - is standard output."
)
@click.option("--skip-changed", is_flag=True, help="Skip rows that differ from their licenses; import the others.")
@dry_run_option
@common_options
def import_command(
    file: Path,
    app: str,
    form: str | None,
    output_dir: Path | None,
    output_tar: str | None,
    data_dir: Path | None,
    *,
    skip_changed: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create a license for each row of FILE, - is standard input. Importing it again creates only what is missing."""
    piped = output_tar == STDOUT
    if output_dir and output_tar:
        raise click.UsageError("--output-dir and --output-tar contradict each other")
    if piped and as_json:
        raise click.UsageError("--json and --output-tar - both write to standard output")
    days = LastDays("new")

    async def use(manage: "Management") -> "tuple[Plan, ImportOutcome | None]":
        from authsvc.cli.license_folder import LicenseFolder
        from authsvc.manage.license_import import LicenseImport
        from authsvc.manage.row_batches import COMMAND_BATCH
        from authsvc.wiring import clock

        opened = await manage.licenses.open_app(manage.actor, app)
        folder = LicenseFolder(output_dir) if output_dir and not dry_run else None
        work = LicenseImport(manage.licenses, opened, folder, COMMAND_BATCH)
        with _unused_removed(folder), RowFile.open(file, form) as source:
            plan = await work.check(manage.actor, _rows(source), clock(), days.note)
            if dry_run or plan.problems or (plan.changed and not skip_changed):
                return plan, None
            with _sink(folder, output_tar, clock()) as sink:
                if sink is not None:
                    sink.put_keys(await manage.licenses.verification_keys())
                begin = operations_of(manage, "import", plan.rows, file)
                return plan, await _carried_out(evolve(work, sink=sink), plan, lambda: _rows(source), manage, begin)

    plan, outcome = run(data_dir, use, deadline=None)
    if as_json:
        print_json(_facts(app, plan, outcome, dry_run=dry_run))
    if plan.problems or (plan.changed and not skip_changed):
        _refuse(file, plan, as_json=as_json)
    if as_json:
        return
    if outcome is None:
        tell = remark if piped else say
        tell(f"{counted(plan.new, 'license')} would be made, {_were_there(plan.rows - plan.new)} already{days}")
        _say_left_out(plan)
    else:
        _summarise(plan, outcome, output_tar or output_dir, days, piped=piped)


@contextmanager
def _unused_removed(folder: "LicenseFolder | None") -> "Iterator[None]":
    """Remove an empty folder after an import that is refused or creates nothing."""
    try:
        yield
    finally:
        if folder is not None:
            folder.remove_unused()


@contextmanager
def _sink(
    folder: "LicenseFolder | None", output_tar: str | None, now: "datetime"
) -> "Iterator[LicenseFolder | LicenseTar | None]":
    """Yield the destination of the files, if there is one."""
    from authsvc.cli.license_tar import LicenseTar

    if output_tar is None:
        yield folder
        return
    with LicenseTar.open(output_tar, now) as tar:
        yield tar


async def _carried_out(
    work: "LicenseImport",
    plan: "Plan",
    rows: "Callable[[], Iterator[Read]]",
    manage: "Management",
    begin: "Callable[[], Operation]",
) -> "ImportOutcome":
    with progress(plan.rows) as advance:
        return await work.carry_out(manage.actor, rows(), begin, advance)


def _rows(source: RowFile) -> "Iterator[Read]":
    from authsvc.manage.license_rows import LICENSE_ROWS

    return source.rows(LICENSE_ROWS)


def _facts(app: str, plan: "Plan", outcome: "ImportOutcome | None", *, dry_run: bool) -> dict[str, Any]:
    done = {"created": 0, "existing": 0, "files": None} if outcome is None else asdict(outcome)
    return {
        "app": app,
        "rows": plan.rows,
        **done,
        **({"dry_run": True, "new": plan.new} if dry_run else {}),
        "changed": [asdict(row) for row in plan.changed],
        "problems": [asdict(problem) for problem in plan.problems],
    }


def _refuse(file: Path, plan: "Plan", *, as_json: bool) -> NoReturn:
    """Print what must be corrected, and end the process."""
    if not as_json:
        differing = (
            f"{file}:{row.line}: {', '.join(row.columns)}: differs from license {row.license} of {row.reference!r}"
            for row in plan.changed
        )
        print_problems(file, plan.problems, differing)
    if plan.problems:
        where = f"{counted(len(plan.problems), 'problem')} in {counted(plan.rows, 'row')}"
        refuse(f"{where}; no license was made")
    rows = counted(len(plan.changed), "row differs from the license it made", "rows differ from the licenses they made")
    refuse(
        f"{rows}; no license was made or changed. Correct such rows, or leave them out with --skip-changed; a later "
        "end is given with: authsvc license extend"
    )


def _say_left_out(plan: "Plan") -> None:
    if plan.changed:
        rows = counted(
            len(plan.changed), "row differs from its license and is", "rows differ from their licenses and are"
        )
        remark(f"{rows} left out; --json names them")


def _were_there(number: int) -> str:
    return counted(number, "was there", "were there")


def _summarise(
    plan: "Plan", outcome: "ImportOutcome", output: Path | str | None, days: LastDays, *, piped: bool
) -> None:
    tell = remark if piped else say
    tell(f"{counted(outcome.created, 'license')} made, {_were_there(outcome.existing)} already{days}")
    _say_left_out(plan)
    if output is not None:
        written = counted(outcome.files["written"], "file")
        where = "standard output" if piped else output
        tell(f"{written} written to {where}, {_were_there(outcome.files['kept'])}")
    if outcome.files["outdated"]:
        older = counted(outcome.files["outdated"], "file there is", "files there are")
        remark(f"{older} older than the license and left alone; remove such files and import again to get new ones")
