"""What a command of the operator signs its questions to the registry with."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authsvc.errors import SecretsRefused
from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE, TOKEN_ROOT_KEY
from authsvc.keys.files import replace
from authsvc.keys.secrets_dir import create_missing
from authsvc.settings import Settings, load
from authsvc.wiring.keys import operator_leaf
from tests.support.builders import NOW, Root


def settings(directory: Path, **more: str) -> Settings:
    """Return settings with this secrets directory."""
    return load(
        {
            "AUTHSVC_SECRETS_DIR": str(directory),
            "AUTHSVC_PUBLIC_URL": "http://localhost:5000",
            "AUTHSVC_REDIS_URL": "unix:///nowhere",
            **more,
        }
    )


def test_a_leaf_of_the_root_that_is_here(tmp_path: Path) -> None:
    """It is new, lives for minutes, and is trusted by the registry."""
    create_missing(tmp_path / "s", NOW)
    first, second = (operator_leaf(settings(tmp_path / "s"), NOW) for _ in range(2))
    assert first.key.private_numbers() != second.key.private_numbers()
    assert NOW + timedelta(minutes=2) < first.not_after <= NOW + timedelta(minutes=10)


def test_a_root_that_is_kept_offline(tmp_path: Path) -> None:
    """The leaf that was issued to the server is used; without one the sentence says what is missing."""
    directory, root = tmp_path / "s", Root.make()
    create_missing(directory, NOW)
    (directory / TOKEN_ROOT_KEY).unlink()
    replace(directory / TOKEN_ROOT_CERTIFICATE, root.certificate.public_bytes(Encoding.PEM))
    with pytest.raises(SecretsRefused, match="kept offline and AUTHSVC_LEAF_KEY"):
        operator_leaf(settings(directory), NOW)

    leaf = root.leaf(NOW, timedelta(days=1))
    replace(tmp_path / "leaf.key", leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "leaf.crt").write_bytes(leaf.certificate.public_bytes(Encoding.PEM))
    issued = settings(
        directory,
        AUTHSVC_LEAF_KEY=str(tmp_path / "leaf.key"),
        AUTHSVC_LEAF_CERTIFICATE=str(tmp_path / "leaf.crt"),
    )
    assert operator_leaf(issued, NOW).certificate == leaf.certificate
