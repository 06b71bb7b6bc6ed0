"""Which credential a client will use: our answer against what the real programs send, file by file."""

import base64
import http.server
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import Factory, define, evolve

from authsvc.installer import client_files, license_store
from authsvc.installer.client_files import PODMAN, SKOPEO
from tests.installer.conftest import Tool
from tests.support.license_files import FACTS, put_file
from tests.support.stack import GOOD_PATH, run, short_folder

HELPERS = {
    "one": """echo '{"ServerURL": "x", "Username": "helped", "Secret": "s"}'""",
    "authsvc": """echo '{"ServerURL": "x", "Username": "license", "Secret": "s"}'""",
}
"""Programs that answer as credential helpers."""


class _Registry(http.server.BaseHTTPRequestHandler):
    """Lets nobody in, and remembers who asked."""

    users: list[str]

    def do_GET(self) -> None:
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            self.users.append(base64.b64decode(value).decode().partition(":")[0])
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the library
        """Say nothing."""


@define
class Machine:
    """A user's machine, and a registry that remembers as whom somebody asked.

    Attributes:
        home: of the user.
        port: of the registry.
        users: who asked.
    """

    home: Path
    port: int
    users: list[str]
    extra: dict[str, str] = Factory(dict)

    @property
    def registry(self) -> str:
        """The registry's name."""
        return f"localhost:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The user's environment."""
        runtime = {"XDG_RUNTIME_DIR": str(self.home / "run")}
        path = f"{self.home / 'bin'}:{GOOD_PATH}"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", **runtime, **self.extra}

    def put(self, place: str, body: Any) -> None:
        """Write a client's file; ``R`` in it is the registry."""
        path = self.home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body).replace('"R', f'"{self.registry}') if body != "broken" else "{")

    def seen(self, client: str) -> str:
        """Let a real client ask, and return as whom: a user name, or an empty text for nobody."""
        self.users.clear()
        storage = ("--root", f"{self.home}/root", "--runroot", f"{self.home}/rr", "--storage-driver", "vfs")
        image = f"{self.registry}/app/image:1"
        argv = (
            ("skopeo", "inspect", "--tls-verify=false", f"docker://{image}")
            if client == SKOPEO
            else ("podman", *storage, "pull", "--quiet", "--tls-verify=false", image)
        )
        run(*argv, environ=self.environ, cwd=self.home)
        return self.users[0] if self.users else ""

    def expected(self, client: str) -> str:
        """Return as whom the client will ask by what we say."""
        use = next(use for use in client_files.uses(self.registry, self.environ) if use.client == client)
        helped = {"one": "helped", "authsvc": "license"}
        return use.name if use.kind == client_files.LOGIN else helped.get(use.name, "")


@pytest.fixture
def machine() -> Iterator[Machine]:
    """Return a machine with two helpers and no configuration; podman wants short paths."""
    users: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Registry,), {"users": users}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    with short_folder() as home:
        (home / "bin").mkdir()
        (home / "run").mkdir()
        for name, script in HELPERS.items():
            program = home / f"bin/docker-credential-{name}"
            program.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
            program.chmod(0o755)
        yield Machine(home, server.server_address[1], users)
    server.shutdown()
    server.server_close()
    thread.join()


def auths(user: str, key: str = "R") -> dict[str, Any]:
    """Return the section of a stored login."""
    return {"auths": {key: {"auth": base64.b64encode(f"{user}:p".encode()).decode()}}}


RUNTIME, OWN, DOCKER_FILE, LEGACY = (
    "run/containers/auth.json",
    ".config/containers/auth.json",
    ".docker/config.json",
    ".dockercfg",
)
ALL = {RUNTIME: auths("runtime"), OWN: auths("own"), DOCKER_FILE: auths("docker"), LEGACY: auths("legacy")["auths"]}

