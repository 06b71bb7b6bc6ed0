"""The type of parameters that are names of files, so that shells complete them."""

from typing import TYPE_CHECKING

import click
from typing_extensions import override

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class FileName(click.types.StringParamType):
    """A file name as typed, ``-`` included; the command itself opens the file and explains what is wrong with it."""

    @override
    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


FILE_NAME = FileName()
