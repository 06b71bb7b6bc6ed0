"""``authsvc completion``."""

import click

from authsvc.cli.console import print_document

NAME = "authsvc"

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print the script with which a shell completes commands and options: eval "$(authsvc completion bash)"."""
    from click.shell_completion import ShellComplete, get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101  these three are click's own
    program = click.get_current_context().find_root().command
    # Not click's check, which starts bash to get its version: the script may be made on another machine.
    print_document(ShellComplete.source(made(program, {}, NAME, f"_{NAME.upper()}_COMPLETE")))
