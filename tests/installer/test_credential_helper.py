"""The credential helper, called as docker calls it."""

import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from authsvc.installer.host import is_loopback, normalise
from tests.installer.conftest import BIN, Tool
from tests.support.license_files import FACTS, make_file, put_file
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("vendor_key")

HOST = FACTS["registry"]
TOKEN = FACTS["registry_token"]
NOT_FOUND = "credentials not found in native keychain\n"

FORMS = [
    "registry.vendor.test",
    "registry.vendor.test\n",
    "REGISTRY.vendor.test",
    "registry.vendor.test:443",
    "https://registry.vendor.test",
    "http://registry.vendor.test",
    "https://registry.vendor.test:443",
    "http://registry.vendor.test:443",
    "https://registry.vendor.test/",
    "https://registry.vendor.test/v2/",
    "registry.vendor.test/myapp/worker",
]
"""Every form of protocol notes C1."""


@pytest.fixture
def licenses(home: Path) -> Path:
    """Return this user's folder of licenses, with one in it."""
    return put_file(home / ".config/authsvc/licenses/acme.license.json").parent


def got(helper: Tool, server: str, **more: str) -> str:
    """Return the secret that the helper gives for ``server``."""
    ran = helper("get", stdin=server, **more)
    assert (ran.code, ran.err) == (0, ""), ran
    secret: str = json.loads(ran.out)["Secret"]
    return secret


@pytest.mark.parametrize("server", FORMS)
def test_every_form_of_the_server(helper: Tool, licenses: Path, server: str) -> None:
    """However a client spells the registry, the answer is the same and repeats what was asked."""
    ran = helper("get", stdin=server)

    assert (0, "") == (ran.code, ran.err)
    assert {"ServerURL": server.strip(), "Username": "license", "Secret": TOKEN} == json.loads(ran.out)


@pytest.mark.parametrize(
    "server",
    ["registry.vendor.test:5000", "registry.vendor.tes", "evil-registry.vendor.test", "https://index.docker.io/v1/",
     "vendor.test", "registry.vendor.test.evil.test", "user@registry.vendor.test", "://", "[::1"],
)  # fmt: skip
def test_another_registry_is_not_found(helper: Tool, licenses: Path, server: str) -> None:
    """For every other registry the exact text comes that clients compare with."""
    ran = helper("get", stdin=server)

    assert (1, NOT_FOUND, "") == (ran.code, ran.out, ran.err)


def test_nothing_at_all(helper: Tool) -> None:
    """Without any license file nothing is found, and nothing is listed."""
    assert (1, NOT_FOUND) == ((ran := helper("get", stdin=HOST)).code, ran.out)
    assert (0, "{}\n") == ((ran := helper("list")).code, ran.out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage: docker-credential-authsvc <store|get|erase|list|version>\n"),
        (("get", "more"), "Usage: docker-credential-authsvc <store|get|erase|list|version>\n"),
        (("fetch",), "docker-credential-authsvc: unknown action: fetch\n"),
        (("get",), "no credentials server URL\n"),
        (("erase",), "no credentials server URL\n"),
        (("store",), "the credentials to store are not the JSON of the credential helper protocol\n"),
    ],
)
def test_wrong_calls(helper: Tool, words: tuple[str, ...], said: str) -> None:
    """Errors stand on standard output, with exit code 1, as the protocol wants them."""
    ran = helper(*words)

    assert (1, said, "") == (ran.code, ran.out, ran.err)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a" * 70_000])
def test_unreadable_input(helper: Tool, body: bytes) -> None:
    """Bytes that are no text, and far too many, are refused in a sentence."""
    ran = helper("get", stdin=body)

    assert 1 == ran.code
    assert ran.out.startswith("the input is ")
    assert "" == ran.err


def test_list(helper: Tool, home: Path, licenses: Path) -> None:
    """Every registry is listed with the user name that is sent to it."""
    put_file(licenses / "b.license.json", registry="localhost:5000")

    assert {HOST: "license", "localhost:5000": "license"} == json.loads(helper("list").out)


def test_version(helper: Tool) -> None:
    """The program says which one it is."""
    ran = helper("version")

    assert (0, True) == (ran.code, ran.out.startswith("docker-credential-authsvc (authsvc) v"))


def test_a_port_belongs_to_the_name(helper: Tool, home: Path) -> None:
    """Two registries on one host are two registries."""
    for port in ("5000", "5001"):
        put_file(
            home / f".config/authsvc/licenses/{port}.license.json", registry=f"localhost:{port}", registry_token=port
        )

    assert ["5000", "5001"] == [got(helper, f"http://localhost:{port}") for port in ("5000", "5001")]