CASES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "nothing": ({}, {}),
    "all": (ALL, {}),
    "without runtime": ({k: v for k, v in ALL.items() if k != RUNTIME}, {}),
    "docker's alone": ({DOCKER_FILE: auths("docker"), LEGACY: ALL[LEGACY]}, {}),
    "legacy alone": ({LEGACY: ALL[LEGACY]}, {}),
    "REGISTRY_AUTH_FILE": ({**ALL, "named.json": auths("named")}, {"REGISTRY_AUTH_FILE": "named.json"}),
    "DOCKER_CONFIG": ({**ALL, "other/config.json": auths("other")}, {"DOCKER_CONFIG": "other"}),
    "XDG_CONFIG_HOME": ({OWN: ALL[OWN], "xdg/containers/auth.json": auths("xdg")}, {"XDG_CONFIG_HOME": "xdg"}),
    "helper before login": ({OWN: {**auths("own"), "credHelpers": {"R": "one"}}}, {}),
    "helper behind login": ({RUNTIME: auths("runtime"), OWN: {"credHelpers": {"R": "authsvc"}}}, {}),
    "our helper": ({OWN: {"credHelpers": {"R": "authsvc"}}, DOCKER_FILE: auths("docker")}, {}),
    "store is not read": ({DOCKER_FILE: {**auths("docker"), "credsStore": "one"}}, {}),
    "empty entry": ({RUNTIME: {"auths": {"R": {}}}, OWN: auths("own")}, {}),
    "address as the key": ({RUNTIME: auths("runtime", "https://R/v1/".replace("R", "localhost:PORT"))}, {}),
    "broken": ({RUNTIME: "broken", OWN: auths("own")}, {}),
    "helpers in registries.conf": (ALL, {"CONTAINERS_REGISTRIES_CONF": "first.conf"}),
    "files before helpers": (ALL, {"CONTAINERS_REGISTRIES_CONF": "last.conf"}),
    "only helpers left": ({}, {"CONTAINERS_REGISTRIES_CONF": "last.conf"}),
    "DOCKER_AUTH_CONFIG is docker's": ({OWN: auths("own")}, {"DOCKER_AUTH_CONFIG": "{}"}),
}


@pytest.mark.parametrize("case", CASES)
def test_as_the_real_programs_do(machine: Machine, case: str) -> None:
    """As whom podman and skopeo ask is what we say."""
    files, extra = CASES[case]
    (machine.home / "first.conf").write_text('credential-helpers = ["one", "containers-auth.json"]\n')
    (machine.home / "last.conf").write_text("credential-helpers = [\n  'containers-auth.json',\n  'one',\n]\n")
    for place, body in files.items():
        machine.put(place, json.loads(json.dumps(body).replace("localhost:PORT", machine.registry)))
    paths = {name: value if value == "{}" else str(machine.home / value) for name, value in extra.items()}
    machine = evolve(machine, extra=paths)

    for client in (PODMAN, SKOPEO):
        assert machine.expected(client) == machine.seen(client), client


DOCKER_CASES: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, str]]] = {
    "nothing": ({}, {}, ("nothing", "")),
    "login": (auths("me"), {}, ("login", "me")),
    "store before login": ({**auths("me"), "credsStore": "desktop"}, {}, ("helper", "desktop")),
    "helper before store": (
        {**auths("me"), "credsStore": "x", "credHelpers": {"R": "authsvc"}},
        {},
        ("license", "authsvc"),
    ),
    "variable": ({"credHelpers": {"R": "authsvc"}}, {"DOCKER_AUTH_CONFIG": json.dumps(auths("env"))}, ("login", "env")),
    "variable for others": (auths("me"), {"DOCKER_AUTH_CONFIG": json.dumps(auths("env", "x"))}, ("login", "me")),
    "sign-in": ({"auths": {"R": {"auth": "bWU6", "identitytoken": "x"}}}, {}, ("login", "me")),
    "null": ({"credHelpers": None, "auths": None}, {}, ("nothing", "")),
}


