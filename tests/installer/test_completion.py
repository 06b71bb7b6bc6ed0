"""``authsvc-license completion``: the script for a shell, sourced by a real one."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

BASH = """
eval "$({program} completion bash)"
COMP_WORDS=(authsvc-license {words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_authsvc_license
printf '%s\\n' "${{COMPREPLY[@]}}"
complete -p authsvc-license
"""

PROGRAM = Path(sys.executable).with_name("authsvc-license")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ver", {"verify"}),
        ("p", {"pull-secret", "preflight"}),
        ("show --", {"--help", "--online", "--key", "--json", "--plain-http", "--ca-file"}),
        ("login --un", {"--undo"}),
        ("verify acme", set()),
        ("show --key acme", set()),
    ],
)
def test_bash_completes(words: str, found: set[str]) -> None:
    """Commands and their options; where neither is possible, bash is left to offer files."""
    ran = subprocess.run(
        ("bash", "--norc", "-c", BASH.format(program=PROGRAM, words=words)),
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    *offered, registered = ran.stdout.splitlines()

    assert (ran.returncode, ran.stderr, set(offered) - {""}) == (0, "", found)
    assert registered == "complete -o bashdefault -o default -F _authsvc_license authsvc-license"


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "            login) words="),
        ("zsh", "            login) compadd -- "),
        ("fish", "complete -c authsvc-license -n '__fish_seen_subcommand_from login' -l undo"),
    ],
)
def test_each_shell_has_a_script(shell: str, line: str) -> None:
    """It names the commands with their options, and a shell that is there accepts it."""
    text = subprocess.run(
        (PROGRAM, "completion", shell), capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout
    assert line in text
    if shutil.which(shell):
        subprocess.run((shell, "-n"), input=text, text=True, timeout=PATIENCE, check=True)


def test_another_shell_is_refused() -> None:
    """With the shells that there are."""
    refused = subprocess.run((PROGRAM, "completion", "tcsh"), capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "bash" in refused.stderr