def test_the_newest_in_force_wins(helper: Tool, licenses: Path) -> None:
    """Of several licenses the newest counts, but an ended one and one that has not begun give way."""
    put_file(licenses / "old.license.json", issued_at="2026-01-01T00:00:00Z", registry_token="old")
    assert TOKEN == got(helper, HOST)
    put_file(licenses / "a-new.license.json", issued_at="2026-09-01T00:00:00Z", registry_token="new")
    assert "new" == got(helper, HOST)
    put_file(
        licenses / "x.license.json",
        issued_at="2026-10-01T00:00:00Z",
        expires_at="2026-10-02T00:00:00Z",
        registry_token="x",
    )
    put_file(
        licenses / "y.license.json",
        issued_at="2026-10-01T00:00:00Z",
        not_before="2098-01-01T00:00:00Z",
        registry_token="y",
    )
    assert "new" == got(helper, HOST)


def test_a_rotated_file_wins_by_its_coming(helper: Tool, licenses: Path) -> None:
    """Rotation changes nothing but the token, so the file that came last counts."""
    newer = put_file(licenses / "0.license.json", registry_token="rotated")
    os.utime(newer, (time.time() + 60, time.time() + 60))

    assert "rotated" == got(helper, HOST)


def test_an_ended_license_still_answers(helper: Tool, home: Path) -> None:
    """When none is in force the newest answers, so that the server's refusal says what is wrong."""
    put_file(home / ".config/authsvc/licenses/a.license.json", expires_at="2026-09-01T00:00:00Z")

    assert TOKEN == got(helper, HOST)


def test_the_app_in_the_path_chooses(helper: Tool, licenses: Path) -> None:
    """A client that names the repository (crane) gets the license of that app."""
    put_file(licenses / "b.license.json", app="otherapp", issued_at="2026-09-01T00:00:00Z", registry_token="other")

    paths = ("", "/myapp/worker", "/otherapp/api", "/proxy/myapp/hub/library/redis")
    assert ["other", TOKEN, "other", TOKEN] == [got(helper, f"{HOST}{path}") for path in paths]


def test_all_three_places(helper: Tool, licenses: Path, tmp_path: Path) -> None:
    """``$AUTHSVC_LICENSE`` names files and folders; what lies in the home counts besides."""
    file = put_file(tmp_path / "one", registry="one.test", registry_token="one")
    put_file(tmp_path / "more/two.json", registry="two.test", registry_token="two")
    named = f"{file}:{file.parent / 'more'}"

    answers = [got(helper, server, AUTHSVC_LICENSE=named) for server in ("one.test", "two.test", HOST)]

    assert ["one", "two", TOKEN] == answers


def test_a_damaged_file_hides_no_other(helper: Tool, licenses: Path) -> None:
    """A file that is none is told on standard error, and the others work."""
    (licenses / "bad.license.json").write_text("{")
    (licenses / "binary.license.json").write_bytes(b"\xff\xfe\x00")
    (licenses / "notes.txt").write_text("not looked at")
    (licenses / "dangling.license.json").symlink_to("nowhere")

    ran = helper("get", stdin=HOST)

    assert TOKEN == json.loads(ran.out)["Secret"]
    assert [
        f"docker-credential-authsvc: {licenses}/bad.license.json: this is not a license file: it is not JSON",
        f"docker-credential-authsvc: {licenses}/binary.license.json: this is not a license file: it is not text",
        f"docker-credential-authsvc: cannot read {licenses}/dangling.license.json: No such file or directory",
    ] == ran.err.splitlines()


@pytest.mark.parametrize(
    "changes",
    [{"registry": 5}, {"registry_token": ""}, {"expires_at": None}, {"registry_token": "a\nb"}, {"contact": 1}],
)
def test_a_file_of_odd_types(helper: Tool, home: Path, changes: dict[str, Any]) -> None:
    """Fields of a wrong type are named, without a trace."""
    body = json.loads(make_file())
    body["license"].update(changes)
    file = home / "odd.json"
    file.write_text(json.dumps(body))

    ran = helper("get", stdin=HOST, AUTHSVC_LICENSE=str(file))

    assert (1, NOT_FOUND) == (ran.code, ran.out)
    assert repr(next(iter(changes))) in ran.err
    assert 1 == len(ran.err.splitlines())


@pytest.mark.parametrize("secret", [TOKEN, make_file(), f"{make_file()}\n"])
def test_storing_what_is_held(helper: Tool, licenses: Path, secret: str) -> None:
    """A login with the very license that is kept here is fine, and changes nothing."""
    (licenses / "acme.license.json").write_text(secret if secret.startswith("{") else make_file())
    before = {file: file.read_bytes() for file in licenses.iterdir()}

    ran = helper("store", stdin=json.dumps({"ServerURL": HOST, "Username": "license", "Secret": secret}))

    assert (0, "", "") == (ran.code, ran.out, ran.err)
    assert before == {file: file.read_bytes() for file in licenses.iterdir()}


