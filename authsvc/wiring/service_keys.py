"""Chooses how license files are signed and secrets sealed: with the key files, or by the key service."""

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
    """Return the signer of license files and sealer of secrets: the key files if readable, else the key service.

    A command of the operator runs where the files are; one in the server's container of compose.yaml does not.
    """
    if settings.key_socket is None or os.access(settings.keys_dir / LICENSE_SIGNING_KEY, os.R_OK):
        return LocalKeys(settings.keys_dir)
    return KeyServiceClient.at(settings.key_socket)


def key_rotator(settings: Settings) -> LocalKeys | KeyServiceClient:
    """Return the rotator of the service keys: the key service if it has a socket for that, else the files."""
    if settings.key_admin_socket is None:
        return LocalKeys(settings.keys_dir)
    return KeyServiceClient.at(settings.key_admin_socket)
