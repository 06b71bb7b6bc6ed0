"""``authsvc init --check``: refuses what the server would refuse, writes nothing, and foretells what init writes."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authsvc.cli.main import main
from authsvc.errors import SetupRefused
from authsvc.keys.file_names import LICENSE_SIGNING_KEY, TOKEN_ROOT_CERTIFICATE, TOKEN_ROOT_KEY
from authsvc.keys.rotation import prepare_root
from authsvc.settings import SETTINGS, load
from authsvc.setup.compose import VOLUMES
from tests.support.key_service import key_service_of_volumes
from tests.support.stack import GOOD_PATH, short_folder

NOW = datetime(2026, 1, 2, tzinfo=UTC)

BAD = {
    "public_url": "https://registry.test/path",
    "redis_url": "localhost:6379",
    "redis_deadline": "1.5s",
    "redis_disk": "redis",
    "redis_disk_reserve": "0",
    "secrets_dir": " ",
    "registry_url": "registry:5000",
    "registry_disk": "registry",
    "registry_disk_reserve": "1g",
    "nginx_url": "localhost:5000",
    "pull_token_life": "5m",
    "push_token_life": "59",
    "leaf_life": "1d",
    "leaf_renewal": "86400",
    "leaf_key": "/nowhere/leaf.key",
    "leaf_certificate": "/nowhere/leaf.crt",
    "trusted_proxies": "everybody",
    "private_clients": "maybe",
    "degraded_pulls": "yes",
    "refresh_tokens": "true",
    "audit_budget": "256m",
    "audit_groups": "many",
    "cached_records": "255",
    "audit_export_dir": "audit",
    "log_level": "loud",
    "tls_endpoint": "nginx",
    "control_socket": "serve.sock",
    "keys_dir": " ",
    "key_socket": "keys.sock",
    "key_admin_socket": "admin.sock",
    "upstream_tag_interval": "0",
    "upstream_stale_limit": "7d",
    "upstream_cache_size": "large",
    "upload_size": "none",
    "connections_per_address": "0",
    "upstream_private_networks": "the office",
    "upstream_ca_file": "ca.pem",
}
"""A value of each setting with which no server starts."""

NAMED = {"public_url": "--public-url", "leaf_renewal": "AUTHSVC_LEAF_LIFE"}
"""How a refusal names a setting that it does not name by its variable."""

IN_COMPOSE = set(BAD) - {
    *("public_url", "redis_url", "secrets_dir", "registry_url", "redis_disk", "control_socket"),
    *("registry_disk", "nginx_url"),
    *("keys_dir", "key_socket", "key_admin_socket"),
}
"""Those that a container gets from its environment."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder with a short path."""
    with short_folder() as made:
        yield made


@pytest.fixture
def volumes(folder: Path) -> Iterator[Path]:
    """Yield the folder of compose's volumes, each empty, with a key service that has no keys yet."""
    for name in VOLUMES:
        (folder / name).mkdir(parents=True, mode=0o700)
    with key_service_of_volumes(folder):
        yield folder


def authsvc(*arguments: str, **settings: str) -> Result:
    """Run a command with an environment that has nothing of the tester's own."""
    own = dict.fromkeys(CliRunner().env or {})
    environment = {f"AUTHSVC_{name.upper()}": value for name, value in settings.items()}
    return CliRunner().invoke(main, arguments, env={**own, "PATH": GOOD_PATH, **environment})


def init(folder: Path, *arguments: str, **settings: str) -> Result:
    """Run ``authsvc init`` on a data directory."""
    return authsvc("init", "--data-dir", str(folder), *arguments, **settings)


