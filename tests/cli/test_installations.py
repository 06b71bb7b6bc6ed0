"""Which installation is meant, and what happens when it is not there, not readable, or not to be trusted."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.support.command import call, sentence, snapshot
from tests.support.ports import free_port
from tests.support.stack import COMMAND, Stack, run, short_folder
from tests.support.tenants import make_team, unique

LIST = ("team", "list")
NOTHING = {name: None for name in os.environ if name.startswith("AUTHSVC_")}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty folder, which is also where the test stands."""
    with short_folder() as made:
        monkeypatch.chdir(made)
        yield made


@pytest.fixture(scope="module")
def pristine() -> Iterator[Path]:
    """Return a data directory on which nothing was started yet."""
    with short_folder() as made:
        assert call("init", "--data-dir", str(made / "d")).code == 0
        yield made / "d"


@pytest.fixture
def data_dir(folder: Path, pristine: Path) -> Path:
    """Return a data directory to damage."""
    made = folder / "d"
    shutil.copytree(pristine, made)
    call("init", "--data-dir", str(made))
    return made


def test_there_is_none(folder: Path) -> None:
    """The sentence says how to get one, and none is made by looking."""
    said = sentence(call(*LIST, environ=NOTHING), 2)
    assert (
        said == "there is no installation in authsvc-data; start one with `authsvc up`, or name it with --data-dir DIR"
    )
    assert "there is no installation in /nowhere" in sentence(call(*LIST, "--data-dir", "/nowhere"), 2)
    assert list(folder.iterdir()) == []


def test_it_does_not_run(data_dir: Path) -> None:
    """Without its database, a command is refused in time."""
    said = sentence(call(*LIST, "--data-dir", str(data_dir)), 1)
    assert said.startswith(
        "the service's database does not answer; try again in a few seconds (is `authsvc up` running"
    )


def test_its_database_is_somewhere_else(data_dir: Path) -> None:
    """The sentence says what was wrong on the way there."""
    environ = {"AUTHSVC_REDIS_URL": "unix:///nowhere/redis.sock", "AUTHSVC_SECRETS_DIR": str(data_dir / "secrets")}
    said = sentence(call(*LIST, environ=environ), 1)
    assert said.startswith("the service's database does not answer; try again in a few seconds (NotConnected: ")
    assert "/nowhere/redis.sock. No such file or directory" in said


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AUTHSVC_PULL_TOKEN_LIVE": "60"}, "AUTHSVC_PULL_TOKEN_LIVE is not a setting of authsvc; known are:"),
        ({"AUTHSVC_PULL_TOKEN_LIFE": "5m"}, "AUTHSVC_PULL_TOKEN_LIFE must be a number of seconds from 60 to 3600"),
        ({"AUTHSVC_PULL_TOKEN_LIFE": "59"}, "AUTHSVC_PULL_TOKEN_LIFE must be a number of seconds from 60 to 3600"),
        ({"AUTHSVC_PUSH_TOKEN_LIFE": ""}, "AUTHSVC_PUSH_TOKEN_LIFE is empty; remove it"),
        ({"AUTHSVC_LEAF_LIFE": "600"}, "AUTHSVC_LEAF_LIFE is too short"),
        ({"AUTHSVC_LOG_LEVEL": "loud"}, "AUTHSVC_LOG_LEVEL must be one of debug, info, warning, error"),
    ],
)
@pytest.mark.parametrize("command", ["team list", "serve"])
def test_a_wrong_environment(data_dir: Path, environ: dict[str, str], words: str, command: str) -> None:
    """A misspelt or impossible setting is found at once, whatever the command."""
    if command == "serve":
        given = {"PATH": os.environ["PATH"], **environ, "AUTHSVC_CONFIG": str(data_dir / "config" / "authsvc.toml")}
        listen = ("--edge", "127.0.0.1:0", "--inside", "127.0.0.1:0")
        ran = run(*COMMAND, "serve", *listen, environ=given, cwd=data_dir)
    else:
        ran = call(*LIST, "--data-dir", str(data_dir), environ=environ)
    assert words in sentence(ran, 2)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AUTHSVC_REDIS_URL": "redis://127.0.0.1:1"}, "AUTHSVC_SECRETS_DIR is not set"),
        ({"AUTHSVC_REDIS_URL": "localhost:6379", "AUTHSVC_SECRETS_DIR": "{dir}"}, "AUTHSVC_REDIS_URL must look like"),
        ({"AUTHSVC_REDIS_URL_FILE": "/nowhere", "AUTHSVC_SECRETS_DIR": "{dir}"}, "cannot read the file '/nowhere'"),
        (
            {"AUTHSVC_REDIS_URL": "a", "AUTHSVC_REDIS_URL_FILE": "{dir}/registry-http.secret"},
            "say the same thing; remove one of them",
        ),
        ({"AUTHSVC_CONFIG": "/nowhere.toml"}, "cannot read the settings file /nowhere.toml: No such file"),
        ({"AUTHSVC_CONFIG": "/etc"}, "cannot read the settings file /etc: Is a directory"),
        ({"AUTHSVC_CONFIG": "{dir}/registry-http.secret"}, "is not TOML"),
    ],
)
def test_an_installation_by_its_parts(data_dir: Path, environ: dict[str, str], words: str) -> None:
    """The sentence names the variable or the file, and never shows a value that may be secret."""
    given = {name: value.format(dir=data_dir / "secrets") for name, value in environ.items()}
    ran = call(*LIST, environ={**NOTHING, **given})
    assert words in sentence(ran, 2)
    assert (data_dir / "secrets" / "registry-http.secret").read_text().strip() not in ran.said


