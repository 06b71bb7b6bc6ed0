"""``authsvc license import`` as people run it: killed in the middle, at a terminal, ten thousand rows at once."""

import asyncio
import io
import json
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define
from redis.asyncio import Redis

from tests.support.redis_server import server_in_background
from tests.support.stack import COMMAND, GOOD_PATH, Ran, run, short_folder
from tests.support.tenants import unique
from tests.support.terminal import type_line
from tests.support.waiting import PATIENCE, PAUSE

HEAD = "customer,expires,reference,field.seats\n"
DATES = "write 2027-01-31 (00:00 UTC at its start) or 2027-01-31T12:00:00Z"
MAX_RESIDENT = 120 * 1024
"""KiB that an import may take, however long its file is."""


@define
class Place:
    """Secrets and a Redis, without anything that serves.

    Attributes:
        folder: where files lie.
        redis_url: of the server.
    """

    folder: Path
    redis_url: str

    @property
    def environ(self) -> dict[str, str]:
        """What names the installation."""
        return {
            "PATH": GOOD_PATH,
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "AUTHSVC_REDIS_URL": self.redis_url,
            "AUTHSVC_SECRETS_DIR": str(self.folder / "d" / "secrets"),
        }

    def authsvc(self, *arguments: str, check: bool = True, seconds: float = PATIENCE, stdin: str | bytes = "") -> Ran:
        """Run one command."""
        environ, folder = self.environ, self.folder
        return run(*COMMAND, *arguments, environ=environ, cwd=folder, check=check, seconds=seconds, stdin=stdin)

    def json(self, *arguments: str) -> Any:
        """Run one command that succeeds and return what it says."""
        return json.loads(self.authsvc(*arguments, "--json").out)

    def file(self, name: str, text: str) -> str:
        """Write a file to import and return its name."""
        (self.folder / name).write_text(text, encoding="utf-8")
        return name

    def rows(self, count: int, name: str = "rows.csv") -> str:
        """Write a file of ``count`` customers and return its name."""
        return self.file(name, HEAD + "".join(f"Customer {n},2031-01-31,A-{n},{n}\n" for n in range(count)))


@pytest.fixture(scope="module")
def installation() -> Iterator[Place]:
    """Return secrets and a Redis that writes as a real one does."""
    with short_folder() as folder, server_in_background() as server:
        environ = {"PATH": GOOD_PATH, "HOME": str(folder)}
        run(*COMMAND, "init", "--data-dir", str(folder / "d"), environ=environ, cwd=folder, check=True)
        place = Place(folder, server.url.reveal())
        place.authsvc("team", "create", "acme-team")
        yield place


@pytest.fixture
def place(installation: Place) -> Iterator[tuple[Place, str]]:
    """Return the installation and an app of the test's own."""
    app = unique("app")
    installation.authsvc("app", "create", app, "--team", "acme-team")
    yield installation, app
    shutil.rmtree(installation.folder / "files", ignore_errors=True)


def test_a_file_becomes_licenses_with_files(place: tuple[Place, str]) -> None:
    """Both forms import; the summary counts, the files are private and log in, and a repetition does nothing."""
    here, app = place
    csv = here.rows(3)
    jsonl = here.file("more.jsonl", '{"customer": "Four", "expires": "2031-01-31", "fields": {"seats": "4"}}\n')
    first = here.authsvc("license", "import", csv, "--app", app, "--output-dir", "files")
    assert (
        "3 licenses made, 0 were there already; the last day is 2031-01-30\n3 files written to files, 0 were there\n"
        == first.out
    )
    assert {"license.created"} == {json.loads(line)["event"] for line in first.err.splitlines()}
    second = here.json("license", "import", jsonl, "--app", app, "--output-dir", "files")
    assert {"created": 1, "existing": 0, "rows": 1} == {name: second[name] for name in ("created", "existing", "rows")}
    again = here.json("license", "import", csv, "--app", app, "--output-dir", "files")
    assert {"created": 0, "existing": 3, "files": {"written": 0, "kept": 3, "outdated": 0}} == {
        name: again[name] for name in ("created", "existing", "files")
    }

    listed = here.json("license", "list", "--app", app)
    assert [("A-0", 0), ("A-1", 1), ("A-2", 2), ("Four", "4")] == sorted(
        (one["reference"], one["fields"]["seats"]) for one in listed
    )
    files = sorted((here.folder / "files").glob("*.license.json"))
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in files}
    assert {one["id"] for one in listed} == {json.loads(file.read_text())["license"]["id"] for file in files}
    assert "keys" in json.loads((here.folder / "files" / "license-key.json").read_text())


