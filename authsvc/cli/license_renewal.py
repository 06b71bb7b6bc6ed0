"""``authsvc license renew``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import asdict, evolve

from authsvc.cli.console import common_options, print_json, refuse, run, say
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
    from authsvc.manage.license_renewal import RenewalOutcome, RenewalPlan
    from authsvc.manage.license_rows import ReadRenewal
    from authsvc.wiring.management import Management


@click.command("renew")
@row_file_option
@click.option("--app", required=True, metavar="APP", help="The app of the licenses.")
@format_option
@dry_run_option
@common_options
def renew_command(
    file: Path, app: str, form: str | None, data_dir: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    """Set new ends of licenses from the columns reference and expires of FILE; - is standard input."""
    days = LastDays("changed")

    async def use(manage: "Management") -> "tuple[RenewalPlan, RenewalOutcome | None]":
        from authsvc.manage.row_batches import COMMAND_BATCH
        from authsvc.wiring import clock

        work = evolve(manage.renewal(await manage.teams.app(manage.actor, app)), batch=COMMAND_BATCH)
        with RowFile.open(file, form) as source:
            plan = await work.check(manage.actor, _rows(source), clock(), days.note)
            if dry_run or plan.problems:
                return plan, None
            begin = operations_of(manage, "renewal", plan.rows, file)
            with progress(plan.rows) as advance:
                return plan, await work.carry_out(manage.actor, _rows(source), begin, advance)

    plan, outcome = run(data_dir, use, deadline=None)
    if as_json:
        print_json(_facts(app, plan, outcome, dry_run=dry_run))
    if plan.problems:
        if not as_json:
            print_problems(file, plan.problems)
        where = f"{counted(len(plan.problems), 'problem')} in {counted(plan.rows, 'row')}"
        refuse(f"{where}; no license was renewed")
    if as_json:
        return
    if outcome is None:
        say(f"{counted(plan.changed, 'license')} would be renewed, {plan.unchanged} unchanged{days}")
    else:
        say(f"{counted(outcome.renewed, 'license')} renewed, {outcome.unchanged} unchanged{days}")


def _rows(source: RowFile) -> "Iterator[ReadRenewal]":
    from authsvc.manage.license_rows import RENEWAL_ROWS

    return source.rows(RENEWAL_ROWS)


def _facts(app: str, plan: "RenewalPlan", outcome: "RenewalOutcome | None", *, dry_run: bool) -> dict[str, Any]:
    done = {"renewed": 0, "unchanged": plan.unchanged} if outcome is None else asdict(outcome)
    return {
        "app": app,
        "rows": plan.rows,
        **done,
        **({"dry_run": True, "new": plan.changed} if dry_run else {}),
        "problems": [asdict(problem) for problem in plan.problems],
    }
