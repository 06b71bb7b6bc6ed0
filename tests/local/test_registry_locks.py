"""The two locks: they exclude each other, and end with their process."""

import os
import subprocess
import sys
from pathlib import Path

from authsvc.local.registry_locks import hold_alone, is_held_alone, shared
from tests.support.waiting import PATIENCE


def test_a_lock_is_shared_or_held_alone(tmp_path: Path) -> None:
    """Never both; when nobody holds it, anyone may."""
    path = tmp_path / "lock"
    with shared(path) as one, shared(path) as other:
        assert None not in {one, other}
        assert hold_alone(path) is None
        assert not is_held_alone(path)
    alone = hold_alone(path)
    assert alone is not None
    with shared(path) as refused:
        assert refused is None
    assert hold_alone(path) is None
    assert is_held_alone(path)
    os.close(alone)
    assert not is_held_alone(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_process_keeps_the_share_that_it_inherits(tmp_path: Path) -> None:
    """It ends with the process, and not before."""
    path = tmp_path / "lock"
    with shared(path) as descriptor:
        assert descriptor is not None
        process = subprocess.Popen((sys.executable, "-c", "input()"), stdin=subprocess.PIPE, pass_fds=(descriptor,))
    with process:
        assert hold_alone(path) is None
        process.kill()
        process.wait(PATIENCE)

    alone = hold_alone(path)
    assert alone is not None
    os.close(alone)
