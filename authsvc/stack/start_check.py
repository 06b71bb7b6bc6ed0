"""Checks whether a server could start: the one place for what ``serve``, ``up`` and ``init`` refuse."""

from authsvc.errors import SecretsRefused
from authsvc.settings import Settings
from authsvc.stack.key_files import Authority, load_authority, load_leaf_files
from authsvc.stack.secrets_dir import TOKEN_ROOT_CERTIFICATE, TOKEN_ROOT_KEY, load_roots, root_is_offline


def load_signing_keys(settings: Settings) -> Authority:
    """Return the keys of the installation.

    Raises:
        SecretsRefused: they are unusable, or there is nothing to sign with.
    """
    files = settings.leaf_files
    if files is not None:
        load_leaf_files(*files, load_roots(settings.secrets_dir))
    elif root_is_offline(settings.secrets_dir):
        raise SecretsRefused(
            f"{settings.secrets_dir / TOKEN_ROOT_CERTIFICATE} has no key {TOKEN_ROOT_KEY} beside it; put the key back, "
            "or set AUTHSVC_LEAF_KEY and AUTHSVC_LEAF_CERTIFICATE to a leaf made with `authsvc keys issue`"
        )
    return load_authority(settings.secrets_dir, offline=files is not None)
