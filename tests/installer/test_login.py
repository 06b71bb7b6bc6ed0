"""``authsvc-license login``: one line into the files of docker and podman, and out again."""

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.installer.conftest import BIN, Tool
from tests.support.license_files import FACTS, FORGER, put_file, put_keys

HOST = FACTS["registry"]
KEPT = ".config/authsvc/licenses/myapp-c000000000000001.license.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a license file as it was received: readable by all."""
    made = put_file(tmp_path / "acme.license.json")
    made.chmod(0o644)
    return made


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_login_on_a_new_machine(tool: Tool, helper: Tool, home: Path, file: Path) -> None:
    """The file is kept with 0600, and both clients get exactly one entry."""
    ran = tool("login", file)

    assert 0 == ran.code, ran
    assert file.read_text() == (home / KEPT).read_text()
    assert 0o600 == mode(home / KEPT)
    for config in (home / ".docker/config.json", home / ".config/containers/auth.json"):
        assert {"credHelpers": {HOST: "authsvc"}} == json.loads(config.read_text())
        assert 0o600 == mode(config)
    assert FACTS["registry_token"] == json.loads(helper("get", stdin=HOST).out)["Secret"]
    assert FACTS["registry_token"] not in ran.said


def test_twenty_logins_at_once(home: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """None of twenty entries is lost, in either client's file, nor what stood there before."""
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"auths": {"other.test": {"auth": "eDp5"}}}')
    hosts = [f"r{number}.test" for number in range(20)]
    files = [put_file(tmp_path / f"{name}.json", registry=name, id=name.partition(".")[0]) for name in hosts]

    running = [
        subprocess.Popen((BIN / "authsvc-license", "login", file), env=environ, stdout=subprocess.PIPE)
        for file in files
    ]
    codes = [(process.communicate(timeout=120), process.returncode)[1] for process in running]

    assert [0] * 20 == codes
    for path in (config, home / ".config/containers/auth.json"):
        assert dict.fromkeys(sorted(hosts), "authsvc") == dict(
            sorted(json.loads(path.read_text())["credHelpers"].items())
        )
    assert {"other.test": {"auth": "eDp5"}} == json.loads(config.read_text())["auths"]
    assert 20 == len(list((home / ".config/authsvc/licenses").iterdir()))


def test_nothing_is_readable_by_others(tool: Tool, home: Path, tmp_path: Path) -> None:
    """Without any umask the license and the clients' files are for their owner alone, and the key is not writable."""
    before = os.umask(0)
    try:
        assert 0 == tool("login", "--key", put_keys(tmp_path / "key.json"), put_file(tmp_path / "a.json")).code
    finally:
        os.umask(before)

    modes = {path.relative_to(home).parts[1]: mode(path) for path in home.rglob("*") if path.is_file()}
    assert {0o600} == {mode(path) for path in home.rglob("*.json") if "keys" not in path.parts}, modes
    assert [0o644] == [mode(path) for path in (home / ".config/authsvc/keys").iterdir()]


def test_undo_on_a_new_machine(tool: Tool, helper: Tool, home: Path, file: Path) -> None:
    """Undo leaves nothing behind, and a second one says that there is nothing."""
    tool("login", file)
    ran = tool("login", "--undo", file)

    assert 0 == ran.code, ran
    assert [] == [path for path in home.rglob("*") if path.is_file()]
    assert 1 == helper("get", stdin=HOST).code
    again = tool("login", "--undo", file)
    assert 1 == again.code
    assert "nothing to undo" in again.err


TEXTS = [
    '{\n\t"auths": {\n\t\t"other.test": {\n\t\t\t"auth": "eDp5"\n\t\t}\n\t},\n\t"credsStore": "pass",\n\t"z": [1]\n}',
    '{\n  "HttpHeaders": {"User-Agent": "x"},\n  "credHelpers": {\n    "gcr.io": "gcloud"\n  }\n}\n',
    '{"auths":{}}',
]


@pytest.mark.parametrize("text", TEXTS)
def test_nothing_else_is_disturbed(tool: Tool, home: Path, file: Path, text: str) -> None:
    """What stood in docker's file stands there after login, in its order, and is all that is left after undo."""
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(text)
    config.chmod(0o640)

    assert 0 == tool("login", file).code
    body = json.loads(config.read_text())
    assert "authsvc" == body["credHelpers"].pop(HOST)
    before = json.loads(text)
    assert {"credHelpers": {}, **before} == {"credHelpers": {}, **body}
    assert list(before) == [name for name in body if name in before]
    assert 0o640 == mode(config)
    assert 0 == tool("login", "--undo", file).code
    assert before == json.loads(config.read_text())
    assert 0o640 == mode(config)


