"""A real containerd in a folder of its own, and ``ctr`` against it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.support.daemon import daemon
from tests.support.stack import GOOD_PATH, Ran, run, short_folder

CONFIG = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/sock"
[ttrpc]
  address = "{folder}/ttrpc"
[debug]
  address = "{folder}/debug"
"""


@frozen
class Containerd:
    """A running daemon.

    Attributes:
        folder: everything of it.
    """

    folder: Path

    def ctr(self, *arguments: str, check: bool = False) -> Ran:
        """Run one command against it."""
        environ = {"PATH": GOOD_PATH, "HOME": str(self.folder), "LANG": "C.UTF-8"}
        address = ("--address", f"{self.folder}/sock")
        return run("ctr", *address, *arguments, environ=environ, cwd=self.folder, check=check)


@contextmanager
def containerd() -> Iterator[Containerd]:
    """Run ``containerd`` for the length of a block; needs root. It unpacks without mounting anything."""
    with short_folder() as folder:
        client = Containerd(folder)
        program = shutil.which("containerd", path=GOOD_PATH)
        assert program is not None, "containerd is not installed: make test-system does that"
        (folder / "config.toml").write_text(CONFIG.format(folder=folder))
        command = (program, "--config", str(folder / "config.toml"))
        with daemon(command, folder, {"PATH": GOOD_PATH, "HOME": str(folder)}, lambda: client.ctr("version").code == 0):
            yield client
