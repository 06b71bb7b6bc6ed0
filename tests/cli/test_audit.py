"""``authsvc audit`` at the terminal: what it prints, what it refuses, and what never reaches the terminal."""

import itertools
import json
import select
import signal
import subprocess
from pathlib import Path

import pytest
from redis import Redis

from tests.support.command import call, sentence
from tests.support.http_client import ask, basic, get_token
from tests.support.load import meanwhile
from tests.support.stack import Ran, Stack
from tests.support.tenants import Account, License, make_license, make_team, unique
from tests.support.waiting import PATIENCE, until

NOBODY = Account("nobody@acme.test", "a password of nobody")


@pytest.fixture(scope="session")
def app(stack: Stack) -> str:
    """Return an app; its team has the same slug."""
    slug = unique("audited")
    make_team(stack, slug, slug=slug)
    return slug


@pytest.fixture(scope="session")
def license_(stack: Stack, app: str) -> License:
    """Return a license for it that was refused once and issued a token before."""
    made = make_license(stack, app)
    get_token(stack.port, made.account, f"repository:{app}/x:pull")
    until(lambda: listed(stack, "--actor", f"license:{made.id}"), "the token is told")
    stack.authsvc("license", "revoke", made.id)
    get_token(stack.port, made.account, f"repository:{app}/x:pull")
    until(lambda: len(listed(stack, "--subject", f"license:{made.id}")) == 4, "everything is told")
    return made


def audit(stack: Stack, *arguments: str) -> Ran:
    """Run one command of the group."""
    return call("audit", *arguments, "--data-dir", str(stack.data_dir))


def listed(stack: Stack, *arguments: str) -> list[dict[str, object]]:
    """Return a list as JSON."""
    found: list[dict[str, object]] = json.loads(audit(stack, "list", *arguments, "--json").out)
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("explain",), 2, "give a REQUEST_ID, or --subject SUBJECT --last"),
        (("explain", "x", "--subject", "license:y"), 2, "give a REQUEST_ID, or --subject"),
        (("explain", "x", "--last"), 2, "give a REQUEST_ID, or --subject"),
        (("explain", "x"), 1, "the audit knows no request and no change 'x'"),
        (("explain", "ffffffff00000000"), 1, "the audit does not know request 'ffffffff00000000' of 2106-02-07"),
        (("explain", "\x1b[31mred"), 1, "no change '\\x1b[31mred'"),
        (("explain", "--subject", "license:none", "--last"), 1, "no decision on a request of 'license:none'"),
        (("list", "--since", "soon"), 1, "2027-01-31T12:00:00Z, or 24h for a span back from now"),
        (("list", "--before", "now"), 1, "'now' is not a cursor of the audit"),
        (("list", "--limit", "0"), 2, "0 is not in the range"),
        (("export",), 2, "Missing argument 'FILE'"),
        (("export", "/nowhere/audit.jsonl"), 1, "cannot write /nowhere/audit.jsonl: No such file or directory"),
    ],
)
def test_refusals(stack: Stack, arguments: tuple[str, ...], code: int, words: str) -> None:
    """What cannot be answered is refused in one sentence."""
    assert words in sentence(audit(stack, *arguments), code)


