"""``authsvc completion``: the script for a shell, sourced by a real one."""

import shutil
import subprocess

import pytest

from tests.support.stack import COMMAND, GOOD_PATH
from tests.support.waiting import PATIENCE

BASH = """
eval "$({program} completion bash)"
COMP_WORDS=(authsvc {words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
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
    script = BASH.format(program=COMMAND[0], words=words)
    ran = subprocess.run(
        ("bash", "--norc", "-c", script),
        env={"PATH": GOOD_PATH},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ran.returncode, ran.stderr, set(ran.stdout.splitlines())) == (0, "", found)


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