def test_what_is_wrong_is_named_and_nothing_is_made(place: tuple[Place, str]) -> None:
    """Every bad row is on standard error like a compiler's message, and the store is as before."""
    here, app = place
    name = here.file("bad.csv", HEAD + "A,2031-01-31,1,1\n,soon,2,2\nC,2020-01-01,1,3\nD,2020-01-01,4,\n")
    told = here.authsvc("license", "import", name, "--app", app, check=False)

    assert (1, "") == (told.code, told.out)
    assert [
        "authsvc: bad.csv:3: customer: it is empty",
        f"authsvc: bad.csv:3: expires: 'soon' is not a date; {DATES}",
        "authsvc: bad.csv:4: reference: '1' is on line 2 already; give each row a reference of its own",
        "authsvc: bad.csv:5: expires: the license would have ended at 2020-01-01T00:00:00Z, before now",
        "authsvc: 4 problems in 4 rows; no license was made",
    ] == told.err.splitlines()
    as_json = here.authsvc("license", "import", name, "--app", app, "--json", check=False)
    assert [(3, "customer"), (3, "expires"), (4, "reference"), (5, "expires")] == [
        (problem["line"], problem["column"]) for problem in json.loads(as_json.out)["problems"]
    ]
    assert 1 == as_json.code
    assert [] == here.json("license", "list", "--app", app)


def test_a_changed_row_is_refused_or_left_out(place: tuple[Place, str]) -> None:
    """Without --skip-changed nothing happens; with it the other rows are imported, and the license stays."""
    here, app = place
    here.authsvc("license", "import", here.rows(2), "--app", app)
    (old,) = [one for one in here.json("license", "list", "--app", app) if one["reference"] == "A-1"]
    name = here.file(
        "changed.csv", f"{HEAD}Customer 0,2031-01-31,A-0,0\nOther,2032-01-31,A-1,1\nNew,2031-01-31,A-2,2\n"
    )
    told = here.authsvc("license", "import", name, "--app", app, check=False)
    assert 1 == told.code
    assert f"changed.csv:3: customer, expires: differs from license {old['id']} of 'A-1'" in told.err
    assert 2 == len(here.json("license", "list", "--app", app))
    skipped = here.json("license", "import", name, "--app", app, "--skip-changed")

    assert (1, 2) == (skipped["created"], skipped["existing"])
    assert [{"line": 3, "reference": "A-1", "license": old["id"], "columns": ["customer", "expires"]}] == skipped[
        "changed"
    ]
    assert old in here.json("license", "list", "--app", app)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rows.csv", "--app", "absent"), 1),
        (("absent.csv", "--app", "APP"), 2),
        ((".", "--app", "APP"), 2),
        (("rows.csv",), 2),
        (("rows.csv", "--app", "APP", "--format", "xml"), 2),
        (("rows.csv", "--app", "APP", "--format", "jsonl"), 1),
        (("rows.csv", "--app", "APP", "--output-dir", "rows.csv"), 1),
    ],
)
def test_what_can_not_be_imported_is_refused(place: tuple[Place, str], arguments: tuple[str, ...], code: int) -> None:
    """A missing app or file, another form, a file for a folder: one reason, and nothing made."""
    here, app = place
    here.rows(1)
    told = here.authsvc("license", "import", *(app if word == "APP" else word for word in arguments), check=False)

    assert code == told.code
    assert "Traceback" not in told.err
    assert [] == here.json("license", "list", "--app", app)


