"""What a killed run left behind."""

import os
import signal
import subprocess

import pytest

from authsvc.processes import stale_processes
from authsvc.processes.stale_processes import clear, members
from authsvc.setup.layout import Layout
from tests.support.waiting import PATIENCE


def start(layout: Layout, *, inside: bool) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, in the data directory or elsewhere."""
    folder = layout.run if inside else "/"
    return subprocess.Popen(["sleep", "60"], cwd=folder, start_new_session=True)


async def test_a_recorded_child_is_ended(layout: Layout) -> None:
    """A process of an earlier run that still works in the directory is ended."""
    with start(layout, inside=True) as process:
        (layout.run / "redis.pid").write_text(f"{process.pid}\n")
        assert members({process.pid}, layout.root) == [process.pid]

        await clear(layout.root, layout.run, (layout.edge_address, layout.inside_address))

        assert process.wait(timeout=PATIENCE) < 0
    assert not (layout.run / "redis.pid").exists()


async def test_a_stubborn_group_is_killed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers whose master is gone are found by their group, and killed when asking does not help."""
    code = "trap '' TERM; sleep 60 & echo up; while :; do sleep 0.1; done"
    with subprocess.Popen(
        ["sh", "-c", code], cwd=layout.run, start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        (layout.run / "nginx.pid").write_text(str(process.pid))
        monkeypatch.setattr(stale_processes, "_LADDER", ((signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0)))

        await clear(layout.root, layout.run, (layout.edge_address, layout.inside_address))

        assert process.wait(timeout=PATIENCE) == -signal.SIGKILL
        assert members({process.pid}, layout.root) == []


async def test_a_reused_process_id_is_left_alone(layout: Layout) -> None:
    """Somebody else's process under a recorded id lives on, and so does a shell that stands in the directory."""
    with start(layout, inside=False) as stranger, start(layout, inside=True) as shell:
        (layout.run / "redis.pid").write_text(f"{stranger.pid}\n")

        await clear(layout.root, layout.run, (layout.edge_address, layout.inside_address))

        assert stranger.poll() is None
        assert shell.poll() is None
        stranger.kill()
        shell.kill()


async def test_stale_files_are_removed(layout: Layout) -> None:
    """Sockets, process ids (damaged ones too) and addresses go; the lock and everything else stays."""
    for name in ("redis.sock", "registry.sock", "nginx.pid", "edge-address", "inside-address", "lock"):
        (layout.run / name).write_text("garbage")
    (layout.run / "serve.pid").write_text(str(os.getpid()))
    (layout.run / "own.pid").write_text("-1")

    await clear(layout.root, layout.run, (layout.edge_address, layout.inside_address))

    assert [path.name for path in layout.run.iterdir()] == ["lock"]