def test_a_table(stack: Stack, license_: License) -> None:
    """Newest first, who and what below each entry, with how to see older ones."""
    ran = audit(stack, "list", "--subject", f"license:{license_.id}", "--limit", "3")

    head, below, *lines = ran.out.splitlines()
    assert (["TIME", "EVENT", "TIMES", "REQUEST"], "  WHO: WHAT") == (head.split(), below)
    entries = [line for line in lines if not line.startswith(" ")]
    assert ["token.denied", "license.changed", "token.issued"] == [line.split()[3] for line in entries]
    whose = [line for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert [f"license:{license_.id}:", "system:authsvc:", f"license:{license_.id}:"] == [x.split()[0] for x in whose]
    assert "older ones: --before " in ran.err
    cursor = ran.err.split()[-1]
    (rest,) = listed(stack, "--subject", f"license:{license_.id}", "--before", cursor)
    assert "license.created" == rest["event"]


def test_an_empty_table(stack: Stack) -> None:
    """Nothing is no error."""
    ran = audit(stack, "list", "--app", "no-such-app")

    assert (0, "", "authsvc: no entries match\n") == (ran.code, ran.out, ran.err)


@pytest.mark.parametrize("last", [("--last",), ("--last", "2")])
def test_the_last_decisions(stack: Stack, license_: License, last: tuple[str, ...]) -> None:
    """Just ``--last`` is one decision; with a number, so many."""
    ran = audit(stack, "explain", "--subject", f"license:{license_.id}", *last)

    assert len(last) == len(ran.out.strip().split("\n\n"))
    assert "No token: the account is known" in ran.out.splitlines()[0]


def test_a_change_is_explained(stack: Stack, license_: License) -> None:
    """The id of a change is as good as that of a request."""
    (change,) = listed(stack, "--subject", f"license:{license_.id}", "--event", "license.created")
    ran = audit(stack, "explain", str(change["id"]))

    assert "license.created, by system:authsvc." in ran.out
    assert f"With: license {license_.id}, app " in ran.out


def test_no_client_writes_to_the_terminal(stack: Stack) -> None:
    """A client's name with escape sequences and line ends is shown harmless; headers with such never get so far."""
    client = "evil%1b%5d0%3bowned%07%1b%5b2J%0a2026-01-01%20granted%e2%80%ae"
    reply = ask(stack.port, "GET", f"/auth/token?scope=repository:x/y:pull&client_id={client}", headers=basic(NOBODY))
    request_id = reply.headers["x-request-id"]
    until(lambda: audit(stack, "explain", request_id).code == 0, "it is told")

    listing = ("list", "--unproven")
    for words in (("explain", request_id), listing, ("explain", request_id, "--json"), (*listing, "--json")):
        assert all(line.isprintable() for line in audit(stack, *words).out.split("\n")), words
    assert all(line.isprintable() for line in stack.authsvc("audit", "export", "-").out.split("\n"))
    shown = r"evil\u001b]0;owned\u0007\u001b[2J\n2026-01-01 granted\u202e"
    assert f"calls itself {shown}" in audit(stack, "explain", request_id).out
    assert shown in audit(stack, *listing, "--json").out
    explained = json.loads(audit(stack, "explain", request_id, "--json").out)
    assert "granted\u202e" in json.dumps(explained, ensure_ascii=False)


def test_no_record_writes_to_the_terminal(stack: Stack, license_: License) -> None:
    """What stands in the database, by whatever way it came there, is shown harmless by every command that shows it."""
    hostile = "a\u009b2J\u202eb\x7f\u2066"
    redis = Redis(unix_socket_path=str(stack.data_dir / "run" / "redis.sock"), decode_responses=True)
    key = f"authsvc:license:{license_.id}"
    before = str(redis.get(key))
    record = {**json.loads(before), "customer": hostile, "contact": hostile, "fields": {hostile: hostile}}
    redis.set(key, json.dumps(record))
    try:
        for words in (("show", license_.id), ("list", "--app", record["app"]), ("revoke", license_.id)):
            for more in ((), ("--json",)):
                ran = stack.authsvc("license", *words, *more)
                assert all(line.isprintable() for line in (ran.out + ran.err).split("\n")), (words, more)
                assert r"a\u009b2J\u202eb\u007f\u2066" in ran.out, (words, more)
        assert hostile == json.loads(stack.authsvc("license", "show", license_.id, "--json").out)["customer"]
    finally:
        redis.set(key, before)
        redis.close()


def test_a_copy(stack: Stack, license_: License, tmp_path: Path) -> None:
    """A file is written and continued, standard output is one line an entry."""
    path = tmp_path / "audit.jsonl"
    first = audit(stack, "export", str(path))
    again = json.loads(audit(stack, "export", str(path), "--json").out)
    out = stack.authsvc("audit", "export", "-").out

    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert f"{len(entries)} entries written to {path}" in first.err or again["entries"] > 0
    assert (str(path), False) == (again["file"], again["missing"])
    assert [entry["cursor"] for entry in entries] == [
        json.loads(line)["cursor"] for line in out.splitlines()[: len(entries)]
    ]
    assert license_.id in path.read_text()


def test_following(stack: Stack, app: str) -> None:
    """Who follows sees the next decision within seconds, and Ctrl-C is a clean end."""
    license_ = make_license(stack, app)
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    command = (*stack.command, "audit", "list", "--follow", "--json", "--actor", f"license:{license_.id}")
    number = itertools.count()

    def new_decision() -> int:
        return get_token(stack.port, license_.account, f"repository:{app}/x{next(number)}:pull").status

    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ, cwd=stack.folder) as follower:
        assert follower.stdout is not None
        with meanwhile(new_decision, pause=0.3):
            ready, _, _ = select.select([follower.stdout], [], [], PATIENCE)
            assert ready
            entry = json.loads(follower.stdout.readline())
        follower.send_signal(signal.SIGINT)
        code = follower.wait(PATIENCE)

    assert ("token.issued", f"license:{license_.id}", 0) == (entry["event"], entry["actor"], code)
