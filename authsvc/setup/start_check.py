"""Checks whether a server could start; used by ``serve``, ``up`` and ``init``."""

import os
from collections.abc import Mapping
from pathlib import Path

from authsvc.errors import SecretsRefused
from authsvc.keys.authority import Authority, load_authority, load_leaf_files
from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE, TOKEN_ROOT_KEY
from authsvc.keys.secrets_dir import check_present, load_roots, missing, root_is_offline
from authsvc.settings import CONFIG, Settings, check_variables, load

_RENDERED = (
    "PUBLIC_URL",
    "REDIS_URL",
    "REDIS_DISK",
    "REGISTRY_URL",
    "REGISTRY_DISK",
    "NGINX_URL",
    "SECRETS_DIR",
    "CONTROL_SOCKET",
    "KEYS_DIR",
    "KEY_SOCKET",
    "KEY_ADMIN_SOCKET",
    "TRUSTED_PROXIES",
)
"""Settings that the rendered files contain; the environment would take precedence."""


def without_rendered(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the settings that the rendered files contain."""
    rendered = {CONFIG, *(f"AUTHSVC_{name}{suffix}" for name in _RENDERED for suffix in ("", "_FILE"))}
    return {name: value for name, value in environ.items() if name not in rendered}


def check_settings(environ: Mapping[str, str], rendered: Mapping[str, str]) -> Settings:
    """Return the settings with which serve would start.

    Args:
        environ: the environment that serve would get.
        rendered: the future content of authsvc.toml.

    Raises:
        SetupRefused: serve would refuse to start with them.
    """
    check_variables(environ)
    return load(without_rendered(environ), rendered)


def check_secrets(directory: Path, settings: Settings) -> tuple[str, ...]:
    """Check existing secrets, and return the names of those that ``init`` would create.

    A root certificate without its key is kept offline; whether serve gets a leaf in that case is not checked here.

    Raises:
        SecretsRefused: serve would refuse to start with them.
    """
    service_keys = settings.key_socket is None
    absent = missing(directory, service_keys=service_keys)
    if os.path.lexists(directory):
        check_present(directory, service_keys=service_keys)
    if settings.leaf_files is not None and not (directory / TOKEN_ROOT_CERTIFICATE).exists():
        raise SecretsRefused(
            f"AUTHSVC_LEAF_CERTIFICATE is set, and {directory / TOKEN_ROOT_CERTIFICATE} is missing: put the "
            "certificate of the root that issued the leaf there first"
        )
    if not absent and (settings.leaf_files is not None or not root_is_offline(directory)):
        load_signing_keys(settings, directory)
    return absent


def load_signing_keys(settings: Settings, directory: Path | None = None) -> Authority:
    """Return the keys of the installation, from ``directory`` if that is given.

    Raises:
        SecretsRefused: they are unusable, or there is no key to sign with.
    """
    given, directory = directory, directory or settings.secrets_dir
    files = settings.leaf_files
    if files is not None:
        load_leaf_files(*files, load_roots(directory))
    elif root_is_offline(directory):
        raise SecretsRefused(
            f"{directory / TOKEN_ROOT_CERTIFICATE} has no key {TOKEN_ROOT_KEY} beside it; put the key back, "
            "or set AUTHSVC_LEAF_KEY and AUTHSVC_LEAF_CERTIFICATE to a leaf that this root issued",
            code="root_key_missing",
        )
    keys = None if settings.key_socket is not None else given or settings.keys_dir
    return load_authority(directory, keys, offline=files is not None)