def test_what_docker_wrote_comes_back_to_the_byte(tool: Tool, home: Path, file: Path) -> None:
    """The indentation of docker and the missing line break at the end are kept."""
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(TEXTS[0].replace("[1]", "1"))

    tool("login", file)
    tool("login", "--undo", HOST)

    assert TEXTS[0].replace("[1]", "1") == config.read_text()


def test_login_twice(tool: Tool, home: Path, file: Path) -> None:
    """A second login changes nothing; a newer file of the same license takes the place of the older."""
    tool("login", file)
    config = home / ".docker/config.json"
    before = config.stat().st_mtime_ns
    put_file(file, expires_at="2099-02-01T00:00:00Z")
    ran = tool("login", file)

    assert "already uses the helper" in ran.out
    assert before == config.stat().st_mtime_ns
    assert [home / KEPT] == list((home / KEPT).parent.iterdir())
    assert "2099-02-01" in (home / KEPT).read_text()


def test_undo_of_one_of_two(tool: Tool, helper: Tool, home: Path, file: Path, tmp_path: Path) -> None:
    """The entry stays as long as another license for the registry does."""
    other = put_file(tmp_path / "b.license.json", id="c000000000000002", app="otherapp", registry_token="other")
    tool("login", file)
    tool("login", other)
    tool("login", "--undo", file)

    assert {HOST: "authsvc"} == json.loads((home / ".docker/config.json").read_text())["credHelpers"]
    assert "other" == json.loads(helper("get", stdin=HOST).out)["Secret"]
    tool("login", "--undo", home / ".config/authsvc/licenses/otherapp-c000000000000002.license.json")
    assert not (home / ".docker/config.json").exists()


def test_a_damaged_file_does_not_stop_undo(tool: Tool, helper: Tool, home: Path, file: Path, tmp_path: Path) -> None:
    """It is named and left, since nobody knows what it is for; when it is named itself it goes."""
    damaged = home / ".config/authsvc/licenses/damaged.license.json"
    tool("login", file)
    damaged.write_text("{")
    tool("login", put_file(tmp_path / "b.license.json", id="c000000000000002", app="otherapp", registry_token="other"))

    one = tool("login", "--undo", file)
    rest = tool("login", "--undo", HOST)

    assert [0, 0] == [one.code, rest.code], (one, rest)
    assert f"left {damaged}" in rest.out
    assert "not JSON" in rest.out
    assert [damaged] == [path for path in home.rglob("*") if path.is_file()]
    assert (1, "") == ((again := tool("login", "--undo", HOST)).code, again.out)
    assert (0, f"removed {damaged}\n") == ((gone := tool("login", "--undo", damaged)).code, gone.out), gone
    assert not damaged.exists()


def test_undo_keeps_a_link_and_its_file(tool: Tool, home: Path, file: Path, tmp_path: Path) -> None:
    """A configuration that other software manages behind a link is not removed, though nothing is left in it."""
    real = tmp_path / "managed.json"
    real.write_text("{}")
    (home / ".docker").mkdir()
    (home / ".docker/config.json").symlink_to(real)
    tool("login", file)

    assert 0 == tool("login", "--undo", file).code
    assert (home / ".docker/config.json").is_symlink()
    assert {} == json.loads(real.read_text())


@pytest.mark.parametrize("text", ['{"x": "\\ud800"}', '{"x": ["\\ud83d", "\\u00e9"]}'])
def test_half_a_character_in_a_clients_file_stays(tool: Tool, home: Path, file: Path, text: str) -> None:
    """JSON allows a lone surrogate, and UTF-8 does not; the value is still the same afterwards."""
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(text)

    assert 0 == tool("login", file).code
    assert json.loads(text)["x"] == json.loads(config.read_text())["x"]


