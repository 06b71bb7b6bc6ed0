"""Commands in a forked process: they do what the installed script does."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.forked_commands import can_fork, forking_process, run_forked
from tests.support.processes import children_of
from tests.support.stack import COMMAND, GOOD_PATH, PASSWORD, run
from tests.support.waiting import until

ENVIRON = {"PATH": GOOD_PATH, "LANG": "C.UTF-8", "HOME": "/nonexistent"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("license", "create", "--help"),
        ("no-such-command",),
        ("team", "list", "--no-such-option"),
        ("team", "list", "--data-dir", "nowhere"),
        ("init", "--data-dir", "made", "--check"),
    ],
    ids=" ".join,
)
def test_it_says_what_the_script_says(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The same output, errors and exit code, in the same folder."""
    ran = run(*COMMAND, *arguments, environ=ENVIRON, cwd=tmp_path)
    ended = run_forked((*COMMAND, *arguments), ENVIRON, tmp_path, b"", 60)

    assert (ran.code, ran.out, ran.err) == (ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert ran.said


@pytest.mark.parametrize("stdin", [b"short", PASSWORD.encode()])
def test_it_reads_standard_input_and_its_own_environment(tmp_path: Path, stdin: bytes) -> None:
    """A weak password is refused, and a good one is as far as it gets without a server."""
    arguments = ("member", "add", "a@acme.test", "--team", "acme", "--role", "owner", "--password-stdin")
    environ = {**ENVIRON, "AUTHSVC_DATA_DIR": str(tmp_path / "elsewhere")}
    ran = run(*COMMAND, *arguments, environ=environ, cwd=tmp_path, stdin=stdin)
    ended = run_forked((*COMMAND, *arguments), environ, tmp_path, stdin, 60)

    assert (ran.code, ran.err) == (ended.returncode, ended.stderr.decode())
    assert "elsewhere" in ran.err


def test_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    """As with subprocess: it is no longer there, although nobody else ends it."""
    os.mkfifo(tmp_path / "rows")  # a command that reads it waits for a writer
    arguments = ("audit", "list", "--file", str(tmp_path / "rows"))
    before = set(children_of(forking_process()))
    with pytest.raises(subprocess.TimeoutExpired):
        run_forked((*COMMAND, *arguments), ENVIRON, tmp_path, b"", 2)
    until(lambda: set(children_of(forking_process())) <= before, "the command is gone")


def test_another_locale_needs_the_script() -> None:
    """Its standard streams would have another encoding."""
    assert can_fork(ENVIRON)
    assert not can_fork({**ENVIRON, "LANG": "C"})
    assert not can_fork({**ENVIRON, "LC_ALL": "C"})
    assert not can_fork({**ENVIRON, "PYTHONDEVMODE": "1"})
