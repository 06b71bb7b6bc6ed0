"""A license holder with nothing but the file: every client signs in through the helper, or says why it may not."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import frozen

from tests.installer.conftest import BIN
from tests.support.containerd import Containerd
from tests.support.docker_engine import DockerEngine
from tests.support.http_client import ask
from tests.support.kubelet import Kubelet
from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import GOOD_PATH, Ran, Stack, run
from tests.support.tenants import License, make_ending_license, make_license, make_member, make_team, unique
from tests.support.vectors import load

pytestmark = pytest.mark.system

REQUEST = r"\(request [0-9a-f]{16}\)"
STATES = ("expired", "revoked", "pending")


@frozen
class Shop:
    """A vendor with an image in each of two apps.

    Attributes:
        stack: that serves them.
        app: whose license the customers hold.
        other: another app of the same vendor.
        image: ``APP/worker:1``.
    """

    stack: Stack
    app: str
    other: str
    image: Image

    @property
    def worker(self) -> str:
        """The image that a license for the app covers."""
        return f"{self.stack.name}/{self.app}/worker:1"

    @property
    def foreign(self) -> str:
        """An image that is there and that the license does not cover."""
        return f"{self.stack.name}/{self.other}/api:1"

    @property
    def elsewhere(self) -> str:
        """The first image, at a host that no license names."""
        return f"127.0.0.1:{self.stack.port}/{self.app}/worker:1"


@frozen
class Holder:
    """Somebody with a license file, a home of their own and the tools on PATH.

    Attributes:
        folder: holds the file and the home.
        license: what they hold.
        engine: that docker talks to.
        daemon: that ctr talks to.
    """

    folder: Path
    license: License
    engine: DockerEngine
    daemon: Containerd

    @property
    def environ(self) -> dict[str, str]:
        """A new user's environment."""
        host = self.engine.environ["DOCKER_HOST"]
        return {"PATH": f"{BIN}:{GOOD_PATH}", "HOME": str(self.folder), "LANG": "C.UTF-8", "DOCKER_HOST": host}

    def run(self, *argv: str, check: bool = False) -> Ran:
        """Run a command as they would."""
        return run(*argv, environ=self.environ, cwd=self.folder, check=check)

    def login(self) -> Ran:
        """Log in with the license file and the vendor's key, as a vendor sends them."""
        return self.run("authsvc-license", "login", "--key", "key.json", "acme.license.json", check=True)

    def docker(self, image: str) -> Ran:
        """Pull with docker."""
        return self.run("docker", "pull", image)

    def skopeo(self, image: str) -> Ran:
        """Read with skopeo."""
        return self.run("skopeo", "inspect", "--tls-verify=false", f"docker://{image}")

    def podman(self, image: str) -> Ran:
        """Pull with podman."""
        return self.run("podman", *self._storage, "pull", "--tls-verify=false", image)

    def buildah(self, image: str) -> Ran:
        """Pull with buildah."""
        return self.run("buildah", *self._storage, "pull", "--policy", "always", "--tls-verify=false", image)

    def containerd(self, image: str) -> Ran:
        """Pull with containerd, with what the tools generate for it; the login is the one of the file's registry."""
        certs = f"{self.folder}/certs.d"
        self.run("authsvc-license", "containerd", "--directory", certs, "acme.license.json", check=True)
        token = self.run("authsvc-license", "token", "acme.license.json", check=True).out.strip()
        login = ("--user", f"license:{token}") if image.startswith("localhost:") else ("--plain-http",)
        return self.daemon.ctr("images", "pull", "--snapshotter", "native", "--hosts-dir", certs, *login, image)

    @property
    def _storage(self) -> tuple[str, ...]:
        # Without mounts, so that it works inside of any container. Podman wants at most 50 characters for what runs.
        running = self.engine.folder / f"run-{self.folder.name}"
        return ("--root", f"{self.folder}/root", "--runroot", str(running), "--storage-driver", "vfs")


