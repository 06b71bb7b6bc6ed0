"""Groups of commands that import a command when it is called, so that ``--help`` is quick."""

import gc
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import click
from typing_extensions import override


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Switch the garbage collector off for imports: what they create stays, and there are many collections in vain."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is needed."""

    def __init__(self, *args: Any, subcommands: Mapping[str, tuple[str, str]], **options: Any) -> None:
        """Make a group.

        Args:
            args: of click's group.
            subcommands: by name, each with its module and its name in that module.
            options: of click's group.
        """
        super().__init__(*args, **options)
        self._subcommands = subcommands

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._subcommands)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._subcommands:
            return None
        module, name = self._subcommands[cmd_name]
        with no_garbage_collection():
            command: click.Command = getattr(importlib.import_module(module), name)
        return command


class CommandLine(LazyGroup):
    """The program: it reports errors in its arguments like all other errors, in one line."""

    @override
    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run as the program of a process, which ends afterwards."""
        try:
            return self.main(*args, **options)
        finally:
            # An interpreter that ends collects garbage among all that was imported: a sixth of the time of a command.
            gc.freeze()

    @override
    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        standalone = options.pop("standalone_mode", True)
        run = partial(super().main, args, *rest, standalone_mode=False, **options)
        if not standalone:
            return run()
        try:
            result: object = run()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()  # the help
            sys.exit(error.exit_code)
        except click.UsageError as error:
            help_ = f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
            _refuse(f"{_one_line(error)}{help_}", error.exit_code)
        except click.ClickException as error:
            _refuse(_one_line(error), error.exit_code)
        except click.Abort:
            _refuse("aborted")
        sys.exit(result if isinstance(result, int) else 0)


def _refuse(sentence: str, code: int = 1) -> NoReturn:
    from authsvc.cli.console import refuse

    refuse(sentence, code)


def _one_line(error: click.ClickException) -> str:
    # Some of click's messages have a list with a line for each item, and all of them end with a full stop.
    return " ".join(error.format_message().split()).removesuffix(".")
