"""The roots that a worker verifies registry tokens with, while they change under it."""

from pathlib import Path

from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE
from authsvc.keys.rotation import drop_old_roots, prepare_root, switch_root
from authsvc.keys.secrets_dir import create_missing
from authsvc.keys.trusted_roots import TrustedRoots
from tests.support.builders import NOW


def test_they_follow_a_change(tmp_path: Path) -> None:
    """Both roots count from the preparation on, and the old one no longer once it is dropped."""
    tmp_path.chmod(0o700)
    create_missing(tmp_path, NOW)
    roots = TrustedRoots(tmp_path)
    (old,) = roots.current()

    new = prepare_root(tmp_path, NOW)
    assert roots.current() == (old, new)
    switch_root(tmp_path)
    assert roots.current() == (old, new)
    drop_old_roots(tmp_path)
    assert roots.current() == (new,)


def test_an_unreadable_file_changes_nothing(tmp_path: Path) -> None:
    """What was read last is trusted while the file is missing or damaged; before that, nothing is."""
    tmp_path.chmod(0o700)
    assert TrustedRoots(tmp_path).current() == ()
    create_missing(tmp_path, NOW)
    roots = TrustedRoots(tmp_path)
    before = roots.current()

    path = tmp_path / TOKEN_ROOT_CERTIFICATE
    path.write_text("nonsense")
    assert roots.current() == before
    path.unlink()
    assert roots.current() == before