CLIENTS: dict[str, Callable[[Holder, str], Ran]] = {
    "docker": Holder.docker,
    "skopeo": Holder.skopeo,
    "podman": Holder.podman,
    "buildah": Holder.buildah,
    "containerd": Holder.containerd,
}


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Shop:
    """Return the vendor."""
    app, other = unique("app"), unique("other")
    owner = make_member(stack, make_team(stack, app, other), "owner")
    image = Image(app.encode())
    Client(stack.port, owner).push(f"{app}/worker", "1", image)
    Client(stack.port, owner).push(f"{other}/api", "1", Image(other.encode()))
    return Shop(stack, app, other, image)


@pytest.fixture(scope="module")
def hold(
    shop: Shop, engine: DockerEngine, daemon: Containerd, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Holder]:
    """Return a way to become the holder of a new license, logged in with its file and nothing else."""

    def become(*options: str, make: Callable[..., License] = make_license) -> Holder:
        license_ = make(shop.stack, shop.app, "--contact", "sales@acme.test", *options)
        holder = Holder(tmp_path_factory.mktemp("holder"), license_, engine, daemon)
        (holder.folder / "acme.license.json").write_text(license_.file)
        (holder.folder / "key.json").write_bytes(ask(shop.stack.port, "GET", "/auth/license-keys.json").body)
        assert license_.token not in holder.login().said
        return holder

    return become


@pytest.fixture(scope="module")
def holder(hold: Callable[..., Holder]) -> Holder:
    """Return somebody whose license is in force."""
    return hold()


@pytest.fixture(scope="module")
def denied(shop: Shop, hold: Callable[..., Holder]) -> dict[str, tuple[Holder, str]]:
    """Return holders whose licenses are not in force, each with the pattern of the sentence that says so."""
    expired = hold(make=make_ending_license)
    end = datetime.fromisoformat(expired.license.document["license"]["expires_at"])
    revoked, pending = hold(), hold("--not-before", "2030-06-01")
    shop.stack.authsvc("license", "revoke", revoked.license.id)
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 1)
    facts = {
        "expired": (expired, rf"expired on {end:%Y-%m-%d}(?: {end:%H:%M} UTC)?"),
        "revoked": (revoked, r"was revoked on \d{4}-\d\d-\d\d \d\d:\d\d UTC"),
        "pending": (pending, "begins on 2030-06-01"),
    }
    return {
        state: (who, rf"license {who.license.id} of Globex {what}; contact sales@acme\.test {REQUEST}")
        for state, (who, what) in facts.items()
    }


@pytest.mark.parametrize("client", CLIENTS)
def test_the_file_is_the_login(holder: Holder, shop: Shop, client: str) -> None:
    """Every client pulls, though nobody typed a password."""
    ran = CLIENTS[client](holder, shop.worker)

    assert 0 == ran.code, ran
    if client == "skopeo":
        assert shop.image.digest in ran.out


REFUSALS = load("client_refusals.toml")


def refused(template: str, image: str, ran: Ran, **facts: str) -> None:
    """Check that ``ran`` failed and printed exactly what the template says of ``image``."""
    host, _, repository = image.rpartition(":")[0].partition("/")
    name = f"{host}/{repository}" if "reading manifest" in template or "access denied" in template else repository
    pattern = template.format(image=re.escape(image), host=re.escape(host), repository=re.escape(name), **facts)
    assert 0 != ran.code, ran
    assert "" == ran.out
    assert re.fullmatch(pattern, ran.err), (pattern, ran.err)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_license_that_is_not_in_force(
    denied: dict[str, tuple[Holder, str]], shop: Shop, client: str, state: str
) -> None:
    """Every client prints what is the matter, since when, whom to ask and the request's id."""
    who, sentence = denied[state]

    refused(REFUSALS["token"][client], shop.worker, CLIENTS[client](who, shop.worker), code="denied", sentence=sentence)


