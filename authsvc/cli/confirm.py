"""Asks for confirmation before a change that ends access for others."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from authsvc.cli.console import DEADLINE, refuse, remark, run
from authsvc.errors import ConfirmationNeeded

if TYPE_CHECKING:
    from authsvc.wiring.management import Management

T = TypeVar("T")

yes_option = click.option("--yes", is_flag=True, help="Do not ask before access is ended; for scripts.")


def run_confirmed(
    data_dir: Path | None,
    use: "Callable[[Management, str | None], Awaitable[T]]",
    *,
    yes: bool,
    deadline: float | None = DEADLINE,
) -> T:
    """Run a use case, again if what it would end has to be confirmed; end the process if it is not confirmed.

    Args:
        data_dir: as typed.
        use: called with the installation and the mark of what was confirmed, None at first.
        yes: whether ``--yes`` was typed: then the consequence is printed without a question.
        deadline: seconds that each attempt may take.
    """
    confirmed: str | None = None
    while True:
        try:
            return run(data_dir, lambda manage, mark=confirmed: use(manage, mark), deadline=deadline)  # type: ignore[misc]
        except ConfirmationNeeded as needed:
            if yes:
                remark(str(needed))
            elif not sys.stdin.isatty():
                refuse(f"{needed}; nothing was changed, repeat it with --yes if that is meant")
            elif not _agreed(str(needed)):
                refuse("nothing was changed")
            confirmed = needed.mark


def _agreed(sentence: str) -> bool:
    remark(sentence)
    return click.confirm("Do it?", default=False, err=True)
