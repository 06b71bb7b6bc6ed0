"""redis.sh, run by this machine's shell with a real Redis: it begins anew for another configuration, and only then."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.compose.engine import ROOT
from tests.support.stack import GOOD_PATH, run, short_folder
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a container's folders: `etc` with what init writes, and `data`."""
    with short_folder() as made:
        for name in ("etc", "data"):
            (made / name).mkdir()
        script = (ROOT / "registry-config/redis.sh").read_text().replace("/etc/authsvc", f"{made}/etc")
        (made / "etc/redis.sh").write_text(script.replace("/data/", f"{made}/data/"))
        (made / "etc/follow.sh").write_text((ROOT / "registry-config/follow.sh").read_text())
        yield made


def render(folder: Path, limit: int) -> None:
    """Write a configuration with its rendering, which comes last."""
    lines = ("port 0", f"unixsocket {folder}/socket", f"dir {folder}/data", f"lua-time-limit {limit}")
    (folder / "etc/redis.conf").write_text("\n".join((*lines, "")))
    (folder / "etc/.new").write_text(f"settings\n{limit}\n")
    (folder / "etc/.new").replace(folder / "etc/rendering")


def asked(folder: Path) -> list[str]:
    """Return the limit that counts and the option of the command line; empty while Redis does not answer."""
    command = ("redis-cli", "-s", f"{folder}/socket", "config", "get")
    environ = {"PATH": GOOD_PATH}
    answers = [run(*command, name, environ=environ, cwd=folder).out for name in ("lua-time-limit", "maxmemory")]
    return [word for answer in answers for word in answer.split()[1:2]]


def test_another_configuration_is_taken_up_in_the_same_container(folder: Path) -> None:
    """The first process stays, with its options, and SIGTERM ends it as it ends Redis."""
    render(folder, 500)
    command = ["sh", f"{folder}/etc/redis.sh", "primary", "--maxmemory", "104857600"]
    environ = {"PATH": GOOD_PATH}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            until(lambda: asked(folder) == ["500", "104857600"], "Redis runs")
            for limit in (501, 502):
                render(folder, limit)
                until(lambda: asked(folder) == [str(limit), "104857600"], "the other configuration counts")  # noqa: B023
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            assert asked(folder) == [], "Redis has ended before"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
