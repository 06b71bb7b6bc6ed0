"""Settings of nginx and commands for linked registries: the size of the cache, authorities, private networks."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from authsvc.registries.upstream.tls import upstream_tls
from authsvc.setting_values import DEFAULT_CACHE_SIZE, parse_absolute_path, parse_size
from authsvc.settings import parse_networks

CACHE_SIZE = "AUTHSVC_UPSTREAM_CACHE_SIZE"
CA_FILE = "AUTHSVC_UPSTREAM_CA_FILE"
PRIVATE_NETWORKS = "AUTHSVC_UPSTREAM_PRIVATE_NETWORKS"

_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Files with the certificates of public authorities on Debian, Fedora and Alpine."""


@frozen
class PullThrough:
    """The settings for fetching images of linked registries.

    Attributes:
        cache_size: MiB.
        ca_file: PEM file of the authorities that nginx trusts; None without one, so that nothing can be fetched.
        own_ca_file: the same, if it was configured and is not the system's.
        private_networks: in which registries may be, as in the setting; None for none.
    """

    cache_size: int = DEFAULT_CACHE_SIZE
    ca_file: str | None = None
    own_ca_file: str | None = None
    private_networks: str | None = None


def pull_through_of(environ: Mapping[str, str], *, system: bool = True) -> PullThrough:
    """Return the settings in the environment.

    Args:
        environ: the environment.
        system: whether nginx runs on this system, and trusts its certificates if the environment names none.

    Raises:
        SetupRefused: the size is not one, the certificates cannot be read, or something else is not a network.
    """
    size, own, networks = environ.get(CACHE_SIZE), environ.get(CA_FILE), environ.get(PRIVATE_NETWORKS)
    if own is not None:
        upstream_tls(parse_absolute_path(own, CA_FILE))
    return PullThrough(
        DEFAULT_CACHE_SIZE if size is None else parse_size(size, CACHE_SIZE),
        own if own is not None or not system else _system_certificates(),
        own,
        None if networks is None else ",".join(map(str, parse_networks(networks, PRIVATE_NETWORKS))),
    )


def _system_certificates() -> str | None:
    paths = (*_SYSTEM_CERTIFICATES, ssl.get_default_verify_paths().openssl_cafile)
    return next((path for path in paths if Path(path).is_file()), None)
