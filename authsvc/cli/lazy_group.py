"""A group of commands that imports a command when it is called, so that ``--help`` is quick."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from typing_extensions import override


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is wanted."""

    def __init__(self, *args: Any, subcommands: Mapping[str, tuple[str, str]], **options: Any) -> None:
        """Make a group.

        Args:
            args: of click's group.
            subcommands: by name, each with its module and the name that it has there.
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
        command: click.Command = getattr(importlib.import_module(module), name)
        return command