@pytest.mark.parametrize("client", CLIENTS)
def test_another_app(holder: Holder, shop: Shop, client: str) -> None:
    """An image of another app is refused in the client's own words, and preflight says why."""
    refused(REFUSALS["registry"][client], shop.foreign, CLIENTS[client](holder, shop.foreign))

    said = holder.run("authsvc-license", "preflight", "acme.license.json", shop.foreign)
    assert 1 == said.code
    assert f"the license is for the app {shop.app}; contact sales@acme.test" in said.out


@pytest.mark.parametrize("client", CLIENTS)
def test_an_unknown_host(holder: Holder, shop: Shop, client: str) -> None:
    """At a host that no license names nobody is signed in, and the client says how to be."""
    sentence = rf"sign in with your account or license file: docker login {REQUEST}"

    ran = CLIENTS[client](holder, shop.elsewhere)

    refused(REFUSALS["token"][client], shop.elsewhere, ran, code="unauthorized", sentence=sentence)


def test_docker_login_and_logout(holder: Holder, shop: Shop) -> None:
    """Docker login finds the file by itself; logout says that the file stays, and undo really ends it."""
    login = holder.run("docker", "login", shop.stack.name)
    assert (0, True) == (login.code, "Login Succeeded" in login.out), login
    other = run(
        *("docker", "login", shop.stack.name, "-u", "license", "--password-stdin"),
        environ=holder.environ,
        cwd=holder.folder,
        stdin=make_license(shop.stack, shop.app).file,
    )
    assert 1 == other.code
    assert f"logins to {shop.stack.name} come from license files here" in other.err
    logout = holder.run("docker", "logout", shop.stack.name)
    assert "still signs in; to end that: authsvc-license login --undo" in logout.err, logout
    assert 0 == holder.docker(shop.worker).code

    holder.run("authsvc-license", "login", "--undo", shop.stack.name, check=True)
    assert "sign in with your account or license file" in holder.skopeo(shop.worker).err
    holder.login()


def test_podman_login(holder: Holder, shop: Shop) -> None:
    """Podman login finds the file by itself too."""
    ran = holder.run("podman", "login", "--tls-verify=false", shop.stack.name)

    assert (0, True) == (ran.code, "Existing credentials are valid." in ran.out), ran


def test_generated_files_sign_in(hold: Callable[..., Holder], shop: Shop, tmp_path: Path) -> None:
    """A config.json without any helper signs docker and skopeo in, and the pull secret holds the same."""
    holder = hold()
    holder.run("authsvc-license", "login", "--undo", "acme.license.json", check=True)
    config = tmp_path / "config.json"
    config.write_text(holder.run("authsvc-license", "docker-config", "acme.license.json", check=True).out)

    pulled = holder.run("docker", "--config", str(tmp_path), "pull", shop.worker)
    assert 0 == pulled.code, pulled
    copied = holder.run(
        *("skopeo", "copy", "--src-tls-verify=false", "--authfile", str(config)),
        *(f"docker://{shop.worker}", f"docker-archive:{tmp_path}/worker.tar:{shop.worker}"),
    )
    assert 0 == copied.code, copied
    loaded = holder.run("docker", "load", "--input", f"{tmp_path}/worker.tar")
    assert f"Loaded image: {shop.worker}\n" == loaded.out, loaded


def test_kubelet_and_containerd(holder: Holder, shop: Shop) -> None:
    """What kubelet gets from the provider pulls the image on a node's containerd."""
    config = holder.run("authsvc-license", "kubelet-provider", "--config", "acme.license.json", check=True)
    kubelet = Kubelet.configured(config.out, BIN, {"PATH": GOOD_PATH})

    login = kubelet.credentials(shop.worker)

    assert login is not None
    assert kubelet.credentials(shop.foreign) is None
    assert kubelet.credentials(shop.elsewhere) is None
    arguments = ("--snapshotter", "native", "--plain-http", "--user", ":".join(login))
    ran = holder.daemon.ctr("images", "pull", *arguments, shop.worker)
    assert 0 == ran.code, ran