def everything(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what is in a folder with mode, inode, time and content."""
    return {
        str(path): (status.st_mode, status.st_ino, status.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (root, *sorted(root.rglob("*")))
        for status in (path.lstat(),)
    }


def test_every_setting_has_a_bad_value_here() -> None:
    """A new setting must be thought of, and what is bad here must be what the server refuses."""
    assert set(BAD) == {setting.name for setting in SETTINGS}
    needed = {"AUTHSVC_REDIS_URL": "redis://localhost", "AUTHSVC_SECRETS_DIR": "/secrets"}
    for name, value in BAD.items():
        with pytest.raises(SetupRefused):
            load({**needed, f"AUTHSVC_{name.upper()}": value})


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", [("init", "--check"), ("init",), ("up",)], ids=" ".join)
def test_a_bad_setting_is_refused_before_anything_is_written(folder: Path, name: str, command: tuple[str, ...]) -> None:
    """By each command that writes, and by the one that only checks; the sentence names the setting."""
    before = everything(folder)
    ran = authsvc(*command, "--data-dir", str(folder / "d"), "--listen", "127.0.0.1:1", **{name: BAD[name]})

    assert ran.exit_code == 2, ran.output
    assert NAMED.get(name, f"AUTHSVC_{name.upper()}") in ran.output
    assert before == everything(folder)


@pytest.mark.parametrize("name", sorted(IN_COMPOSE))
def test_a_bad_setting_is_refused_in_compose_too(volumes: Path, name: str) -> None:
    """The service `init` gets the settings that `authsvc` gets."""
    before = everything(volumes)
    for arguments in (("--compose", "--check"), ("--compose",)):
        assert init(volumes, *arguments, **{name: BAD[name]}).exit_code == 2
    assert before == everything(volumes)


def test_the_check_writes_nothing_and_foretells_what_init_writes(folder: Path) -> None:
    """Before the first start, when nothing has changed, and when something has."""
    root = folder / "d"
    for arguments in ((), (), ("--public-url", "https://registry.test")):
        before = everything(folder)
        check = init(root, "--check", "--json", *arguments)
        assert (0, before) == (check.exit_code, everything(folder)), check.output
        foretold = json.loads(check.stdout)
        written = json.loads(init(root, "--json", *arguments).stdout)
        assert ([], sorted(foretold["would_write"])) == (foretold["written"], sorted(written["written"]))
    assert "the configuration is good; init would change nothing" in init(root, "--check", *arguments).output


def test_the_check_of_compose_writes_nothing_and_foretells_what_init_writes(volumes: Path) -> None:
    """The same for the volumes, with another profile at last."""
    for profiles in ("", "", "sentinel"):
        before = everything(volumes)
        check = init(volumes, "--compose", "--profiles", profiles, "--check", "--json")
        assert (0, before) == (check.exit_code, everything(volumes)), check.output
        written = json.loads(init(volumes, "--compose", "--profiles", profiles, "--json").stdout)["written"]
        assert sorted(json.loads(check.stdout)["would_write"]) == sorted(written)


def test_the_copy_of_the_token_root_can_be_renewed_alone(volumes: Path) -> None:
    """A profile that is not taken up yet must not reach the services when a key is changed."""
    init(volumes, "--compose")
    prepare_root(volumes / "secrets", NOW + timedelta(days=1))
    before = everything(volumes / "config")
    ran = init(volumes, "--compose", "--token-root", "--profiles", "sentinel", "--json")
    assert [f"registry/{TOKEN_ROOT_CERTIFICATE}"] == json.loads(ran.stdout)["written"]
    after = everything(volumes / "config")
    changed = {Path(path).name for path in after if after[path] != before.get(path)}
    assert changed == {TOKEN_ROOT_CERTIFICATE, "registry"}
    assert (volumes / "config/registry" / TOKEN_ROOT_CERTIFICATE).read_bytes().count(b"BEGIN CERTIFICATE") == 2


def test_what_else_stands_in_the_way_is_found(folder: Path) -> None:
    """A foreign directory, a damaged key, a leaf without its root: all that init and serve would refuse."""
    (folder / "theirs").mkdir()
    (folder / "theirs" / "file").touch()
    assert init(folder / "theirs", "--check").exit_code == 2
    assert init(folder / "d").exit_code == 0
    assert init(folder / "d", "--check", leaf_key="/nowhere", leaf_certificate="/nowhere").exit_code == 2
    assert init(folder / "e", "--check", leaf_key="/nowhere", leaf_certificate="/nowhere").exit_code == 2
    (folder / "d" / "secrets" / LICENSE_SIGNING_KEY).write_bytes(b"damaged")
    assert "is not an unencrypted PEM private key" in init(folder / "d", "--check").output


def test_up_refuses_a_root_without_its_key_before_it_starts_anything(folder: Path) -> None:
    """While `init` does not: the leaf may be given to the server alone."""
    init(folder / "d")
    (folder / "d" / "secrets" / TOKEN_ROOT_KEY).unlink()
    assert init(folder / "d", "--check").exit_code == 0
    shutil.rmtree(folder / "d" / "run")
    ran = authsvc("up", "--data-dir", str(folder / "d"), "--listen", "127.0.0.1:1")
    assert (2, True) == (ran.exit_code, f"has no key {TOKEN_ROOT_KEY} beside it" in ran.output)
    assert not (folder / "d" / "run").exists()