def test_a_dry_run_makes_nothing(place: tuple[Place, str]) -> None:
    """It says what an import would do, problems and changed rows included, and writes neither licenses nor files."""
    here, app = place
    here.authsvc("license", "import", here.rows(2), "--app", app)
    dry = ("license", "import", here.rows(3), "--app", app, "--output-dir", "files", "--dry-run")

    assert "1 license would be made, 2 were there already; the last day is 2031-01-30\n" == here.authsvc(*dry).out
    assert {"dry_run": True, "new": 1, "created": 0}.items() <= here.json(*dry).items()
    here.file("rows.csv", HEAD + "Other,2031-01-31,A-0,0\n")
    assert "rows.csv:2: customer: differs" in here.authsvc(*dry, check=False).err
    assert "1 row differs from its license and is left out" in here.authsvc(*dry, "--skip-changed").err
    here.file("rows.csv", HEAD + "C,soon,1,1\n")
    assert "1 problem in 1 row; no license was made" in here.authsvc(*dry, check=False).err
    assert 2 == len(here.json("license", "list", "--app", app))
    assert not (here.folder / "files").exists()


def test_a_tar_has_the_files_of_all_rows(place: tuple[Place, str]) -> None:
    """It begins with the keys, has files of licenses that were there too, and standard output has nothing else."""
    here, app = place
    here.authsvc("license", "import", here.rows(2), "--app", app, "--output-dir", "files")
    command = ("license", "import", here.rows(40), "--app", app, "--output-tar")
    (here.folder / "piped.tar").unlink(missing_ok=True)
    piped = subprocess.run(
        (*COMMAND, *command, "-"), cwd=here.folder, env=here.environ, capture_output=True, check=True, timeout=PATIENCE
    )
    told = here.authsvc(*command, f"{app}.tar")
    assert f"0 licenses made, 40 were there already\n40 files written to {app}.tar, 0 were there\n" == told.out
    assert b"40 files written to standard output" in piped.stderr
    assert 0o600 == stat.S_IMODE((here.folder / f"{app}.tar").stat().st_mode)

    listed = {one["id"]: one["reference"] for one in here.json("license", "list", "--app", app)}
    said: list[dict[str, Any]] = []
    for content in (piped.stdout, (here.folder / f"{app}.tar").read_bytes()):
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            key, *files = tar.getmembers()
            assert ("license-key.json", 0o644) == (key.name, key.mode)
            assert {0o600} == {file.mode for file in files}
            said = [json.load(tar.extractfile(file) or io.BytesIO())["license"] for file in files]
        assert {f"{reference}-{id_}.license.json" for id_, reference in listed.items()} == {one.name for one in files}
        assert set(listed) == {one["id"] for one in said}
    old = next((here.folder / "files").glob("A-1-*"))
    assert json.loads(old.read_text())["license"]["registry_token"] in {one["registry_token"] for one in said}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--output-tar", "there.tar"), 1, "there.tar exists already"),
        (("--output-tar", "absent/x.tar"), 1, "cannot write absent/x.tar: No such file"),
        (("--output-tar", "/dev/full"), 1, "exists already"),
        (("--output-tar", "-", "--json"), 2, "both write to standard output"),
        (("--output-tar", "x.tar", "--output-dir", "files"), 2, "contradict each other"),
    ],
)
def test_a_tar_that_cannot_be_written_makes_no_license(
    place: tuple[Place, str], arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    """A file that is there is never overwritten, and one that is begun is not left behind."""
    here, app = place
    here.file("there.tar", "mine")
    told = here.authsvc("license", "import", here.rows(1), "--app", app, *arguments, check=False)

    assert (code, True) == (told.code, sentence in told.err)
    assert "mine" == (here.folder / "there.tar").read_text()
    assert not (here.folder / "x.tar").exists()
    assert [] == here.json("license", "list", "--app", app)


def test_a_tar_into_a_full_or_closed_pipe_is_refused(place: tuple[Place, str]) -> None:
    """The command fails with one sentence; importing the file again writes all of it."""
    here, app = place
    script = f"{COMMAND[0]} license import {here.rows(60)} --app {app} --output-tar -"
    for shell in (f"{script} > /dev/full", f"set -o pipefail; {script} | head -c 20000 > /dev/null"):
        told = run("bash", "-c", shell, environ=here.environ, cwd=here.folder, check=False)
        assert 1 == told.code
        assert "cannot write standard output" in told.err
        assert "Traceback" not in told.err
        assert "Exception ignored" not in told.err
    content = subprocess.run(script.split(), cwd=here.folder, env=here.environ, stdout=subprocess.PIPE, check=True)
    with tarfile.open(fileobj=io.BytesIO(content.stdout)) as tar:
        assert 61 == len(tar.getmembers())


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ((), HEAD + "Ünal,2031-01-31,A-1,1\n"),
        (("--format", "jsonl"), '{"customer": "Ünal", "expires": "2031-01-31", "reference": "A-1"}\n'),
    ],
)
def test_standard_input_is_a_file_too(place: tuple[Place, str], form: tuple[str, ...], text: str) -> None:
    """It is read twice as a file is, and a problem in it is named by its line."""
    here, app = place
    command = ("license", "import", "-", "--app", app, *form)
    assert (
        "1 license made, 0 were there already; the last day is 2031-01-30\n" == here.authsvc(*command, stdin=text).out
    )
    told = here.authsvc(*command, check=False, stdin=text.encode().replace("ü".upper().encode(), b"\xff"))

    assert (1, True) == (told.code, told.err.startswith("authsvc: -:"))
    assert "customer: it is not UTF-8" in told.err
    (listed,) = here.json("license", "list", "--app", app)
    assert ("Ünal", "A-1") == (listed["customer"], listed["reference"])


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "<(cat)"])
def test_a_pipe_is_a_file_too(place: tuple[Place, str], name: str) -> None:
    """Under every name; a container runs as a user who may not open its standard input by name."""
    here, app = place
    line = f"{COMMAND[0]} license import {name} --app {app}"
    made = run("bash", "-c", line, environ=here.environ, cwd=here.folder, stdin=f"{HEAD}B,2031-01-31,B-1,1\n")
    assert made.out == "1 license made, 0 were there already; the last day is 2031-01-30\n"
    line = f"{COMMAND[0]} license renew {name} --app {app}"
    text = "Reference;Expires\nB-1;31.12.2032\n"
    renewed = run("bash", "-c", line, environ=here.environ, cwd=here.folder, stdin=text)
    assert renewed.out == "1 license renewed, 0 unchanged; the last day is 2032-12-30\n"


