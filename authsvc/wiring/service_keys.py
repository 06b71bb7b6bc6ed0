"""Who signs license files and seals secrets: the key files, or the key service that has them."""

import os
from typing import Protocol

from authsvc.keys.client import KeyServiceClient
from authsvc.keys.file_names import LICENSE_SIGNING_KEY
from authsvc.keys.service_keys import LocalKeys
from authsvc.manage.license_signer import LicenseSigner
from authsvc.manage.secret_sealer import SecretSealer
from authsvc.settings import Settings


class ServiceKeys(LicenseSigner, SecretSealer, Protocol):
    """Signs license files and seals secrets."""


def license_signer(settings: Settings) -> LocalKeys | KeyServiceClient:
    """Return who signs license files and seals secrets: the key files where they can be read, else the key service.

    A command of the operator runs where the files are; one in the server's container of compose.yaml does not.
    """
    if settings.key_socket is None or os.access(settings.keys_dir / LICENSE_SIGNING_KEY, os.R_OK):
        return LocalKeys(settings.keys_dir)
    return KeyServiceClient.at(settings.key_socket)


def key_rotator(settings: Settings) -> LocalKeys | KeyServiceClient:
    """Return who changes the keys of the key service: it itself when it has a socket for that, else the files."""
    if settings.key_admin_socket is None:
        return LocalKeys(settings.keys_dir)
    return KeyServiceClient.at(settings.key_admin_socket)
