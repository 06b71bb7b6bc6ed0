"""Wrong arguments and files on a running installation: one clear sentence, the right exit code, nothing half-done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import call, sentence
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import License, make_license, make_team, unique
from tests.support.waiting import PATIENCE

CREATE = ("license", "create", "--app", "{app}", "--customer", "Globex", "--expires", "2031-01-31")
ADD = ("member", "add", "new@acme.test", "--team", "{team}", "--role", "owner", "--password-stdin")


@pytest.fixture(scope="session")
def app(stack: Stack) -> str:
    """Return an app; its team has the same slug."""
    slug = unique("app")
    make_team(stack, slug, slug=slug)
    return slug


@pytest.fixture(scope="session")
def license_(stack: Stack, app: str) -> License:
    """Return a license for it."""
    return make_license(stack, app)


def state(stack: Stack, app: str) -> tuple[object, ...]:
    """Return everything that a refused command must not have changed."""
    where = ("--data-dir", str(stack.data_dir))
    listed = [call(*words, *where).out for words in (("team", "list"), ("app", "list"))]
    return (*listed, call("license", "list", "--app", app, *where).out, stack.events("changes.log"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("team", "nonsense"), 2, "No such command 'nonsense'"),
        (("team", "create"), 2, "Missing argument 'SLUG'"),
        (("team", "create", "a-team", "b-team"), 2, "unexpected extra argument"),
        (("team", "create", "--nonsense", "x"), 2, "No such option"),
        (("team", "create", "{app}"), 1, "exists already"),
        (("team", "create", "Acme"), 1, "'Acme' cannot name a team: use 2 to 40 of a-z, 0-9"),
        (("team", "create", "a"), 1, "'a' cannot name a team"),
        (("team", "create", "a" * 41), 1, "cannot name a team"),
        (("team", "create", "-acme"), 2, "No such option"),
        (("team", "create", "proxy"), 1, "'proxy' is reserved"),
        (("team", "create", ""), 1, "'' cannot name a team"),
        (("team", "create", "acme\n"), 1, "cannot name a team"),
        (("team", "create", "new-team", "--name", "x" * 201), 1, "the name must have 1 to 200 characters"),
        (("team", "create", "new-team", "--name", "a\x1b[31mb"), 1, "holds a control character"),
        (("app", "create", "new-app"), 2, "Missing option '--team'"),
        (("app", "create", "new-app", "--team", "nowhere"), 1, "there is no team 'nowhere'"),
        (("app", "create", "{app}", "--team", "{app}"), 1, "exists already"),
        (("app", "create", "v2", "--team", "{app}"), 1, "'v2' is reserved"),
        (("app", "show", "nowhere"), 1, "there is no app 'nowhere'"),
        (("app", "archive", "nowhere"), 1, "there is no app 'nowhere'"),
        (("app", "list", "--team", "nowhere"), 1, "there is no team 'nowhere'"),
        (("license", "renew", "-"), 2, "Missing option '--app'"),
        (("license", "list", "--app", "nowhere"), 1, "there is no app 'nowhere'"),
        (("license", "show", "nowhere"), 1, "there is no license 'nowhere'"),
        (("license", "show", "*"), 1, "there is no license '*'"),
        (("license", "show", "0000000000000000"), 1, "there is no license"),
        (("license", "revoke", "../../etc"), 1, "there is no license"),
        (("license", "download", "{license}"), 2, "Missing option '--output'"),
        (("license", "create", "--app", "{app}", "--customer", "Globex"), 2, "Missing option '--expires'"),
        (("license", "create", "--app", "nowhere", *CREATE[4:]), 1, "there is no app 'nowhere'"),
        ((*CREATE[:-1], "2031-02-30"), 1, "'2031-02-30' is not a date"),
        ((*CREATE[:-1], "31.1.2031"), 1, "'31.1.2031' is not a date"),
        ((*CREATE[:-1], "tomorrow"), 1, "'tomorrow' is not a date"),
        ((*CREATE[:-1], "2020-01-31"), 1, "before now"),
        ((*CREATE[:-1], "0000-01-01"), 1, "is not a date"),
        ((*CREATE[:-1], "24h"), 1, "or 90d for days from now"),
        ((*CREATE, "--not-before", "2032-01-01"), 1, "would end before it begins"),
        ((*CREATE[:-1], "10d", "--not-before", "11d"), 1, "would end before it begins"),
        (("token", "create", "x", "--member", "nobody@acme.test", "--api", "write"), 2, "'write' is not one of"),
        (("service-account", "create", "x", "--team", "{app}", "--api", "write"), 2, "'write' is not one of"),
        (("keys", "issue", "--request", "/dev/zero", "--output", "-"), 1, "longer than any certificate request"),
        ((*CREATE, "--type", "gold"), 2, "'gold' is not one of"),
        ((*CREATE, "--customer", ""), 1, "the customer must have 1 to 200 characters"),
        ((*CREATE, "--contact", "a\nb"), 1, "holds a control character"),
        ((*CREATE, "--reference", " "), 1, "the reference must have 1 to 200 characters"),
        ((*CREATE, "--reference", "a\nb"), 1, "holds a control character"),
        ((*CREATE, "--contact", "x" * 201), 1, "the contact must have 1 to 200 characters"),
        ((*CREATE, "--field", "seats"), 1, "'seats' is not a field"),
        ((*CREATE, "--field", "=5"), 1, "is not a field"),
        ((*CREATE, "--field", "a=1", "--field", "a=2"), 1, "the field 'a' is given twice"),
        ((*CREATE, *(w for n in range(60) for w in ("--field", f"f{n}=1"))), 1, "at most 50 fields"),
        (
            (*CREATE, *(w for n in range(45) for w in ("--field", f"f{n}={'x' * 190}"))),
            1,
            "the license file would have",
        ),
        ((*CREATE, "--repository", "../x"), 1, "'../x'"),
        ((*CREATE, "--repository", "Worker"), 1, "'Worker'"),
        ((*CREATE, "--repository", ""), 1, "''"),
        ((*CREATE, "--repository", "a/***"), 1, "***"),
    ],
)
def test_a_wrong_argument(
    stack: Stack, app: str, license_: License, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """The sentence says what is wrong, and nothing was changed."""
    before = state(stack, app)
    given = [argument.format(app=app, license=license_.id) for argument in arguments]
    # An option that a group does not know would hide what the group has to say.
    where = [] if code == 2 else ["--data-dir", str(stack.data_dir)]
    assert words in sentence(call(*given, *where), code)
    assert state(stack, app) == before


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "15 to 1024 bytes"),
        ("short", "15 to 1024 bytes"),
        ("x" * 1025, "15 to 1024 bytes"),
        ("asv_a password of mine", "asv_"),
        ("{a password of mine, too", "{"),
        ("passwordpassword", "too easy to guess; use three or more words"),
        (b"\xff\xfe not a text at all", "UTF-8"),
        ("a password\0with a hole in it", "control character"),
    ],
)
def test_a_password_that_is_none(stack: Stack, app: str, password: str | bytes, words: str) -> None:
    """The rule that is broken is told, and never the password."""
    given = [argument.format(team=app) for argument in ADD]
    ran = call(*given, "--data-dir", str(stack.data_dir), stdin=password)
    assert words.replace("1024", "1,024") in sentence(ran, 1).replace("1024", "1,024")
    assert "of mine" not in ran.said


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"new@acme.test": "nobody"}, "'nobody' is not an e-mail address"),
        ({"new@acme.test": "me@ácme.test"}, "outside ASCII"),
        ({"new@acme.test": "me@acme.test\r\nx"}, "is not an e-mail address"),
        ({"{team}": "nowhere"}, "there is no team 'nowhere'"),
    ],
)
def test_a_member_that_can_not_be(stack: Stack, app: str, changed: dict[str, str], words: str) -> None:
    """Nobody is added."""
    given = [changed.get(argument, argument).format(team=app) for argument in ADD]
    assert words in sentence(call(*given, "--data-dir", str(stack.data_dir), stdin=PASSWORD), 1)


def test_a_password_needs_a_terminal_or_an_option(stack: Stack, app: str) -> None:
    """Without both there is nobody to ask; the command says which option it wants."""
    given = [argument.format(team=app) for argument in ADD[:-1]]
    ran = call(*given, "--data-dir", str(stack.data_dir), stdin=PASSWORD)
    assert "use --password-stdin" in sentence(ran, 2)


def test_a_password_is_no_argument(stack: Stack, app: str) -> None:
    """What is on a command line is in everybody's process list, so there is no such option."""
    given = [argument.format(team=app) for argument in ADD[:-1]]
    assert "No such option" in sentence(call(*given, "--password", PASSWORD), 2)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("taken", "exists already; remove it or choose another name"),
        ("nowhere/globex.json", "No such file or directory"),
        ("folder", "exists already"),
        ("taken/globex.json", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize("command", ["create", "download"])
def test_a_file_that_can_not_be_written(
    stack: Stack, app: str, license_: License, tmp_path: Path, output: str, words: str, command: str
) -> None:
    """No license is made whose file cannot be kept, and what is there stays as it is."""
    (tmp_path / "taken").write_text("precious")
    (tmp_path / "folder").mkdir()
    before = state(stack, app), sorted(tmp_path.rglob("*"))
    given = [a.format(app=app) for a in CREATE] if command == "create" else ["license", "download", license_.id]
    ran = call(*given, "--output", str(tmp_path / output), "--data-dir", str(stack.data_dir))
    assert words in sentence(ran, 1)
    assert (state(stack, app), sorted(tmp_path.rglob("*"))) == before
    assert (tmp_path / "taken").read_text() == "precious"


def test_a_refused_license_leaves_no_file(stack: Stack, app: str, tmp_path: Path) -> None:
    """The place that was reserved for its file is given back."""
    given = [a.format(app=app) for a in CREATE[:-1]]
    call(*given, "2020-01-01", "--output", str(tmp_path / "x.json"), "--data-dir", str(stack.data_dir))
    assert list(tmp_path.iterdir()) == []


def test_a_license_file_is_private(stack: Stack, app: str, tmp_path: Path) -> None:
    """It holds a secret, so only its owner reads it, whatever the umask is."""
    given = [a.format(app=app) for a in CREATE]
    ran = call(*given, "--output", str(tmp_path / "x.json"), "--data-dir", str(stack.data_dir))
    assert ran.code == 0
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "arguments",
    [
        ("team", "list"),
        ("license", "list"),
        ("license", "list", "--json"),
        ("audit", "export", "-"),
        ("license", "download", "{license}", "--output", "-"),
    ],
    ids=" ".join,
)
def test_output_that_cannot_be_written(stack: Stack, license_: License, arguments: tuple[str, ...]) -> None:
    """A full disk behind standard output is a refusal in one line, and no traceback."""
    words = [word.format(license=license_.id) for word in arguments]
    command = (sys.executable, "-W", "error", "-m", "authsvc", *words, "--data-dir", str(stack.data_dir))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, env=os.environ, stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
        )
    assert 1 == done.returncode
    assert done.stderr.startswith("authsvc: cannot write standard output: No space left on device")
    assert 1 == len(done.stderr.splitlines())