def test_storing_something_else(helper: Tool, licenses: Path) -> None:
    """A password that could not be kept is refused, and the sentence says both ways on."""
    ran = helper("store", stdin=json.dumps({"ServerURL": HOST, "Username": "me@acme.test", "Secret": "a password"}))

    assert (1, "") == (ran.code, ran.err)
    assert (
        f"logins to {HOST} come from license files here: keep a new file with `authsvc-license login FILE`, or take "
        f"the helper away with `authsvc-license login --undo {HOST}` and sign in again\n"
    ) == ran.out


def test_erasing_says_once_that_the_file_stays(helper: Tool, licenses: Path) -> None:
    """Of the four spellings that ``docker logout`` erases one gets the note, and the file stays."""
    ran = [helper("erase", stdin=server) for server in (HOST, f"http://{HOST}", f"https://{HOST}", "other.test")]

    assert [(0, "")] * 4 == [(one.code, one.out) for one in ran]
    assert f"the license file {licenses}/acme.license.json still signs in" in ran[0].err
    assert ["", "", ""] == [one.err for one in ran[1:]]
    assert (licenses / "acme.license.json").exists()


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("[::1]:5000", "[::1]:5000"),
        ("[::1]:443", "[::1]"),
        ("HTTPS://Host.test:443/v1/", "host.test"),
        ("localhost:443", "localhost"),
        ("Host:443", "host:443"),  # docker takes host/app for a repository of docker.io
        (" host.test:80 ", "host.test:80"),
    ],
)
def test_normal_form(server: str, name: str) -> None:
    """One form per registry; only the port of https says nothing."""
    assert name == normalise(server)


@pytest.mark.parametrize("asked", ["registry.old.test", "registry.old.test:443", "https://registry.old.test:443"])
def test_a_license_of_another_spelling(helper: Tool, tmp_path: Path, asked: str) -> None:
    """Files that were made when the public URL still had the port of https go on working, by either name."""
    file = put_file(tmp_path / "old.license.json", registry="Registry.old.test:443")

    ran = helper("get", stdin=asked, AUTHSVC_LICENSE=str(file))

    assert (0, TOKEN) == (ran.code, json.loads(ran.out)["Secret"]), ran


@pytest.mark.parametrize(
    ("name", "loopback"),
    [("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True), ("127.9.9.9", True), ("[::1]:5000", True),
     ("127.evil.test", False), ("localhost.evil.test", False), ("10.0.0.1:5000", False), ("vendor.test", False)],
)  # fmt: skip
def test_loopback(name: str, loopback: bool) -> None:
    """Plain http is for this machine alone; a name that only looks like it is not."""
    assert loopback == is_loopback(name)


HEAVY = {
    "typing",
    "dataclasses",
    "pathlib",
    "argparse",
    "inspect",
    "urllib.request",
    "subprocess",
    "cryptography",
    "http",
}


def test_the_helper_imports_little(home: Path, environ: dict[str, str], licenses: Path) -> None:
    """None of the slow modules is imported on the way to an answer."""
    code = (
        "import sys; sys.argv[1:] = ['get']\n"
        "from authsvc.installer.credential_helper import main\n"
        "main(); print(sorted(sys.modules))"
    )
    done = subprocess.run(
        (sys.executable, "-S", "-c", code), input=HOST.encode(), capture_output=True, cwd=Path(__file__).parents[2],
        env={**environ, "PYTHONPATH": str(Path(__file__).parents[2])}, timeout=PATIENCE, check=True,
    )  # fmt: skip

    answer, modules = done.stdout.decode().splitlines()
    assert TOKEN == json.loads(answer)["Secret"]
    assert HEAVY & set(json.loads(modules.replace("'", '"'))) == set()


@pytest.mark.parametrize(("form", "limit"), [("package", 3), ("zipapp", 6.5)])
def test_the_helper_starts_fast(
    environ: dict[str, str], licenses: Path, tmp_path: Path, form: str, limit: float
) -> None:
    """An answer, signature checked, takes at most three times as long as a bare Python that does nothing.

    Processor time, the least of 25 each, and of up to 200 on a machine whose other work disturbs the first: it only
    adds. Python keeps nothing compiled of what it imports from an archive, so the zipapp takes longer: 4.6 to 5.2 times
    were measured.
    """
    helper: tuple[str, ...] = (str(BIN / "docker-credential-authsvc"),)
    if form == "zipapp":
        target = tmp_path / "docker-credential-authsvc"
        maker = Path(__file__).parents[2] / ".ci/make-zipapp"
        subprocess.run((sys.executable, maker, target), capture_output=True, timeout=PATIENCE, check=True)
        helper = (str(BIN / "python3"), str(target))

    def seconds(*argv: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, input=HOST.encode(), capture_output=True, env=environ, timeout=PATIENCE, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    bare = answer = math.inf
    for pair in range(200):
        bare = min(bare, seconds(str(BIN / "python3"), "-c", "pass"))
        answer = min(answer, seconds(*helper, "get"))
        if pair >= 24 and answer <= limit * bare:
            return
    pytest.fail(f"{answer} s, and {bare} s for a bare Python")