@pytest.mark.parametrize("case", DOCKER_CASES)
def test_docker(tmp_path: Path, case: str) -> None:
    """Docker: the variable, then helper, store and login in its one file (docker/cli configfile/file.go)."""
    body, extra, expected = DOCKER_CASES[case]
    registry = FACTS["registry"]
    config = tmp_path / ".docker/config.json"
    config.parent.mkdir()
    config.write_text(json.dumps(body).replace('"R"', f'"{registry}"'))
    environ = {"HOME": str(tmp_path)} | {name: value.replace('"R"', f'"{registry}"') for name, value in extra.items()}
    use = client_files.uses(registry, environ)[0]

    assert ("docker", *expected) == (use.client, use.kind, use.name)


def test_login_comes_before_an_older_login(machine: Machine, tool: Tool, tmp_path: Path) -> None:
    """A login that podman stored earlier no longer decides after ours, and is left where it is; undo ends that."""
    machine.put(RUNTIME, auths("earlier"))
    file = put_file(tmp_path / "a.license.json", registry=machine.registry)
    said = tool("login", "--replace", file, HOME=str(machine.home), XDG_RUNTIME_DIR=str(machine.home / "run"))

    assert 0 == said.code, said
    assert ["license", "license"] == [machine.expected(client) for client in (PODMAN, SKOPEO)]
    assert ["license", "license"] == [machine.seen(client) for client in (PODMAN, SKOPEO)]
    body = json.loads((machine.home / RUNTIME).read_text())
    assert {"auths", "credHelpers"} == set(body)
    tool("login", "--undo", machine.registry, HOME=str(machine.home), XDG_RUNTIME_DIR=str(machine.home / "run"))
    assert "earlier" == machine.seen(PODMAN)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user to whom a file without any permission is closed, which it is not to root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_file_that_is_closed_to_us_stops_no_login(tmp_path: Path) -> None:
    """Without XDG_RUNTIME_DIR podman's file is in a folder that is root's where root uses podman; docker works."""
    closed = tmp_path / RUNTIME
    closed.parent.mkdir(parents=True)
    closed.touch(mode=0)
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    usual = [str(tmp_path / ".docker/config.json"), str(tmp_path / ".config/containers/auth.json")]

    with as_nobody():
        assert usual == client_files.files_to_edit(FACTS["registry"], environ, usual)
        assert f"cannot read {closed} and fails" in client_files.uses(FACTS["registry"], environ)[1].what()


def test_home_is_no_relative_folder() -> None:
    """Keys and licenses of the folder that we happen to be in count for nothing."""
    assert "/" == license_store.home_folder({"HOME": "~"})
    assert "/h" == license_store.home_folder({"HOME": "/h"})


def test_login_says_what_each_client_will_use(tool: Tool, home: Path, tmp_path: Path) -> None:
    """After login every client is named with its source, also one that something else keeps from the license."""
    file = put_file(tmp_path / "a.license.json")
    variable = json.dumps({"auths": {FACTS["registry"]: auths("env")["auths"]["R"]}})
    said = tool("login", file, XDG_RUNTIME_DIR=str(tmp_path), DOCKER_AUTH_CONFIG=variable).out.splitlines()

    assert "docker: uses the login of 'env' in $DOCKER_AUTH_CONFIG, not the license files" in said
    own = home / ".config/containers/auth.json"
    assert f"podman and buildah, skopeo: uses the license files here, by the helper in {own}" in said


def test_login_and_show_name_what_is_left_out(tool: Tool, home: Path, tmp_path: Path) -> None:
    """The ninth license of a registry takes the place of the one that was logged in with first."""
    files = [
        put_file(tmp_path / f"{number}.json", id=f"c{number}", app=f"app{number}", registry_token=f"t{number}")
        for number in range(9)
    ]
    said = [tool("login", file).said for file in files]

    assert "left out" not in "".join(said[:8])
    assert "left out: c0 for app0" in said[8]
    assert "left out: c0 for app0" in tool("show", files[3]).err
    clients = json.loads(tool("show", "--json", files[3]).out)["clients"]
    assert ["docker", "podman and buildah", "skopeo"] == [one["client"] for one in clients]
    assert {"license"} == {one["uses"] for one in clients}
