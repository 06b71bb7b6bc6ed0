"""``authsvc completion``: the script for a shell, sourced by a real one."""

import shutil
import subprocess
from collections.abc import Iterator

import click
import pytest
from click.shell_completion import ShellComplete

from authsvc.cli.main import main
from tests.support.stack import COMMAND, GOOD_PATH
from tests.support.waiting import PATIENCE

BASH = """
eval "$({program} completion bash)"
COMP_WORDS=(authsvc {words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
compopt() {{ echo "$2"; }}
_authsvc_completion {program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("lic", {"license"}),
        ("license re", {"reinstate", "renew", "revoke"}),
        ("license list --st", {"--state"}),
        ("license list --state e", {"expired"}),
        ("completion ''", {"bash", "zsh", "fish"}),
    ],
)
def test_bash_completes(words: str, found: set[str]) -> None:
    """Commands, options, and the words that an option takes."""
    assert completed(words) == found


def completed(words: str) -> set[str]:
    """Return what bash offers for the last of some words; ``default`` for names of files."""
    script = BASH.format(program=COMMAND[0], words=words)
    ran = subprocess.run(
        ("bash", "--norc", "-c", script),
        env={"PATH": GOOD_PATH},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return set(ran.stdout.split())


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command that has no subcommands, with its words."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, (*words, name))


@pytest.mark.parametrize("words", ["backup no-such-", "license create --output no-such-", "license import no-such-"])
def test_bash_completes_names_of_files(words: str) -> None:
    """It offers none for a command that completes by itself, unless that asks for it."""
    assert completed(words) == {"default"}


def test_every_name_of_a_file_is_completed() -> None:
    """As a file or a folder, whichever command it belongs to."""
    completion = ShellComplete(main, {}, "authsvc", "_AUTHSVC_COMPLETE")
    found = {}
    for words, command in commands(main):
        for parameter in command.params:
            name = parameter.make_metavar(click.Context(command)).strip("[]")
            if name in {"FILE", "DIR", "PATH"}:
                option = parameter.opts[:1] if isinstance(parameter, click.Option) else []
                asked = (*words, *option)
                found[asked] = [item.type for item in completion.get_completions([*asked], "no-such-")]
    assert ("audit", "export") in found
    assert len(found) > 70
    assert [asked for asked, types in found.items() if types not in (["file"], ["dir"])] == []


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o nosort -F _authsvc_completion authsvc"),
        ("zsh", "#compdef authsvc"),
        ("fish", "complete --no-files --command authsvc"),
    ],
)
def test_each_shell_has_a_script(shell: str, line: str) -> None:
    """It names the program, and a shell that is there accepts it."""
    script = subprocess.run(
        (*COMMAND, "completion", shell), env={"PATH": ""}, capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout
    assert line in script
    if shutil.which(shell, path=GOOD_PATH):
        subprocess.run((shell, "-n"), input=script, text=True, timeout=PATIENCE, check=True)