def killed_three_times(here: Place, app: str, count: int) -> list[int] | None:
    """Kill an import of ``count`` rows three times, each time after some more files.

    Returns how many licenses there were after each, or None when the machine was so fast that one got to its end.
    """
    command = (*COMMAND, "license", "import", here.rows(count), "--app", app, "--output-dir", app)
    seen = [0]
    for _ in range(3):
        process = subprocess.Popen(command, cwd=here.folder, env=here.environ, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list((here.folder / app).glob("A-*"))) < seen[-1] + 60:
            time.sleep(PAUSE / 50)
        process.kill()
        if process.wait() != -signal.SIGKILL:
            assert process.returncode == 0
            return None
        seen.append(len(here.json("license", "list", "--app", app)))
    return seen


def test_a_killed_import_is_finished_by_the_next(place: tuple[Place, str]) -> None:
    """SIGKILL at three places in the middle; then one more run makes what is missing, nothing twice, no half file."""
    here, app = place
    for count in (600, 2400, 9600):
        if (seen := killed_three_times(here, app, count)) is not None:
            break
        here.authsvc("app", "create", app := unique("app"), "--team", "acme-team")
    else:
        pytest.fail("every import was over before it could be killed")
    last = here.json("license", "import", "rows.csv", "--app", app, "--output-dir", app)

    assert sorted(set(seen)) == seen
    assert seen[-1] < count
    assert (seen[-1], count - seen[-1]) == (last["existing"], last["created"])
    listed = here.json("license", "list", "--app", app)
    assert {f"A-{n}" for n in range(count)} == {one["reference"] for one in listed}
    assert count == len(listed)
    files = list((here.folder / app).glob("A-*"))
    assert {one["id"] for one in listed} == {json.loads(file.read_text())["license"]["id"] for file in files}
    assert count == len(files)


