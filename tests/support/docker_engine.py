"""A real Docker Engine on its own socket, with its own data, and a client with its own home."""

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.support.daemon import daemon
from tests.support.stack import GOOD_PATH, Ran, run, short_folder

CALL = 90.0
"""Seconds for one command."""


@frozen
class DockerEngine:
    """A running daemon.

    Attributes:
        folder: everything of it.
    """

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        """The environment in which ``docker`` talks to this daemon and keeps its logins to itself."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": GOOD_PATH,
            "HOME": str(home),
            "DOCKER_CONFIG": str(home / ".docker"),
            "DOCKER_HOST": f"unix://{self.folder}/sock",
            "LANG": "C.UTF-8",
        }

    def docker(self, *arguments: str, stdin: str | bytes = "", check: bool = False) -> Ran:
        """Run one docker command."""
        return run("docker", *arguments, environ=self.environ, cwd=self.folder, stdin=stdin, seconds=CALL, check=check)

    def make_image(self, name: str, content: bytes) -> None:
        """Make an image of one layer with one file."""
        self.docker("import", "-", name, stdin=tar_with("content", content), check=True)


def tar_with(name: str, content: bytes) -> bytes:
    """Return a tar archive of one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def docker_engine() -> Iterator[DockerEngine]:
    """Run ``dockerd`` for the length of a block; needs root. Networks of containers are of no use here."""
    assert os.geteuid() == 0, "dockerd needs root"
    with short_folder() as folder:
        engine = DockerEngine(folder)
        dockerd = shutil.which("dockerd", path=GOOD_PATH)
        assert dockerd is not None, "dockerd is not installed: make test-system does that"
        places = ("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid")
        offline = ("--bridge=none", "--iptables=false", "--ip6tables=false")
        command = (dockerd, *places, "-H", f"unix://{folder}/sock", *offline)
        with daemon(command, folder, engine.environ, lambda: engine.docker("version").code == 0):
            yield engine