def test_the_places_that_the_clients_were_told(tool: Tool, home: Path, file: Path, tmp_path: Path) -> None:
    """``DOCKER_CONFIG`` and ``REGISTRY_AUTH_FILE`` are obeyed, and a link to a file stays one."""
    real = tmp_path / "dotfiles" / "docker.json"
    real.parent.mkdir()
    real.write_text("{}")
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").symlink_to(real)

    tool("login", file, DOCKER_CONFIG=str(folder), REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"))

    assert (folder / "config.json").is_symlink()
    assert HOST in json.loads(real.read_text())["credHelpers"]
    assert HOST in json.loads((tmp_path / "auth.json").read_text())["credHelpers"]
    assert not (home / ".docker").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"x": 1e999}',
        '{"credHelpers": []}',
        '{"credHelpers": {"registry.vendor.test": "pass"}}',
        '{"credHelpers": {"registry.vendor.test": {}}}',
    ],
)
def test_a_file_that_can_not_be_edited(tool: Tool, home: Path, file: Path, text: str) -> None:
    """Podman's file is broken or has another helper: one sentence, and nothing at all was changed."""
    broken = home / ".config/containers/auth.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(text)

    ran = tool("login", file)

    assert (1, "") == (ran.code, ran.out)
    assert 1 == len(ran.err.splitlines())
    assert str(broken) in ran.err
    assert [broken] == [path for path in home.rglob("*") if path.is_file()]
    assert text == broken.read_text()


def test_a_client_configuration_without_helpers(tool: Tool, home: Path, file: Path) -> None:
    """``"credHelpers": null`` means none, as it does to docker."""
    path = home / ".docker/config.json"
    path.parent.mkdir()
    path.write_text('{"credHelpers": null, "detachKeys": "ctrl-x"}')

    ran = tool("login", file)

    assert 0 == ran.code, ran.err
    body = json.loads(path.read_text())
    assert (["authsvc"], "ctrl-x") == (list(body["credHelpers"].values()), body["detachKeys"])


def test_a_client_configuration_with_a_byte_order_mark(tool: Tool, home: Path, file: Path) -> None:
    """Docker and podman do not accept the mark, so a login there would have no effect: it is named."""
    path = home / ".docker/config.json"
    path.parent.mkdir()
    path.write_bytes(b"\xef\xbb\xbf{}")

    ran = tool("login", file)

    assert (1, "") == (ran.code, ran.out)
    assert "begins with a byte-order mark" in ran.err
    assert b"\xef\xbb\xbf{}" == path.read_bytes()


def test_the_key_is_kept(tool: Tool, home: Path, file: Path, tmp_path: Path) -> None:
    """With ``--key`` later checks need no key any more, those of the next login neither."""
    key = put_keys(tmp_path / "acme.license-key.json")

    assert (0, "") == ((ran := tool("login", "--key", key, file)).code, ran.err)
    assert 0 == tool("verify", file).code
    undone = tool("login", "--undo", file)
    (left,) = (path for path in home.rglob("*") if path.is_file())
    assert f"left {left}, the vendor's key, for the next login\n" in undone.out
    assert (0, "") == ((again := tool("login", file)).code, again.err)
    assert 1 == tool("login", put_file(tmp_path / "forged.json", key=FORGER)).code


def test_login_refuses_a_forged_or_ended_file(tool: Tool, home: Path, file: Path, tmp_path: Path) -> None:
    """A file that a known key did not sign, and one that has ended, are not kept."""
    forged = put_file(tmp_path / "forged.json", key=FORGER)
    ended = put_file(tmp_path / "ended.json", expires_at="2026-09-01T00:00:00Z")
    key = put_keys(tmp_path / "key.json")

    for ran, said in (
        (tool("login", "--key", key, forged), "no known key of the vendor made this signature"),
        (tool("login", ended), "the license ended at 2026-09-01T00:00:00Z"),
        (tool("login", home / "missing.json"), "No such file or directory"),
    ):
        assert 0 != ran.code
        assert said in ran.err
    assert [] == [path for path in home.rglob("*") if path.is_file()]


def test_a_helper_that_is_not_on_path_is_said(tool: Tool, file: Path) -> None:
    """Docker would only say that it did not find an executable, so login says it first."""
    assert "docker-credential-authsvc is not on PATH" in tool("login", file, PATH="/usr/bin:/bin").out


def test_login_as_json(tool: Tool, file: Path) -> None:
    """Machines get what was done as a list."""
    done = json.loads(tool("login", "--json", file).out)["done"]

    assert 5 == len(done)
    assert {True} == {isinstance(line, str) for line in done}