def test_an_explicit_folder_wins(stack: Stack, data_dir: Path) -> None:
    """``--data-dir`` is what is meant, whatever the environment says."""
    elsewhere = {"AUTHSVC_REDIS_URL": "redis://127.0.0.1:1", "AUTHSVC_SECRETS_DIR": "/nowhere"}
    assert call(*LIST, "--data-dir", str(stack.data_dir), environ=elsewhere).code == 0
    assert call(*LIST, environ={**NOTHING, "AUTHSVC_DATA_DIR": str(stack.data_dir)}).code == 0
    assert call(*LIST, "--data-dir", str(data_dir), environ={"AUTHSVC_DATA_DIR": str(stack.data_dir)}).code == 1


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes | None = None) -> Callable[[Path], None]:
    """Return what puts ``key`` into a file."""
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
    return lambda path: (path.write_bytes(data), None)[1]


def text(words: str) -> Callable[[Path], None]:
    """Return what puts ``words`` into a file."""
    return lambda path: (path.write_text(words), None)[1]


def mode(number: int) -> Callable[[Path], None]:
    """Return what changes the mode of a file."""
    return lambda path: path.chmod(number)


def cut(path: Path) -> None:
    """Write only the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


KEY = "token-root.key.pem"
CERTIFICATE = "token-root.cert.pem"
SIGNING = "license-signing.key.pem"
TOKEN = "license-token.key"
HTTP = "registry-http.secret"
EVENTS = "registry-events.secret"
NGINX = "nginx.secret"
P256 = ec.SECP256R1()


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        (KEY, mode(0o644), "is open to others (mode 0644); run: chmod 600 "),
        (SIGNING, mode(0o640), "is open to others (mode 0640)"),
        (TOKEN, mode(0o604), "is open to others (mode 0604)"),
        (HTTP, mode(0o666), "is open to others (mode 0666)"),
        (KEY, text(""), "is not an unencrypted PEM private key"),
        (KEY, text("nonsense"), "is not an unencrypted PEM private key"),
        (KEY, cut, "is not an unencrypted PEM private key"),
        (KEY, pem(ec.generate_private_key(P256), b"password"), "is not an unencrypted PEM private key"),
        (KEY, pem(rsa.generate_private_key(65537, 2048)), "must be a P-256 (ES256) key"),
        (KEY, pem(ec.generate_private_key(ec.SECP384R1())), "must be a P-256 (ES256) key"),
        (KEY, pem(ec.generate_private_key(P256)), "belongs to another key"),
        (CERTIFICATE, text("nonsense"), "is not a PEM certificate"),
        (CERTIFICATE, cut, "is not a PEM certificate"),
        (SIGNING, text("nonsense"), "is not an unencrypted PEM private key"),
        (SIGNING, pem(rsa.generate_private_key(65537, 2048)), "must be a P-256 (ES256) key"),
        (TOKEN, text(""), "hexadecimal digits"),
        (TOKEN, text("0" * 64), "random hexadecimal digits"),
        (TOKEN, text("ab" * 16), "hexadecimal digits"),
        (TOKEN, text("not hexadecimal"), "must hold 64 hexadecimal digits"),
        (HTTP, text("short"), "is shorter than 32 characters"),
        (EVENTS, mode(0o640), "is open to others (mode 0640)"),
        (EVENTS, text(""), "is empty; remove it to have a new one made"),
        (EVENTS, text(f"{'ab' * 31}cd\nshort\n"), "must hold 64 hexadecimal digits"),
        (NGINX, mode(0o640), "is open to others (mode 0640)"),
        (NGINX, text(""), "is empty; remove it to have a new one made"),
    ],
)
@pytest.mark.parametrize("command", ["init", "up"])
def test_a_damaged_secret(data_dir: Path, name: str, damage: Callable[[Path], None], words: str, command: str) -> None:
    """The start is refused, the file is named, no secret is shown, and no file is touched."""
    path = data_dir / "secrets" / name
    damage(path)
    before = snapshot(data_dir / "secrets")
    ran = call(command, "--data-dir", str(data_dir), "--listen", f"127.0.0.1:{free_port()}")
    said = sentence(ran, 2)
    assert words in said
    assert name in said
    assert str(path.parent) in said
    assert "PRIVATE KEY" not in said
    assert snapshot(data_dir / "secrets") == before


def test_a_root_that_is_kept_elsewhere(data_dir: Path) -> None:
    """Without the root's key and without a leaf there is nothing to sign with; no new root is made in its place."""
    (data_dir / "secrets" / KEY).unlink()
    before = snapshot(data_dir / "secrets")
    ran = call("up", "--data-dir", str(data_dir), "--listen", f"127.0.0.1:{free_port()}")
    assert (ran.code, ran.out) == (2, "")
    assert f"{data_dir / 'secrets' / CERTIFICATE} has no key {KEY} beside it; put the key back" in ran.err
    assert snapshot(data_dir / "secrets") == before
    assert [path.name for path in (data_dir / "run").iterdir()] == ["lock"]


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app for licenses."""
    slug = unique("app")
    make_team(stack, slug)
    return slug


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "{path} is missing; `authsvc init` makes it"),
        (mode(0o644), "the file {path} is open to others (mode 0644); run: chmod 600 {path}"),
    ],
)
@pytest.mark.parametrize("name", [SIGNING, TOKEN])
def test_a_command_opens_only_the_secrets_that_it_needs(
    stack: Stack, folder: Path, app: str, name: str, damage: Callable[[Path], None], words: str
) -> None:
    """A list needs no key; a license file does. Commands never make secrets, or every license would change."""
    secrets = folder / "s"
    shutil.copytree(stack.data_dir / "secrets", secrets)
    damage(secrets / name)
    before = snapshot(secrets)
    environ = {
        **NOTHING,
        "AUTHSVC_REDIS_URL": f"unix://{stack.data_dir}/run/redis.sock",
        "AUTHSVC_SECRETS_DIR": str(secrets),
    }
    create = ("license", "create", "--app", app, "--customer", "Globex", "--expires", "30d")
    assert sentence(call(*create, environ=environ), 2) == words.format(path=secrets / name)
    for listing in (LIST, ("app", "list"), ("license", "list", "--app", app)):
        assert call(*listing, environ=environ).code == 0
    assert call("license", "list", "--app", app, "--json", environ=environ).out == "[]\n"
    assert snapshot(secrets) == before