def test_a_bar_is_for_people(place: tuple[Place, str]) -> None:
    """At a terminal a bar counts to the end."""
    here, app = place
    line = f"{COMMAND[0]} license import {here.rows(40)} --app {app}"
    watched = type_line(line, environ=here.environ, cwd=here.folder)

    assert "40/40" in watched.out
    assert "40 licenses made, 0 were there already" in watched.out


def test_a_pipe_gets_no_bar(place: tuple[Place, str]) -> None:
    """Without a terminal standard output is the same, and there is nothing else."""
    here, app = place
    first, again = (here.authsvc("license", "import", here.rows(40), "--app", app) for _ in range(2))

    assert "40 licenses made, 0 were there already; the last day is 2031-01-30\n" == first.out
    assert "40/40" not in first.err
    assert ("0 licenses made, 40 were there already\n", "") == (again.out, again.err)


def test_thousands_of_rows(place: tuple[Place, str]) -> None:
    """They are all there, in a memory that does not grow with the file, and with few questions to Redis for each."""
    here, app = place
    name, count = here.rows(3000), 3000
    small = resident(here, app, here.rows(10, "small.csv"))
    before = asyncio.run(reads(here.redis_url))
    large = resident(here, app, name)
    asked = asyncio.run(reads(here.redis_url)) - before

    assert count == asyncio.run(counted(here.redis_url, app))
    assert large < MAX_RESIDENT
    assert large - small < 20 * 1024
    print(f"{asked} reads for {count} rows; {large // 1024} MiB")  # noqa: T201
    # One change each, and everything else is asked for many rows at a time. A command of its own asks ten times and
    # more.
    assert asked < 2 * count


async def reads(redis_url: str) -> int:
    """Return how often Redis has read from a client: about once for each time that somebody waited for it."""
    redis = Redis.from_url(redis_url)
    try:
        return int((await redis.info("stats"))["total_reads_processed"])
    finally:
        await redis.aclose()


def resident(here: Place, app: str, name: str) -> int:
    """Import a file in a process of its own and return the most memory it had, in KiB.

    A process begins with the peak of the one that forked it (getrusage(2) keeps it over an exec), and pytest's is
    large: so a small one stands between.
    """
    between = (
        "import resource, subprocess, sys;"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = (*COMMAND, "license", "import", name, "--app", app)
    told = run(sys.executable, "-c", between, *command, environ=here.environ, cwd=here.folder, check=True)
    return int(told.out)


async def counted(redis_url: str, app: str) -> int:
    """Return how many licenses an app has."""
    redis = Redis.from_url(redis_url)
    try:
        return int(await redis.zcard(f"authsvc:app-licenses:{app}"))
    finally:
        await redis.aclose()


def test_a_license_names_its_customer_by_the_vendors_key(place: tuple[Place, str]) -> None:
    """A single license gives a new customer a reference and an address, and finds it by the reference again."""
    here, app = place
    key, name = unique("CRM"), unique("Globex")
    command = ("license", "create", "--app", app, "--expires", "2031-01-31", "--customer-reference", key)
    first = here.json(*command, "--customer", name, "--customer-email", "it@globex.test")
    second = here.json(*command, "--customer", f"{name} Ltd")
    known = here.json("customer", "show", first["customer_id"], "--team", "acme-team")

    assert (name, key, "it@globex.test") == (known["name"], known["reference"], known["email"])
    assert first["customer_id"] == second["customer_id"]
