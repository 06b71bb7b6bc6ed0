"""A license file that nobody has checked takes over no other login."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from authsvc.installer import existing_logins
from authsvc.installer.license_store import InstalledLicense, ToolError
from authsvc.license_file import parse
from tests.installer.conftest import Tool
from tests.support.license_files import FACTS, make_file, put_file, put_keys

HOST = "ghcr.test"
AUTH = {"auth": "bWU6c2VjcmV0"}

CONFIGS: dict[str, tuple[str, dict[str, object]]] = {
    "docker": (".docker/config.json", {"auths": {HOST: AUTH}}),
    "docker, with a scheme": (".docker/config.json", {"auths": {f"https://{HOST}/v2/": AUTH}}),
    "docker's store": (".docker/config.json", {"auths": {HOST: {}}, "credsStore": "nowhere"}),
    "docker's store alone": (".docker/config.json", {"credsStore": "fake"}),
    "podman": (".config/containers/auth.json", {"auths": {HOST: AUTH}}),
    "another helper": (".docker/config.json", {"credHelpers": {HOST: "gcloud"}}),
}


@pytest.fixture
def path(tmp_path: Path, environ: dict[str, str]) -> str:
    """Return a PATH with a credential store that has a login for the registry."""
    store = tmp_path / "bin" / "docker-credential-fake"
    store.parent.mkdir()
    store.write_text(f'#!/bin/sh\n[ "$(cat)" = {HOST} ] && echo "{{}}"\n')
    store.chmod(0o755)
    return f"{store.parent}:{environ['PATH']}"


def put(home: Path, case: str) -> Path:
    """Write the client's file of a case and return where."""
    name, body = CONFIGS[case]
    config = home / name
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps(body))
    return config


@pytest.mark.parametrize("case", CONFIGS)
def test_not_checked(tool: Tool, home: Path, tmp_path: Path, path: str, case: str) -> None:
    """Without a key it is refused, and nothing at all is changed."""
    config = put(home, case)
    before = config.read_bytes()

    ran = tool("login", put_file(tmp_path / "a.json", registry=HOST), PATH=path)

    assert (1, "", 1) == (ran.code, ran.out, len(ran.err.splitlines()))
    assert ("--replace" if case != "another helper" else "take that entry out first") in ran.err
    assert (before, [config]) == (config.read_bytes(), [one for one in home.rglob("*") if one.is_file()])


@pytest.mark.parametrize("how", ["checked", "told"])
@pytest.mark.parametrize("case", [case for case in CONFIGS if case != "another helper"])
def test_checked_or_told_to(tool: Tool, home: Path, tmp_path: Path, path: str, case: str, how: str) -> None:
    """With the vendor's key, or with --replace, it says what it replaced; undo brings it back."""
    config = put(home, case)
    before = json.loads(config.read_text())
    more = ("--key", put_keys(tmp_path / "key.json", registry=HOST)) if how == "checked" else ("--replace",)

    ran = tool("login", *more, put_file(tmp_path / "a.json", registry=HOST), PATH=path)

    assert 0 == ran.code, ran
    assert "replaced the login " in ran.out
    assert f"login --undo {HOST} brings it back" in ran.out
    assert 0 == tool("login", "--undo", HOST).code
    assert before == json.loads(config.read_text())


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "ghcr.io", "quay.io"])
def test_public_registries(tool: Tool, home: Path, tmp_path: Path, registry: str) -> None:
    """Pulls that need no login are not broken by a file that nobody has checked."""
    ran = tool("login", put_file(tmp_path / "a.json", registry=registry))

    assert (1, "") == (ran.code, ran.out)
    assert "well-known public registry" in ran.err
    assert [] == [one for one in home.rglob("*") if one.is_file()]


def test_the_same_license_is_no_other_login(tool: Tool, home: Path, tmp_path: Path) -> None:
    """Whoever signed in with the file before, without the tools, is not asked."""
    config = home / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps({"auths": {FACTS["registry"]: {"username": "license", "password": make_file()}}}))

    ran = tool("login", put_file(tmp_path / "a.json"))

    assert 0 == ran.code, ran
    assert "replaced" not in ran.out


def believe_the_file(patch: pytest.MonkeyPatch) -> None:
    """Refuse nothing."""
    patch.setattr(existing_logins, "refuse_unverified", lambda *_: None)


def forget_stores(patch: pytest.MonkeyPatch) -> None:
    """Look at stored logins only."""
    patch.setattr(existing_logins, "_store_has", lambda *_: False)


@pytest.mark.parametrize("bug", [believe_the_file, forget_stores])
def test_a_bug_is_noticed(
    bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, home: Path, path: str
) -> None:
    """Each way to get it wrong lets a file through that must not pass."""
    put(home, "docker's store alone")
    environ = {"HOME": str(home), "PATH": path}
    text = make_file(registry=HOST)
    license_ = InstalledLicense("a.json", text, parse(text)["license"])
    with pytest.raises(ToolError):
        existing_logins.refuse_unverified(license_, existing_logins.existing(license_, environ))

    bug(monkeypatch)

    existing_logins.refuse_unverified(license_, existing_logins.existing(license_, environ))
