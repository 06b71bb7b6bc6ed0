"""``authsvc-license show`` and how the command is called."""

import json
from pathlib import Path

import pytest

from tests.installer.conftest import Tool
from tests.support.license_files import FACTS, put_file, put_keys


def test_show(tool: Tool, tmp_path: Path) -> None:
    """Everything but the token is shown, with the state and whether the signature was checked."""
    ran = tool("show", put_file(tmp_path / "a.json", repositories=("worker", "api/*")))

    assert (0, f"warning: signature not checked: {tmp_path}/a.json: no key of the vendor is here\n") == (
        ran.code,
        ran.err,
    )
    rows = dict(line.split(None, 1) for line in ran.out.splitlines()[1:])
    assert ("active", "worker, api/*", "not checked: no key of the vendor is here") == (
        rows["state"],
        rows["repositories"],
        rows["signature"],
    )
    assert FACTS["registry_token"] not in ran.said


@pytest.mark.parametrize(("patterns", "said"), [(None, f"all of {FACTS['app']}"), ((), "nothing")])
def test_what_a_license_without_patterns_covers(tool: Tool, tmp_path: Path, patterns: object, said: str) -> None:
    """No patterns are the whole app, and an empty list is nothing; neither looks like the other."""
    ran = tool("show", put_file(tmp_path / "a.json", repositories=patterns))

    assert f"repositories {said}" in [" ".join(line.split()) for line in ran.out.splitlines()]


def test_the_two_files_of_the_vendor_are_not_confused(tool: Tool, tmp_path: Path) -> None:
    """Their names are alike; each in the other's place is called what it is, with the name of the right one."""
    license_, key = put_file(tmp_path / "a.license.json"), put_keys(tmp_path / "a.license-key.json")

    shown, verified = tool("show", key), tool("verify", "--key", license_, license_)

    assert (1, 2) == (shown.code, verified.code)
    assert "this is not a license file, it has keys; the license is in NAME.license.json" in shown.err
    assert "it is a license; the vendor's keys are in NAME.license-key.json" in verified.err


def test_show_as_json(tool: Tool, tmp_path: Path) -> None:
    """Machines get the same, with warnings as a list."""
    file = put_file(tmp_path / "a.json", not_before="2098-01-01T00:00:00Z")

    shown = json.loads(tool("show", "--json", "--key", put_keys(tmp_path / "k"), file).out)

    assert ("pending", "valid", {"seats": 25}) == (shown["state"], shown["signature"], shown["fields"])
    assert ["the license begins at 2098-01-01T00:00:00Z, in "] == [warning[:47] for warning in shown["warnings"]]
    assert "registry_token" not in shown


def test_show_an_edited_file(tool: Tool, tmp_path: Path) -> None:
    """With a key at hand an edited file is not shown as if it were genuine."""
    file = put_file(tmp_path / "a.json")
    file.write_text(file.read_text().replace("Globex", "Initech", 1))

    ran = tool("show", "--key", put_keys(tmp_path / "k"), file)

    assert (1, "") == (ran.code, ran.out)
    assert "the field 'customer' was edited" in ran.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "the following arguments are required: COMMAND"),
        (("shout", "x"), 2, "invalid choice: 'shout'"),
        (("show",), 2, "the following arguments are required: FILE"),
        (("show", "missing.json"), 2, "cannot read missing.json: No such file or directory"),
        (("show", "."), 2, "cannot read .: Is a directory"),
        (("show", "a.json", "more"), 2, "unrecognized arguments: more"),
        (("preflight", "a.json", "--fast"), 2, "unrecognized arguments: --fast"),
        (("preflight", "a.json"), 2, "no image was found"),
        (("preflight", "a.json", "UPPER:a:b"), 2, "'UPPER:a:b': it is not an image: "),
        (("verify", "--key", "missing", "a.json"), 2, "cannot read the key file missing"),
        (("login", "--key", "k", "--key", "k", "a.json"), 2, "give one --key to be kept"),
        (("preflight", "--ca-file", "missing", "a.json", "redis"), 2, "cannot use missing as certificates"),
        (("show", "/dev/zero"), 1, "this is longer than a license file's 8192 bytes"),
        (("show", "k"), 1, "this is not a license file"),
    ],
)
def test_wrong_calls(tool: Tool, home: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """Wrong usage is 2, what is no license is 1, each with one sentence that says what."""
    put_file(home / "a.json")
    put_keys(home / "k")

    ran = tool(*words)

    assert (code, "") == (ran.code, ran.out)
    assert said in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err


def test_no_answer(tool: Tool, tmp_path: Path, vendor_key: Path) -> None:
    """A registry that nobody answers for is said to, without waiting for long."""
    ran = tool("preflight", put_file(tmp_path / "a.json", registry="localhost:1"), "localhost:1/myapp/worker")

    assert (1, "") == (ran.code, ran.out)
    assert "authsvc-license: no answer from localhost:1: [Errno 111] Connection refused\n" == ran.err


def test_help_and_version(tool: Tool) -> None:
    """Each command explains itself."""
    assert tool("--version").out.startswith("authsvc-license ")
    commands = (
        "show",
        "verify",
        "login",
        "docker-config",
        "pull-secret",
        "token",
        "containerd",
        "kubelet-provider",
        "preflight",
    )
    for command in commands:
        assert command in tool("--help").out
        assert f"usage: authsvc-license {command}" in tool(command, "--help").out
