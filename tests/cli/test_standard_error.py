"""Standard error: every line of every command begins with the program's name, in the same form for every refusal."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.architecture.source import HOUSE
from tests.support.command import call, sentence
from tests.support.stack import COMMAND, PASSWORD, Ran, Stack
from tests.support.tenants import make_license, make_team, unique
from tests.support.terminal import type_line
from tests.test_docs import TREE

LEAVES = sorted(path for path, command in TREE.items() if not isinstance(command, click.Group))

SERVERS = {"authsvc up", "authsvc serve", "authsvc key-service"}
"""Commands that would run until they are stopped."""

ELSEWHERE = {"authsvc init", "authsvc doctor", "authsvc completion"}
"""Commands that need no installation."""

CONSOLE, CURSOR = "cli/console.py", "cli/pagination.py"
"""Has the functions that print; prints how a list continues, the one line without the name, since scripts read it."""


def required(command: click.Command) -> Iterator[str]:
    """Return words for everything that a command needs to begin."""
    for parameter in command.params:
        if parameter.required:
            if isinstance(parameter, click.Option):
                yield parameter.opts[0]
            yield parameter.type.choices[0] if isinstance(parameter.type, click.Choice) else "/dev/null"


def unnamed(ran: Ran) -> list[str]:
    """Return the lines of standard error that lack the name."""
    return [line for line in ran.err.splitlines() if not line.startswith("authsvc: ")]


@pytest.mark.parametrize("path", TREE)
def test_a_wrong_option_is_one_sentence(path: str) -> None:
    """As every other refusal; the sentence names where help is."""
    name = path.removeprefix("authsvc")
    assert sentence(call(*name.split(), "--no-such-option"), 2).endswith(f"{name} --help)")


@pytest.mark.parametrize("path", sorted(set(LEAVES) - SERVERS - ELSEWHERE))
def test_a_command_without_an_installation_is_one_sentence(path: str, folder: Path) -> None:
    """Nothing but the sentence, whatever the command needs; what asks for a secret has it on standard input."""
    command = TREE[path]
    names = {name for parameter in command.params for name in parameter.opts}
    stdin = ["--password-stdin"] if "--password-stdin" in names else []
    where = {"AUTHSVC_DATA_DIR": str(folder / "nowhere")}
    ran = call(*path.split()[1:], *required(command), *stdin, environ=where, stdin=f"{PASSWORD}\n{PASSWORD}\n")

    assert ran.code in {1, 2}, ran
    assert ran.err, ran
    assert not unnamed(ran)
    assert not ran.out


def test_the_cursor_is_the_only_line_without_the_name() -> None:
    """Whatever else is printed on standard error goes through the functions that write the name (test_architecture)."""
    users = {str(path.relative_to(HOUSE)) for path in HOUSE.rglob("*.py") if "print_next(" in path.read_text("utf-8")}
    assert users == {CONSOLE, CURSOR}


def test_an_interrupted_question_is_a_sentence(stack: Stack, folder: Path) -> None:
    """Ctrl-C at a prompt."""
    line = f"{COMMAND[0]} member add x@x.test --team x --role owner --data-dir {stack.data_dir}"
    ran = type_line(line, "\x03", environ=stack.environ, cwd=folder, prompt="Password")
    assert ran.code == 1
    assert "authsvc: aborted" in ran.out


@pytest.mark.parametrize("compose", [False, True], ids=["data directory", "as in compose"])
def test_a_file_on_a_terminal_stands_alone(stack: Stack, folder: Path, *, compose: bool) -> None:
    """`docker compose exec` shows both outputs as one; what is written with `> FILE` there must be a license."""
    app = unique("alone")
    make_team(stack, app)
    license_ = make_license(stack, app)
    config = stack.data_dir / "config" / "authsvc.toml"
    setting = f"AUTHSVC_CONFIG='{config}'" if compose else f"AUTHSVC_DATA_DIR='{stack.data_dir}'"
    terms = f"--app {app} --customer G --expires 2031-01-31 --repository {app}/x"
    for command in (
        f"license create {terms} --output -",
        f"license extend {license_.id} --expires 90d --output -",
        f"license rotate {license_.id} --output -",
        f"license set {license_.id} --customer Other --output -",
        f"license download {license_.id} --output -",
    ):
        screen = type_line(f"{setting} {COMMAND[0]} {command}", environ=stack.environ, cwd=folder)
        assert (screen.code, screen.out[:1], screen.out[-3:]) == (0, "{", "\n}\n"), screen
        assert "authsvc: " not in screen.out


def test_a_short_password_is_typed_once(stack: Stack, folder: Path) -> None:
    """It is refused before it is asked for again."""
    line = f"{COMMAND[0]} member add x@x.test --team x --role owner --data-dir {stack.data_dir}"
    ran = type_line(line, "short", environ=stack.environ, cwd=folder, prompt="Password:")
    assert ran.code == 1
    assert "authsvc: a password has 15 to 1,024 bytes; this one has 5" in ran.out
    assert "Repeat" not in ran.out
