"""A Docker Engine with networks, in a network namespace of its own, and Compose beside it.

In the machine's own namespace two engines would undo each other's bridges and rules, and a published port would be
everybody's. Here the only thing that the machine sees is one veth pair, through which a build reaches packages.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import Factory, frozen

from tests.compose import stand_ins
from tests.support.daemon import daemon
from tests.support.docker_engine import DockerEngine
from tests.support.stack import GOOD_PATH, Ran, run, short_folder
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / ".cache/trixie/docker-compose/usr/libexec/docker/cli-plugins/docker-compose"
PINNED = re.compile(r"\$\{(AUTHSVC_\w+_IMAGE):-([^@}\s]+)@(sha256:[0-9a-f]{64})\}")
"""An image of others in compose.yaml: the variable that names another one, the tag, and the digest."""

UP = 600.0
"""Seconds for the longest compose command: a build and a start."""


def base_images() -> dict[str, str]:
    """Return the images of others that compose.yaml needs, by the variable of each, without their digests.

    Nobody can make a stand-in with the digest of the real image, so tests name the stand-ins by these variables.
    """
    return {variable: tag for variable, tag, _ in PINNED.findall((ROOT / "compose.yaml").read_text())}


def own_image() -> str:
    """Return the name of our image unless AUTHSVC_IMAGE names another."""
    (name,) = set(
        re.findall(r"^  image: \$\{AUTHSVC_IMAGE:-(\S+)\}$", (ROOT / "compose.yaml").read_text(), re.MULTILINE)
    )
    return str(name)


@frozen
class ComposeEngine(DockerEngine):
    """A running daemon with Compose.

    Attributes:
        namespace: name of its network namespace.
    """

    namespace: str

    @property
    def machine(self) -> str:
        """The address under which its containers reach this machine."""
        return _address(1)

    def inside(self, *command: str, stdin: str = "", seconds: float = PATIENCE) -> Ran:
        """Run a command of this machine in the engine's network: what a person on that host would see."""
        argv = ("nsenter", f"--net=/run/netns/{self.namespace}", *command)
        return run(*argv, environ=self.environ, cwd=self.folder, stdin=stdin, seconds=seconds)

    def starts_inside(self, *command: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        """Start a command in the engine's network; the caller talks to it and waits for its end."""
        argv = ("nsenter", f"--net=/run/netns/{self.namespace}", *command)
        return subprocess.Popen(
            argv, env=self.environ, cwd=cwd or self.folder, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def make_stand_in(self, image: str) -> None:
        """Make a base image under its real name."""
        stand_ins.make(("docker", "--host", self.environ["DOCKER_HOST"]), image)


@frozen
class Project:
    """compose.yaml as it is, on an engine, with stand-ins for the images of others.

    Attributes:
        engine: where it runs.
        settings: what an operator would write into .env.
    """

    engine: ComposeEngine
    settings: Mapping[str, str] = Factory(dict)

    @property
    def environ(self) -> dict[str, str]:
        """What a command is run with."""
        return {**self.engine.environ, **base_images(), **self.settings}

    def compose(self, *arguments: str, stdin: str = "", check: bool = True, seconds: float = UP) -> Ran:
        """Run ``docker compose`` in the repository's folder."""
        return run(
            *("docker", "compose", "--progress", "plain", *arguments),
            environ=self.environ,
            cwd=ROOT,
            stdin=stdin,
            seconds=seconds,
            check=check,
        )

    def up(self, *arguments: str) -> Ran:
        """Start everything and wait until it is well; the containers' own words when it is not."""
        ran = self.compose("up", "--detach", "--wait", *arguments, check=False)
        assert ran.code == 0, (ran.said[-3000:], self.compose("logs", "--tail", "20", check=False).out[-6000:])
        return ran

    def authsvc(self, *arguments: str, stdin: str = "") -> str:
        """Run the command line in the authsvc container, as the documentation says; return what it printed."""
        return self.compose("exec", "-T", "authsvc", "authsvc", *arguments, stdin=stdin).out

    def with_settings(self, **settings: str) -> "Project":
        """Return the same project with other settings."""
        return Project(self.engine, {**self.settings, **settings})

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        (container,) = self.compose("ps", "--all", "--quiet", service).out.split()
        return container


@contextmanager
def compose_engine() -> Iterator[ComposeEngine]:
    """Run ``dockerd`` in a new network namespace for the length of a block; needs root."""
    assert os.geteuid() == 0, "dockerd needs root"
    assert COMPOSE.is_file(), "Compose is not unpacked: make test-system does that"
    dockerd = shutil.which("dockerd", path=GOOD_PATH)
    assert dockerd is not None, "dockerd is not installed: make test-system does that"
    with short_folder() as folder, _namespace() as namespace:
        engine = ComposeEngine(folder, namespace)
        plugins = Path(engine.environ["DOCKER_CONFIG"]) / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(COMPOSE)
        places = ("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid")
        # Not `ip netns exec`: that hides the control groups.
        entered = ("nsenter", f"--net=/run/netns/{namespace}")
        command = (*entered, dockerd, *places, "-H", f"unix://{folder}/sock")
        with daemon(command, folder, engine.environ, lambda: engine.docker("version").code == 0):
            yield engine


def _address(number: int) -> str:
    """Return an address of this machine (1) or the engine (2) for each other."""
    # 198.18.0.0/15 is for tests of networks (RFC 2544 §C.2.2).
    return f"198.19.{os.getpid() % 256}.{number}"


@contextmanager
def _namespace() -> Iterator[str]:
    """Make a network namespace that reaches what this machine reaches."""
    name = f"asv{os.getpid()}"
    ours, theirs = _address(1), _address(2)
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    was_forwarding = forwarding.read_text()
    rules = (
        ("nat", "POSTROUTING", "-s", f"{theirs}/32", "-j", "MASQUERADE"),
        ("filter", "FORWARD", "-i", name, "-j", "ACCEPT"),
        ("filter", "FORWARD", "-o", name, "-j", "ACCEPT"),
    )
    _must("ip", "netns", "add", name)
    try:
        _must("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _must("ip", "addr", "add", f"{ours}/30", "dev", name)
        _must("ip", "link", "set", name, "up")
        _must("ip", "-n", name, "link", "set", "lo", "up")
        _must("ip", "-n", name, "addr", "add", f"{theirs}/30", "dev", "eth0")
        _must("ip", "-n", name, "link", "set", "eth0", "up")
        _must("ip", "-n", name, "route", "add", "default", "via", ours)
        for table, chain, *rule in rules:
            _must("iptables", "-w", "-t", table, "-I", chain, *rule)
        forwarding.write_text("1\n")
        yield name
    finally:
        forwarding.write_text(was_forwarding)
        for table, chain, *rule in rules:
            _run(("iptables", "-w", "-t", table, "-D", chain, *rule))
        _run(("ip", "link", "del", name))
        _run(("ip", "netns", "del", name))


def _must(*command: str) -> None:
    done = _run(command)
    assert done.returncode == 0, (command, done.stderr)


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "PATH": GOOD_PATH}
    )
