"""A real containerd in a folder of its own, and ``ctr`` against it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.support.stack import GOOD_PATH, Ran, run, short_folder
from tests.support.waiting import until

START, STOP, CALL = 60.0, 30.0, 60.0
"""Seconds for a start, an end and one command."""

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
        return run("ctr", *address, *arguments, environ=environ, cwd=self.folder, seconds=CALL, check=check)


@contextmanager
def containerd() -> Iterator[Containerd]:
    """Run ``containerd`` for the length of a block; needs root. It unpacks without mounting anything."""
    with short_folder() as folder:
        daemon = Containerd(folder)
        program = shutil.which("containerd", path=GOOD_PATH)
        assert program is not None, "containerd is not installed: make test-system does that"
        (folder / "config.toml").write_text(CONFIG.format(folder=folder))
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                (program, "--config", str(folder / "config.toml")),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={"PATH": GOOD_PATH, "HOME": str(folder)},
            )
        try:

            def answers() -> bool:
                assert process.poll() is None, log.read_text(errors="replace")[-4000:]
                return daemon.ctr("version").code == 0

            until(answers, "containerd answers", START)
            yield daemon
        finally:
            process.terminate()
            process.wait(STOP)
