"""``docker compose up --build`` on a fresh host, without an edit, and what an operator does to it afterwards."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from authsvc.keys.file_names import LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY, TOKEN_ROOT_KEY
from tests.compose.engine import ComposeEngine, Project, own_image
from tests.compose.page import commands, typed
from tests.compose.story import Shop, open_shop
from tests.support.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # the first one has an engine made, and the image

SERVICES = ("init", "redis", "registry", "authsvc", "nginx")

EARLIER = """
cd /keys && rm -f sealing.key .changing /secrets/license-signing.key.pem && ls
mv * /secrets/ && chown 10001:10001 /secrets/*
"""
"""Puts the keys where an earlier version has them, and prints their names."""

SCAN = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor

hosts = sys.argv[1].split(",")
ports = list(map(int, sys.argv[2].split(","))) if sys.argv[2] != "all" else range(1, 65536)

def look(host, some):
    found = []
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return [host + ": no such name"]
    for port in some:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex((address, port)) == 0:
                found.append(f"{host}:{port}")
    return found

with ThreadPoolExecutor(32) as pool:
    parts = [pool.submit(look, host, ports[n::8]) for host in hosts for n in range(min(8, len(ports)))]
    print("\\n".join(sorted({line for part in parts for line in part.result()})))
"""


@pytest.fixture(scope="module")
def shop(project: Project) -> Shop:
    """Return a shop on the project's first start."""
    project.up("--build")
    return open_shop(project, "localhost:5000")


def inspect(project: Project, service: str) -> dict[str, Any]:
    """Return what the engine knows of a service's container."""
    found = project.engine.docker("inspect", project.container(service), check=True).out
    facts: dict[str, Any] = json.loads(found)[0]
    return facts


def address_inside(project: Project, service: str) -> str:
    """Return a service's address on the network that it shares with nginx."""
    address: str = inspect(project, service)["NetworkSettings"]["Networks"]["authsvc_inside"]["IPAddress"]
    return address


def python_image(engine: ComposeEngine) -> str:
    """Return an image to run a stranger's container on."""
    return engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "python", check=True).out.split()[0]


def scan(engine: ComposeEngine, network: str, hosts: list[str], ports: str) -> list[str]:
    """Return the open ones of ``ports`` as a container on ``network`` sees them."""
    arguments = ("run", "--rm", "--network", network, python_image(engine), "python3", "-c", SCAN)
    return engine.docker(*arguments, ",".join(hosts), ports, check=True).out.strip().splitlines()


def test_the_story(shop: Shop) -> None:
    """A license pulls its own app's image, nothing else, and after its revocation nothing at all, with the reason."""
    assert shop.pull().code == 0
    assert "denied" in shop.push(f"{shop.name}/myapp/worker:evil").said
    assert "denied" in shop.pull(f"{shop.name}/otherapp/api:1").said

    shop.project.authsvc("license", "revoke", shop.license_id)
    refused = shop.pull()
    shop.project.authsvc("license", "reinstate", shop.license_id)

    assert refused.code != 0
    assert re.search(r"license \S+ of Globex was revoked on .*contact sales@acme\.test", refused.said)
    shop.still_sells()


def test_the_registry_sends_its_events(shop: Shop) -> None:
    """What is pushed and pulled reaches authsvc over the network of the containers; none is refused or unreadable."""

    def counted() -> dict[str, float]:
        ask = "import urllib.request as r; print(r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8081/metrics').read().decode())"
        text = shop.project.compose("exec", "-T", "authsvc", "python3", "-c", ask).out
        found = re.findall(r'^authsvc_registry_\w+_total\{\w+="(\w+)"\} ([0-9.]+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    before = counted()["accepted"]
    assert before, "the pushes of the story"
    shop.still_sells()
    until(lambda: counted()["accepted"] > before, "the pull is recorded")
    now = counted()
    assert (now["unusable"], now["dropped"], now["unauthorized"]) == (0, 0, 0)


def test_every_container_is_confined(shop: Shop) -> None:
    """No root, no writable root file system, no capability, no new privileges, limits, rotated logs, pinned images."""
    for service in (*SERVICES, "key-service"):
        facts = inspect(shop.project, service)
        host = facts["HostConfig"]
        assert facts["Config"]["User"] == ("10002:10001" if service == "key-service" else "10001:10001"), service
        assert host["ReadonlyRootfs"], service
        assert [*host["CapDrop"]] == ["ALL"], service
        assert not host["CapAdd"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"], service
        assert host["PidsLimit"], service
        assert not host["Privileged"], service
        assert host["RestartPolicy"]["Name"] == ("no" if service == "init" else "unless-stopped"), service
        assert host["LogConfig"]["Config"]["max-size"], service
        assert re.search(r":\d+\.\d+\.\d+", facts["Config"]["Image"]), service
        bound = [mount for mount in facts["Mounts"] if mount["Type"] != "volume"]
        assert not bound, service


def test_no_secret_in_an_environment_or_a_command(shop: Shop) -> None:
    """What the engine shows of a container opens nothing: secrets are files."""
    secrets = [
        *shop.project.compose("exec", "-T", "authsvc", "sh", "-c", "cat /var/lib/authsvc/secrets/*.secret").out.split(),
        *shop.project.compose("exec", "-T", "key-service", "sh", "-c", "cat /var/lib/authsvc/keys/*.key").out.split(),
    ]
    configured = re.findall(
        r"//authsvc:(\w+)@", shop.project.compose("exec", "-T", "authsvc", "cat", "/etc/authsvc/authsvc.toml").out
    )
    assert configured
    for service in SERVICES:
        shown = json.dumps(inspect(shop.project, service)["Config"])
        assert not [secret for secret in (*secrets, *configured) if secret in shown], service


def test_only_authsvc_sees_the_keys(shop: Shop) -> None:
    """The volume of the keys is in no other container, and not writable in that one."""
    for service in ("redis", "registry", "nginx"):
        assert "secrets" not in json.dumps(inspect(shop.project, service)["Mounts"]), service
    (keys,) = [mount for mount in inspect(shop.project, "authsvc")["Mounts"] if "secrets" in mount["Destination"]]
    assert not keys["RW"]


def test_only_the_key_service_sees_its_keys(shop: Shop) -> None:
    """Their volume is in its container alone, and the socket that changes keys is not in authsvc's."""
    for service in SERVICES:
        mounts = [mount["Destination"] for mount in inspect(shop.project, service)["Mounts"]]
        assert "/var/lib/authsvc/keys" not in mounts, service
        assert ("/var/lib/authsvc/key-admin" in mounts) == (service == "init"), service
    # What is left in the place of the license-signing key is a link that leads nowhere here.
    files = "cd /var/lib/authsvc/secrets && for file in *; do [ ! -f $file ] || echo $file; done"
    found = set(shop.project.compose("exec", "-T", "authsvc", "sh", "-c", files).out.split())
    assert TOKEN_ROOT_KEY in found
    assert not {LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY} & found
    assert inspect(shop.project, "key-service")["HostConfig"]["NetworkMode"] == "none"


def test_the_status_has_a_line_for_each_container(shop: Shop) -> None:
    """All of them are well, their disks are seen, and one that hangs is named."""
    parts = {part["name"]: part for part in json.loads(shop.project.authsvc("status", "--json"))["parts"]}
    assert {part["state"] for part in parts.values()} <= {"ok", "warning"}, parts
    up = ("registry", "nginx", "key service")
    assert [parts[name]["detail"] for name in up] == ["up"] * 3
    assert "free (/var/lib/registry)" in parts["disk of images"]["detail"]
    shop.project.compose("pause", "registry")
    try:
        ran = shop.project.compose("exec", "-T", "authsvc", "authsvc", "status", check=False)
    finally:
        shop.project.compose("unpause", "registry")
    (failed,) = [line for line in ran.out.splitlines() if line.startswith("failed")]
    assert (ran.code, failed.split()[1]) == (1, "registry")


def test_without_the_key_service_pulls_go_on(shop: Shop) -> None:
    """What needs its keys is refused with a sentence, and works again when it is back."""
    create = ("exec", "-T", "authsvc", "authsvc", "license", "create", "--app", "myapp", "--customer", "Initech")
    terms = ("--expires", "2031-01-31", "--output", "-")
    shop.project.compose("stop", "key-service")
    refused = shop.project.compose(*create, *terms, check=False)
    shop.still_sells()
    shop.project.compose("start", "key-service")

    assert (1, True) == (refused.code, "keys cannot be used now" in refused.said), refused
    until(lambda: shop.project.compose(*create, *terms, check=False).code == 0, "a license is made")


def test_an_installation_of_an_earlier_version_is_upgraded(shop: Shop) -> None:
    """All keys are in one volume there; `up` moves them, and the license of before logs in and is downloaded again."""
    before = shop.project.authsvc("license", "download", shop.license_id, "--output", "-")
    moved = shop.project.engine.docker(
        *("run", "--rm", "--user", "0", "--volume", "authsvc_keys:/keys", "--volume", "authsvc_secrets:/secrets"),
        *(python_image(shop.project.engine), "sh", "-c", EARLIER),
        check=True,
    )
    shop.project.compose("down")
    shop.project.up()
    after = shop.project.authsvc("license", "download", shop.license_id, "--output", "-")

    assert moved.out.split() == sorted([LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY])
    assert LICENSE_SIGNING_KEY in shop.project.compose("logs", "init").out
    assert json.loads(before)["license"] == json.loads(after)["license"]
    shop.still_sells()
    test_only_the_key_service_sees_its_keys(shop)


def test_the_image_is_small_and_compiles_nothing(shop: Shop) -> None:
    """Neither a compiler nor pip is in our image, and its own files stay below 150 MB."""
    found = shop.project.compose("exec", "-T", "authsvc", "sh", "-c", "command -v cc gcc pip pip3; true").out
    size = int(shop.project.engine.docker("image", "inspect", "--format", "{{.Size}}", own_image(), check=True).out)

    assert found == ""
    assert size < 150e6


def test_only_the_edge_answers(shop: Shop) -> None:
    """Of all ports, a stranger's container finds the edge's one; on the host only that one is published."""
    engine = shop.project.engine
    addresses = [
        network["IPAddress"]
        for service in SERVICES[1:]
        for network in inspect(shop.project, service)["NetworkSettings"]["Networks"].values()
    ]
    inner = "80,443,5000,5001,5002,6379,8080,8081,26379"
    listening = engine.inside("ss", "-Hltn").out.split("\n")[:-1]
    published = {line.split()[3] for line in listening if "127.0.0.11" not in line}

    assert len(addresses) == 7
    # On any network of the engine's but ours.
    assert scan(engine, "bridge", addresses, inner) == []
    # Beside nginx on the network of the published port: all of its ports, and no name of anybody else.
    assert scan(engine, "authsvc_outside", ["nginx"], "all") == ["nginx:5000"]
    beside = scan(engine, "authsvc_outside", ["authsvc", "redis", "registry"], "5000")
    assert beside == [f"{name}: no such name" for name in ("authsvc", "redis", "registry")]
    # On the network that is authsvc's way out there is nobody but authsvc.
    way_out = scan(engine, "authsvc_upstreams", ["nginx", "redis", "registry"], "5000,6379")
    assert way_out == [f"{name}: no such name" for name in ("nginx", "redis", "registry")]
    assert published == {"127.0.0.1:5000"}


def test_inside_nothing_is_open_that_nobody_needs(shop: Shop) -> None:
    """A captured nginx finds no redis, and nobody reaches redis without a password beyond a ping."""
    found = scan(shop.project.engine, "authsvc_inside", ["redis"], "6379")
    asked = shop.project.compose("exec", "-T", "redis", "redis-cli", "info", check=False).said
    probe = ("redis-cli", "--no-auth-warning", "--user", "probe", "--pass", "-")
    denied = shop.project.compose("exec", "-T", "redis", *probe, "get", "authsvc:teams", check=False).said

    assert found == ["redis: no such name"]
    assert "NOAUTH" in asked
    assert "NOPERM" in denied


@pytest.mark.parametrize("services", [["redis"], ["registry"], ["authsvc"], ["nginx"], []])
def test_a_restart_loses_nothing(shop: Shop, services: list[str]) -> None:
    """After the restart of a service, and of all of them, the same license pulls."""
    shop.project.compose("restart", *services)

    until(lambda: shop.pull().code == 0, "a pull")


@pytest.mark.parametrize("service", ["registry", "authsvc"])
def test_a_container_made_anew_is_found(shop: Shop, service: str) -> None:
    """Nginx follows a service to its new address without a restart."""
    engine, before = shop.project.engine, shop.project.container("nginx")
    address = address_inside(shop.project, service)
    shop.project.compose("rm", "--stop", "--force", service)
    # The engine gives the lowest free addresses, so that somebody else has the old one now.
    squatter = ("run", "--detach", "--network", "authsvc_inside", python_image(engine), "sleep", "60")
    squatters = [engine.docker(*squatter, check=True).out.strip() for _ in range(3)]
    shop.project.compose("up", "--detach", "--no-deps", "--wait", service)
    moved = address_inside(shop.project, service)
    until(lambda: shop.pull().code == 0, "a pull")
    engine.docker("rm", "--force", *squatters, check=True)

    assert moved != address
    assert shop.project.container("nginx") == before


def test_a_killed_service_comes_back(shop: Shop) -> None:
    """A process that dies is started again by the engine."""
    shop.project.engine.docker("exec", shop.project.container("authsvc"), "sh", "-c", "kill -KILL -1", check=False)

    until(lambda: shop.pull().code == 0, "a pull")


def test_down_and_up_keeps_everything(shop: Shop) -> None:
    """Containers and networks go, volumes stay, and `init` finds nothing to do."""
    shop.project.compose("down")
    shop.project.up()

    assert "nothing to do" in shop.project.compose("logs", "init").out
    shop.still_sells()


HASHES = """
import hashlib, os
for folder, _, names in sorted(os.walk("/var/lib/authsvc")):
    print(folder, oct(os.stat(folder).st_mode))
    for name in sorted(names):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            print(path, oct(os.stat(path).st_mode), hashlib.sha256(open(path, "rb").read()).hexdigest())
"""


def volumes_of_init(shop: Shop) -> str:
    """Return names, modes and hashes of all files in the volumes that `init` writes to."""
    of = shop.project.engine.docker("ps", "--all", "--quiet", "--filter", "label=com.docker.compose.service=init").out
    ran = ("run", "--rm", "--volumes-from", of.split()[0], "--user", "0", python_image(shop.project.engine))
    return shop.project.engine.docker(*ran, "python3", "-c", HASHES, check=True).out


def test_a_check_writes_nothing(shop: Shop) -> None:
    """What deploy.md calls a trial leaves every volume as it is, also with another .env, and finds mistakes."""
    before = volumes_of_init(shop)
    good = shop.project.with_settings(COMPOSE_PROFILES="sentinel").compose("run", "--rm", "-T", "init", "--check")
    bad = shop.project.with_settings(AUTHSVC_PULL_TOKEN_LIFE="5m")
    refused = bad.compose("run", "--rm", "-T", "init", "--check", check=False)

    assert "init would write" in good.said
    assert "redis/sentinel-1.conf" in good.said
    assert (2, True) == (refused.code, "AUTHSVC_PULL_TOKEN_LIFE must be a number of seconds" in refused.said)
    assert before == volumes_of_init(shop)


def test_what_init_renders_does_not_reach_what_runs(shop: Shop) -> None:
    """A profile that is not taken up: the command line goes on, and so do workers that are started again."""
    shop.project.with_settings(COMPOSE_PROFILES="sentinel").compose("run", "--rm", "-T", "init")
    try:
        assert "acme" in shop.project.authsvc("team", "list")
        shop.project.compose("exec", "-T", "authsvc", "authsvc", "reload")
        shop.still_sells()
    finally:
        shop.project.compose("run", "--rm", "-T", "init")


def test_reload_replaces_the_workers_and_keeps_the_restart_policy(shop: Shop) -> None:
    """Unlike a signal sent through the engine, after which it takes the container for one that was stopped by hand."""
    started = inspect(shop.project, "authsvc")["State"]["StartedAt"]
    said = json.loads(shop.project.compose("exec", "-T", "authsvc", "authsvc", "reload", "--json").out)
    assert (True, None) == (said["reloaded"], said["reason"])
    assert "roll.done" in shop.project.compose("logs", "authsvc").out
    assert started == inspect(shop.project, "authsvc")["State"]["StartedAt"]
    until(lambda: shop.pull().code == 0, "a pull")  # the test before had configurations rendered


def test_keys_are_changed_while_it_runs(shop: Shop) -> None:
    """What docs/deploy.md types: the server cannot write its keys, the service `keys` can, and pulls go on."""

    def keys(*arguments: str, code: int = 0) -> str:
        ran = shop.project.compose("run", "--rm", "-T", "keys", *arguments, check=False)
        assert ran.code == code, ran
        return ran.said

    def registry_reads_the_bundle() -> None:
        written = shop.project.compose("run", "--rm", "-T", "init", "--token-root").said
        assert "wrote registry/token-root.cert.pem" in written
        shop.project.compose("restart", "registry")
        until(lambda: shop.pull().code == 0, "a pull")

    refused = shop.project.compose("exec", "-T", "authsvc", "authsvc", "keys", "rotate", "--license", check=False)
    keys("rotate", "--license")
    keys("rotate", "--sealing")
    keys("rotate", "--root", "prepare")
    early = keys("rotate", "--root", "switch", code=1)
    shop.still_sells()
    registry_reads_the_bundle()
    keys("rotate", "--root", "switch")
    shop.still_sells()
    keys("rotate", "--root", "drop", "--force")
    registry_reads_the_bundle()
    shop.login_as_customer()
    shown = keys("show")

    assert "keys cannot be written here" in refused.said
    assert "docker compose run --rm keys" in refused.said
    assert "the registry does not accept the next root yet" in early
    assert len(re.findall(r"^[0-9a-f]{16} +in use ", shown, re.MULTILINE)) == 1
    assert " retired" in shown


def test_a_backup_restores_everything(shop: Shop, tmp_path: Path) -> None:
    """The commands of docs/deploy.md bring everything back, in place and onto an empty host.

    What was revoked after the backup stays revoked.
    """
    back_up = commands("## What to back up")
    restore, fresh_host = commands("## Restore")[:2]
    typed(shop.project, tmp_path, *back_up)
    shop.project.authsvc("license", "revoke", shop.license_id)
    typed(shop.project, tmp_path, restore)

    assert "was revoked on" in shop.pull().said
    shop.project.authsvc("license", "reinstate", shop.license_id)
    shop.still_sells()

    shop.project.compose("down", "--volumes")
    typed(shop.project, tmp_path, fresh_host)

    assert "was revoked on" in shop.pull().said
    shop.project.authsvc("license", "reinstate", shop.license_id)
    shop.still_sells()


def test_another_port(shop: Shop) -> None:
    """AUTHSVC_PORT moves the whole registry: port, realm and service."""
    moved = shop.project.with_settings(AUTHSVC_PORT="5001")
    moved.up()
    challenge = shop.project.engine.inside("curl", "-si", "http://localhost:5001/v2/").out
    there = Shop(moved, "localhost:5001", shop.license_file)
    there.login_as_customer()
    there.still_sells()

    assert 'realm="http://localhost:5001/auth/token",service="localhost:5001"' in challenge
