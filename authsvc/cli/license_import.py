"""``authsvc license import``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click
from attrs import asdict

from authsvc.cli.console import common_options, print_json, refuse, run, say
from authsvc.errors import InputRefused

if TYPE_CHECKING:
    from authsvc.manage.license_import import ImportOutcome, LicenseImport, Plan
    from authsvc.manage.license_rows import Read
    from authsvc.wiring.management import Management

SHOWN = 200
"""Most problems that are printed for people; --json has all."""


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True))
@click.option("--app", required=True, metavar="APP", help="The app that the licenses are for.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl"]), help="What FILE is.  [default: by its name, else csv]"
)
@click.option("--output-dir", type=click.Path(path_type=Path), metavar="DIR", help="Write the license files there.")
@click.option("--skip-changed", is_flag=True, help="Leave out rows that differ from their licenses; import the rest.")
@common_options
def import_command(
    file: Path,
    app: str,
    form: str | None,
    output_dir: Path | None,
    data_dir: Path | None,
    *,
    skip_changed: bool,
    as_json: bool,
) -> None:
    """Make a license for each row of FILE. Importing it again makes only what is missing."""
    kind = form or ("jsonl" if file.suffix in {".jsonl", ".ndjson"} else "csv")

    async def use(manage: "Management") -> "tuple[Plan, ImportOutcome | None]":
        from authsvc.cli.license_folder import LicenseFolder
        from authsvc.manage.license_import import LicenseImport
        from authsvc.wiring import clock

        opened = await manage.licenses.open_app(manage.actor, app)
        shelf = LicenseFolder(output_dir) if output_dir else None
        work = LicenseImport(manage.licenses, opened, shelf)
        with _text(file) as text:
            plan = await work.check(manage.actor, _rows(text, kind), clock())
            if plan.problems or (plan.changed and not skip_changed):
                return plan, None
            if shelf is not None:
                shelf.put_keys(await manage.licenses.verification_keys())
            return plan, await _carried_out(work, plan, lambda: _rows(text, kind), manage)

    plan, outcome = run(data_dir, use, deadline=None)
    if as_json:
        print_json(_facts(app, plan, outcome))
    if outcome is None:
        _explain(file, plan, as_json=as_json)
    elif not as_json:
        _summarise(plan, outcome, output_dir)


async def _carried_out(
    work: "LicenseImport", plan: "Plan", rows: "Callable[[], Iterator[Read]]", manage: "Management"
) -> "ImportOutcome":
    with _progress(plan.rows) as advance:
        return await work.carry_out(manage.actor, rows(), manage.operation, advance)


@contextmanager
def _progress(rows: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error when somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=rows, label="licenses", file=sys.stderr, show_pos=True) as bar:
        yield bar.update


@contextmanager
def _text(file: Path) -> Iterator[IO[str]]:
    """Open a file of rows; bytes that are no UTF-8 are told by their line and column."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
            yield opened
    except OSError as error:
        raise InputRefused(f"cannot read {file}: {error.strerror}") from error


def _rows(text: IO[str], kind: str) -> "Iterator[Read]":
    from authsvc.manage.license_rows import MAX_LINE, read_csv, read_jsonl

    text.seek(0)
    lines = iter(lambda: text.readline(MAX_LINE + 1), "")
    return read_jsonl(lines) if kind == "jsonl" else read_csv(lines)


def _facts(app: str, plan: "Plan", outcome: "ImportOutcome | None") -> dict[str, Any]:
    done = {"created": 0, "existing": 0, "files": None} if outcome is None else asdict(outcome)
    return {
        "app": app,
        "rows": plan.rows,
        **done,
        "changed": [asdict(row) for row in plan.changed],
        "problems": [asdict(problem) for problem in plan.problems],
    }


def _explain(file: Path, plan: "Plan", *, as_json: bool) -> None:
    """Say what must be mended, and end the process."""
    lines = [f"{file}:{problem.line}: {problem.column}: {problem.text}" for problem in plan.problems]
    lines += [
        f"{file}:{row.line}: {', '.join(row.columns)}: differs from license {row.license} of {row.reference!r}"
        for row in plan.changed
    ]
    if not as_json:
        for line in lines[:SHOWN]:
            say(line, err=True)
        if len(lines) > SHOWN:
            say(f"and {len(lines) - SHOWN} more; --json prints all", err=True)
    if plan.problems:
        refuse(f"{len(plan.problems)} problems in {plan.rows} rows; no license was made")
    refuse(
        f"{len(plan.changed)} rows differ from the licenses they made; no license was made or changed. Mend the rows, "
        "or leave them out with --skip-changed; a later end is given with: authsvc license extend"
    )


def _summarise(plan: "Plan", outcome: "ImportOutcome", output_dir: Path | None) -> None:
    say(f"{outcome.created} licenses made, {outcome.existing} were there already")
    if plan.changed:
        say(f"{len(plan.changed)} rows differ from their licenses and were left out; --json names them", err=True)
    if output_dir is not None:
        say(f"{outcome.files['written']} files written to {output_dir}, {outcome.files['kept']} were there")
    if outcome.files["outdated"]:
        say(
            f"{outcome.files['outdated']} files there are older than their licenses and were left alone; remove them "
            "and import again to get new ones",
            err=True,
        )
