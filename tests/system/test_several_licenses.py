"""Two, three and nine license files for several apps of one registry: every client pulls from each app."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.containerd import Containerd
from tests.support.docker_engine import DockerEngine
from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import Ran, Stack
from tests.support.tenants import License, make_license, make_member, make_team, unique
from tests.system.test_license_holder import Holder

pytestmark = pytest.mark.system

APPS = ("one", "two", "three")
PULLS: dict[str, Callable[[Holder, str], Ran]] = {
    "docker": Holder.docker,
    "skopeo": Holder.skopeo,
    "podman": Holder.podman,
    "buildah": Holder.buildah,
}


@pytest.fixture(scope="module")
def apps(stack: Stack) -> dict[str, str]:
    """Return the slugs of three apps of two vendors, each with the image APP/worker:1."""
    slugs = {name: unique(name) for name in APPS}
    for team in (("one", "two"), ("three",)):
        owner = make_member(stack, make_team(stack, *(slugs[name] for name in team)), "owner")
        for name in team:
            Client(stack.port, owner).push(f"{slugs[name]}/worker", "1", Image(slugs[name].encode()))
    return slugs


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a short path, as podman wants it."""
    return tmp_path_factory.mktemp("h")


def files_of(stack: Stack, apps: dict[str, str], number: int) -> list[License]:
    """Return ``number`` licenses: one in force for each app, and others that are not, or cover less."""
    one, two, three = (apps[name] for name in APPS)
    if number == 2:
        return [make_license(stack, one), make_license(stack, two)]
    revoked = [make_license(stack, app) for app in (one, two)]
    for license_ in revoked:
        stack.authsvc("license", "revoke", license_.id)
    if number == 3:
        return [make_license(stack, one), make_license(stack, two), revoked[0]]
    return [
        *(make_license(stack, app) for app in (one, two, three)),
        *revoked,
        make_license(stack, three, "--not-before", "2030-06-01"),
        make_license(stack, one, "--repository", "other"),
        make_license(stack, two, "--repository", "worker"),
        make_license(stack, two, "--repository", "other"),
    ]


def holder_of(licenses: list[License], folder: Path, engine: DockerEngine, daemon: Containerd) -> Holder:
    """Return somebody who logged in with each file."""
    holder = Holder(folder, licenses[0], engine, daemon)
    for number, license_ in enumerate(licenses):
        (folder / f"{number}.license.json").write_text(license_.file)
        holder.run("authsvc-license", "login", f"{number}.license.json", check=True)
    return holder


@pytest.mark.parametrize("number", [2, 3, 9])
def test_every_client_pulls_from_every_app(
    stack: Stack, apps: dict[str, str], engine: DockerEngine, daemon: Containerd, short: Path, number: int
) -> None:
    """Nothing but a login with each file, and the helper gives each client what pulls from all of the apps."""
    licenses = files_of(stack, apps, number)
    holder = holder_of(licenses, short, engine, daemon)
    images = [
        f"{stack.name}/{apps[name]}/worker:1" for name in APPS[: min(number, 3)] if number == 9 or name != "three"
    ]

    for client, pull in PULLS.items():
        for image in images:
            assert 0 == (ran := pull(holder, image)).code, (client, image, ran)
    files = [f"{at}.license.json" for at in range(number)]
    password = holder.run("authsvc-license", "token", *files, check=True).out.strip()
    for image in images:
        arguments = ("--snapshotter", "native", "--plain-http", "--user", f"license:{password}")
        assert 0 == (ran := daemon.ctr("images", "pull", *arguments, image)).code, ran


def test_generated_files_hold_all_of_them(
    stack: Stack, apps: dict[str, str], engine: DockerEngine, daemon: Containerd, short: Path
) -> None:
    """One config.json of several files signs docker and skopeo in to each app, without any helper."""
    holder = holder_of(files_of(stack, apps, 9), short, engine, daemon)
    holder.run("authsvc-license", "login", "--undo", stack.name, check=True)
    files = [f"{at}.license.json" for at in range(9)]
    config = short / "ci/config.json"
    config.parent.mkdir()
    config.write_text(holder.run("authsvc-license", "docker-config", *files, check=True).out)

    for name in APPS:
        image = f"{stack.name}/{apps[name]}/worker:1"
        assert 0 == (ran := holder.run("docker", "--config", str(config.parent), "pull", image)).code, ran
        arguments = ("--tls-verify=false", "--authfile", str(config), f"docker://{image}")
        assert 0 == (ran := holder.run("skopeo", "inspect", *arguments)).code, ran


def test_a_revoked_license_alone_is_told(
    stack: Stack, apps: dict[str, str], engine: DockerEngine, daemon: Containerd, short: Path
) -> None:
    """Beside a good license of another app the revoked one's own message reaches docker and podman."""
    good, revoked = make_license(stack, apps["one"]), make_license(stack, apps["two"], "--contact", "sales@two.test")
    stack.authsvc("license", "revoke", revoked.id)
    holder = holder_of([good, revoked], short, engine, daemon)
    image = f"{stack.name}/{apps['two']}/worker:1"

    for pull in (Holder.docker, Holder.podman):
        ran = pull(holder, image)
        assert 0 != ran.code
        assert f"license {revoked.id} of Globex was revoked on " in ran.err
        assert "contact sales@two.test" in ran.err
