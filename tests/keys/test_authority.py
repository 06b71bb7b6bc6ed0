"""Leaves of a root that is kept offline: issued for a request, and loaded from files."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authsvc.errors import InputRefused, SecretsRefused
from authsvc.keys.authority import issue_offline, load_leaf_files
from authsvc.keys.files import public_pem, replace
from tests.keys.test_rotation import taken_over
from tests.support.builders import NOW, Root


def test_issue_makes_a_leaf_for_the_life_that_was_asked() -> None:
    """From now for the asked time, backdated as every leaf, and no CA."""
    root, key = Root.make(), ec.generate_private_key(ec.SECP256R1())
    leaf = issue_offline(root.certificate, root.key, public_pem(key.public_key()), NOW, timedelta(days=30))
    leaf.verify_directly_issued_by(root.certificate)
    assert (NOW + timedelta(days=30), key.public_key()) == (leaf.not_valid_after_utc, leaf.public_key())


def test_issue_refuses_a_leaf_beyond_the_root() -> None:
    """A certificate that outlives its root would end in silence with it."""
    root, key = Root.make(), ec.generate_private_key(ec.SECP256R1())
    late = root.certificate.not_valid_after_utc - timedelta(days=1)
    with pytest.raises(InputRefused, match="before the leaf would"):
        issue_offline(root.certificate, root.key, public_pem(key.public_key()), late, timedelta(days=30))


def test_issue_refuses_a_leaf_without_a_life() -> None:
    """Nothing could ever be signed with it."""
    root, key = Root.make(), ec.generate_private_key(ec.SECP256R1())
    begin = root.certificate.not_valid_before_utc + timedelta(days=1)
    with pytest.raises(InputRefused, match="would end at once"):
        issue_offline(root.certificate, root.key, public_pem(key.public_key()), begin, timedelta())


def test_a_leaf_key_may_lie_in_an_open_directory(tmp_path: Path) -> None:
    """The key of a leaf is checked by itself: its directory is the operator's choice."""
    root = Root.make()
    leaf = root.leaf(NOW, timedelta(days=1))
    key, certificate = tmp_path / "leaf.key", tmp_path / "leaf.crt"
    replace(key, leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate.write_bytes(leaf.certificate.public_bytes(Encoding.PEM))
    tmp_path.chmod(0o755)
    assert load_leaf_files(key, certificate, [root.certificate]).certificate == leaf.certificate
    taken_over(key)
    with pytest.raises(SecretsRefused):
        load_leaf_files(key, certificate, [root.certificate])
